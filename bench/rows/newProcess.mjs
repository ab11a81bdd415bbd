/** Rows 12 and 13: a new process that loads the model and embeds one text: its time from start to end, its peak memory. */
import { execFileSync } from 'node:child_process';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { bench, dist, models, runtimePath } from '../lib/paths.mjs';
import { cosine, median } from '../lib/statistics.mjs';

export const rows = [12, 13];

export async function run({ checkpoints, settings }) {
  const { original, int8 } = checkpoints;
  const folder = join(models, 'all-MiniLM-L6-v2');
  const contestants = [
    ['bertscript f32', 'first-bertscript.mjs', dist, original, 'auto'],
    ['bertscript q8', 'first-bertscript.mjs', dist, int8, 'auto'],
    ['transformers.js f32 native', 'first-transformersjs.mjs', models, 'all-MiniLM-L6-v2', 'fp32'],
    ['transformers.js q8 native', 'first-transformersjs.mjs', models, 'all-MiniLM-L6-v2', 'q8'],
    ['onnxruntime-web f32', 'first-onnxruntime-web.mjs', folder, 'model.onnx'],
    ['onnxruntime-web q8', 'first-onnxruntime-web.mjs', folder, 'model_quantized.onnx'],
    ['empty Node process', 'first-nothing.mjs'],
  ];
  const measurements = contestants.map(([contestant]) => ({
    ...{ group: 'new process', case: 'load + first embedding', contestant, runtime: 'node20' },
    ...{ rounds: [], memory: [], load: [loadavg()[0]] },
  }));
  let expected;
  for (let round = -1; round < settings.rounds; round++) {
    contestants.forEach(([name, script, ...args], i) => {
      const start = performance.now();
      const output = execFileSync(runtimePath('node20'), [join(bench, 'workers', script), ...args], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const milliseconds = performance.now() - start;
      const { vector, peakBytes } = JSON.parse(output.toString().trim().split('\n').at(-1));
      if (vector) {
        expected ??= vector;
        const agreement = cosine(vector, expected);
        if (!(agreement > (name.includes('q8') ? 0.9 : 0.99999)))
          throw new Error(`${name} is wrong: cosine ${agreement}`);
        measurements[i].agreement = { meanCosine: agreement };
      }
      if (round < 0) return; // the first round fills the file cache
      measurements[i].rounds.push(milliseconds);
      measurements[i].memory.push(peakBytes / 2 ** 20);
    });
  }
  for (const measurement of measurements) {
    measurement.median = median(measurement.rounds);
    measurement.min = Math.min(...measurement.rounds);
    measurement.peakMiB = median(measurement.memory);
    settings.log(
      `${measurement.contestant}: ${measurement.median.toFixed(0)} ms, ${measurement.peakMiB.toFixed(0)} MiB`,
    );
  }
  return { measurements };
}

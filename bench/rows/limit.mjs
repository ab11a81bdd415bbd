/** Row 16: how near f32 products come to the most that 128-bit vectors give; and tfjs at the same products. */
import { maxAbsDifference } from '../lib/statistics.mjs';
import { ours, tfjs } from '../lib/contestants.mjs';
import { race } from '../lib/race.mjs';
import { encoderCase } from './encoder.mjs';

export const rows = [16];

const linearCase = (rows, inFeatures, outFeatures) => ({
  name: `linear ${rows}x${inFeatures}x${outFeatures}`,
  work: { kind: 'linear', rows, inFeatures, outFeatures },
  operations: 2 * rows * inFeatures * outFeatures,
});

function limitCase(sums) {
  const iterations = 2e6;
  return {
    name: `limit, ${sums} sums`,
    work: { kind: 'limit', sums, iterations },
    operations: 2 * 4 * sums * iterations,
    only: (name) => name === 'bertscript f32', // turbo does not pair these
  };
}

export async function run({ texts, checkpoints, settings }) {
  const model = checkpoints.original;
  const only = (name) => name.startsWith('bertscript');
  const cases = [
    ...[8, 10, 12].map(limitCase),
    linearCase(128, 384, 384),
    linearCase(128, 384, 1536),
    linearCase(1024, 1536, 384),
    { ...encoderCase(texts, 'all-MiniLM-L6-v2', 1, 128), only },
    { ...encoderCase(texts, 'all-MiniLM-L6-v2', 8, 128), only },
  ];
  const agree = ({ floats }, expected, { name }) => {
    const maxAbs = maxAbsDifference(floats, expected.floats);
    const largest = expected.floats.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
    if (!(maxAbs <= 1e-4 * largest)) throw new Error(`${name} is wrong, so it is not timed: off by ${maxAbs}`);
    return { maxAbs };
  };
  const measurements = [];
  for (const runtime of ['node20', 'node24', 'node26']) {
    const specs = [ours(runtime, { model }), tfjs(runtime)];
    if (runtime !== 'node20') specs.push(ours(runtime, { model, turbo: true }));
    measurements.push(...(await race({ group: `limit ${runtime}`, specs, cases, agree, settings })));
  }
  return { measurements };
}

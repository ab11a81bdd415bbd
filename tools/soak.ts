/**
 * Memory over many forward passes of random lengths: `npx tsx tools/soak.ts [MODEL] [PASSES] [q8|auto]`. What the engine
 * occupies and the array buffers must stay what they were after the first 500 passes, and the process must not grow.
 */
import { BertModel, Engine, randomStream, randomUniform } from '../src/index.ts';

const [folder = 'weights/all-MiniLM-L6-v2', passes = '20000'] = process.argv.slice(2);
const engine = new Engine();
const model = await BertModel.fromPretrained(folder, { engine });
const stream = randomStream(7, 'soak');
const rss: number[] = [];
let settled = { engine: 0, arrayBuffers: 0 };
for (let pass = 1; pass <= Number(passes); pass++) {
  const length = 2 + Math.floor(38 * randomUniform(stream, pass));
  model.forward({ inputIds: [Array.from({ length }, (_, i) => 1000 + ((pass * 31 + i * 7919) % 20000))] });
  if (pass % 250 !== 0) continue;
  await new Promise((resolve) => setImmediate(resolve)); // the collector's finalizers run between tasks
  const { arrayBuffers } = process.memoryUsage();
  if (pass === 500) settled = { engine: engine.info().memory, arrayBuffers };
  if (pass > 500) rss.push(process.memoryUsage().rss / 2 ** 20);
  if (pass % 2000 === 0 || pass === 500) {
    const megabytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
    console.log(
      `${pass} passes: engine ${megabytes(engine.info().memory)}, array buffers ${megabytes(arrayBuffers)}, rss ${rss.at(-1)?.toFixed(1)} MiB`,
    );
  }
}
const median = (values: number[]) => [...values].sort((a, b) => a - b)[values.length >> 1];
const third = Math.floor(rss.length / 3);
const growth = median(rss.slice(-third)) - median(rss.slice(0, third));
console.log(
  `engine memory grew by ${engine.info().memory - settled.engine} bytes since pass 500; median rss by ${growth.toFixed(1)} MiB from the first third to the last`,
);

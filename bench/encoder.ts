/** Speed of the whole encoder on a model folder: `npx tsx bench/encoder.ts MODEL [turbo] [q8]`. */
import { BertModel, Engine } from '../src/index.ts';

const [folder, ...flags] = process.argv.slice(2);
const engine = new Engine({ turbo: flags.includes('turbo'), threads: flags.includes('t2') ? 2 : 1 });
const start = performance.now();
const model = await BertModel.fromPretrained(folder, { engine, dtype: flags.includes('q8') ? 'q8' : 'auto' });
console.log(process.version, JSON.stringify(engine.info()), `load ${(performance.now() - start).toFixed(0)} ms`);
const { hiddenSize, intermediateSize, numHiddenLayers } = model.config;
const weights = numHiddenLayers * (4 * hiddenSize ** 2 + 2 * hiddenSize * intermediateSize);
for (const [sequences, length] of [
  [1, 16],
  [1, 128],
  [8, 128],
]) {
  const ids = Array.from({ length: sequences }, (_, s) =>
    Array.from({ length }, (_, i) => 1000 + ((s * 7919 + i * 104729) % 20000)),
  );
  const run = () => model.forward({ inputIds: ids });
  for (let i = 0; i < 3; i++) run();
  const times = Array.from({ length: 9 }, () => {
    const t = performance.now();
    run();
    return performance.now() - t;
  }).sort((a, b) => a - b);
  const operations = 2 * sequences * length * (weights + numHiddenLayers * 2 * length * hiddenSize);
  console.log(
    `${sequences}x${length}: median ${times[4].toFixed(2)} ms, ${(operations / times[4] / 1e6).toFixed(1)} GFLOP/s; best ${(operations / times[0] / 1e6).toFixed(1)}`,
  );
}

/**
 * Speed of the whole encoder on a model folder, with no peers:
 * `npx tsx bench/encoder.ts [FOLDER] [q8] [turbo] [threads=2]`; by default the shipped model, as stored, on one thread.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { BertModel, Engine } from '../src/index.ts';
import { milliseconds } from './stopwatch.ts';

const words = process.argv.slice(2);
const shipped = fileURLToPath(new URL('../weights/all-MiniLM-L6-v2', import.meta.url));
const folder = words.find((word) => existsSync(word)) ?? shipped;
const threads = Number(words.find((word) => word.startsWith('threads='))?.slice('threads='.length) ?? 1);
const engine = new Engine({ turbo: words.includes('turbo'), threads });

const start = performance.now();
const model = await BertModel.fromPretrained(folder, { engine, dtype: words.includes('q8') ? 'q8' : 'auto' });
console.log(`Node ${process.version}, ${JSON.stringify(engine.info())}`);
console.log(`${folder} (${model.loadReport?.dtype}): loaded in ${(performance.now() - start).toFixed(0)} ms`);

const { hiddenSize, intermediateSize, numHiddenLayers } = model.config;
const weights = numHiddenLayers * (4 * hiddenSize ** 2 + 2 * hiddenSize * intermediateSize);
for (const [sequences, length] of [
  [1, 16],
  [1, 128],
  [8, 128],
]) {
  const inputIds = Array.from({ length: sequences }, (_, s) =>
    Array.from({ length }, (_, i) => 1000 + ((s * 7919 + i * 104729) % 20000)),
  );
  const { median, best } = milliseconds(() => engine.scope(() => void model.forward({ inputIds })));
  const operations = 2 * sequences * length * (weights + numHiddenLayers * 2 * length * hiddenSize);
  const gigaflops = (ms: number) => (operations / ms / 1e6).toFixed(1);
  console.log(`${sequences}x${length}: ${median.toFixed(2)} ms, ${gigaflops(median)} GFLOP/s, best ${gigaflops(best)}`);
}

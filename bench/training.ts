/**
 * Time of a training step, fine-tuning: forward, backward, clipping by norm and AdamW, on a batch of 16 × 64 tokens:
 * `npx tsx bench/training.ts [FOLDER] [turbo] [threads=2] [steps=10] [profile]`. bench/training.py is the same in PyTorch.
 */
import { existsSync } from 'node:fs';
import { BertForSequenceClassification, Engine } from '../src/index.ts';
import { AdamW, clipFactor, gradientNorm } from '../src/training/index.ts';
import { backwardKernels, withGradients, zeroGradients } from '../src/tensor/index.ts';

const words = process.argv.slice(2);
const option = (name: string, fallback: number) =>
  Number(words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1) ?? fallback);
const folder = words.find((word) => existsSync(word)) ?? 'weights/original/all-MiniLM-L6-v2';
const steps = option('steps', 10);
const engine = new Engine({ turbo: words.includes('turbo'), threads: option('threads', 1) });
const backward = backwardKernels(engine);
const model = await BertForSequenceClassification.fromPretrained(folder, { engine, initializeMissing: true });
const parameters = model.parameters();
const optimizer = new AdamW(parameters, { lr: 5e-5 });
const [sequences, length] = [16, 64];
const inputIds = Array.from({ length: sequences }, (_, s) =>
  Array.from({ length }, (_, i) => 1000 + ((s * 7919 + i * 104729) % 20000)),
);
const labels = Array.from({ length: sequences }, (_, s) => s % 2);

const spent = new Map<string, number>();
if (words.includes('profile')) {
  // Time by kernel, measured around each call.
  for (const set of [engine.kernels, backward]) {
    const kernels = set as unknown as Record<string, (...args: unknown[]) => unknown>;
    const names = new Set<string>(Object.keys(kernels));
    for (let proto: object | null = Object.getPrototypeOf(kernels) as object; proto && proto !== Object.prototype;) {
      for (const name of Object.getOwnPropertyNames(proto)) names.add(name);
      proto = Object.getPrototypeOf(proto) as object | null;
    }
    for (const name of names) {
      const kernel = kernels[name];
      if (name === 'constructor' || typeof kernel !== 'function') continue;
      kernels[name] = (...args) => {
        const start = performance.now();
        const result = kernel.apply(kernels, args);
        spent.set(name, (spent.get(name) ?? 0) + performance.now() - start);
        return result;
      };
    }
  }
}

function step(number: number): number {
  zeroGradients(parameters);
  const loss = withGradients(
    parameters,
    (backward) => {
      const loss = model.loss(model.forward({ inputIds }), { labels });
      backward(loss);
      return loss.data[0];
    },
    { step: number },
  );
  optimizer.step(1, clipFactor(gradientNorm(parameters), 1));
  return loss;
}

if (words.includes('train')) model.train();
for (let i = 0; i < 2; i++) step(i);
spent.clear();
/** Wall clock, and the processor's time, which a machine shared with others changes less. */
const [times, work]: number[][] = [[], []];
let loss = 0;
for (let i = 0; i < steps; i++) {
  const [start, used] = [performance.now(), process.cpuUsage()];
  loss = step(i + 2);
  times.push(performance.now() - start);
  const { user, system } = process.cpuUsage(used);
  work.push((user + system) / 1000);
}
for (const list of [times, work]) list.sort((a, b) => a - b);
const { hiddenSize, intermediateSize, numHiddenLayers } = model.config;
const weights = numHiddenLayers * (4 * hiddenSize ** 2 + 2 * hiddenSize * intermediateSize);
const operations = 6 * sequences * length * (weights + numHiddenLayers * 2 * length * hiddenSize);
const rss = process.resourceUsage().maxRSS / 1024;
console.log(`Node ${process.version}, ${JSON.stringify(engine.info())}`);
console.log(
  `step: median ${times[steps >> 1].toFixed(0)} ms, best ${times[0].toFixed(0)} ms, processor median ${work[steps >> 1].toFixed(0)}, best ${work[0].toFixed(0)} ms, ${(operations / times[0] / 1e6).toFixed(1)} GFLOP/s; peak ${rss.toFixed(0)} MB; loss ${loss.toFixed(5)}`,
);
for (const [name, ms] of [...spent].sort((a, b) => b[1] - a[1]))
  console.log(`  ${name}: ${(ms / steps).toFixed(1)} ms`);

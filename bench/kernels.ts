/**
 * Speed of the kernels in this process: no peers, no network. `npm run bench [-- turbo]`.
 * Prints the median and the best of several runs; the machine may be shared, so compare figures of one run only.
 */
import { cpus } from 'node:os';
import { attention, Engine, layerNorm, linear, type Tensor } from '../src/tensor/index.ts';
import { milliseconds } from './stopwatch.ts';

const [tokens, hidden, intermediate, heads] = [128, 384, 1536, 12];

function report(name: string, operations: number, body: () => void): void {
  const { median, best } = milliseconds(body);
  const gigaflops = (ms: number) => (operations / ms / 1e6).toFixed(1);
  console.log(`  ${name}: ${median.toFixed(3)} ms, ${gigaflops(median)} GFLOP/s, best ${gigaflops(best)}`);
}

function measure(engine: Engine): void {
  const { kernels, arithmetic, tile, turbo } = engine.info();
  console.log(`${kernels}, ${arithmetic}${tile ? `, tile ${tile}` : ''}${turbo ? ', turbo' : ''}`);
  const sines = (...shape: number[]): Tensor => {
    const tensor = engine.keep(shape);
    tensor.data.set(Float32Array.from({ length: tensor.size }, (_, i) => Math.sin(i)));
    return tensor;
  };
  const x = sines(tokens, hidden);
  for (const width of [hidden, intermediate]) {
    const weight = engine.keepMatrix(width, hidden, 'f32');
    weight.set(Float32Array.from({ length: width * hidden }, (_, i) => Math.cos(i)));
    const bias = sines(width);
    const operations = 2 * tokens * hidden * width;
    report(`linear ${tokens}x${hidden}x${width}`, operations, () => engine.scope(() => void linear(x, weight, bias)));
  }
  const offsets = Int32Array.of(0, tokens);
  const run = () => engine.scope(() => void attention(x, x, x, { offsets, heads }));
  report(`attention ${tokens} tokens, ${heads} heads`, 4 * tokens * tokens * hidden, run);
  const [gamma, beta] = [sines(hidden), sines(hidden)];
  report(`layerNorm ${tokens}x${hidden}`, 8 * tokens * hidden, () =>
    engine.scope(() => void layerNorm(x, gamma, beta, 1e-12)),
  );
}

console.log(`Node ${process.version}, V8 ${process.versions.v8}, ${cpus()[0].model}`);
const turbo = process.argv.includes('turbo');
measure(new Engine({ kernels: 'reference' }));
measure(new Engine({ threads: 1, turbo }));

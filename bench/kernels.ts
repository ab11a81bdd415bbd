/**
 * Speed of the kernels in this process: no peers, no network. `npm run bench`.
 * Prints the median and the best of several runs; the machine is shared, so compare figures of one run only.
 */
import { cpus } from 'node:os';
import { referenceKernels, type Kernels } from '../src/tensor/index.ts';

const [rows, inFeatures, outFeatures] = [128, 384, 384];

function milliseconds(body: () => void, runs: number): { median: number; best: number } {
  for (let i = 0; i < 3; i++) body();
  const times = Array.from({ length: runs }, () => {
    const start = performance.now();
    body();
    return performance.now() - start;
  }).sort((a, b) => a - b);
  return { median: times[runs >> 1], best: times[0] };
}

function linearSpeed(kernels: Kernels): void {
  const x = Float32Array.from({ length: rows * inFeatures }, (_, i) => Math.sin(i));
  const weight = Float32Array.from({ length: outFeatures * inFeatures }, (_, i) => Math.cos(i));
  const bias = new Float32Array(outFeatures);
  const y = new Float32Array(rows * outFeatures);
  const run = () => kernels.linear(y, x, weight, bias, 'linear', rows, inFeatures, outFeatures);
  const { median, best } = milliseconds(run, 15);
  const gigaflops = (ms: number) => ((2 * rows * inFeatures * outFeatures) / ms / 1e6).toFixed(2);
  console.log(
    `${kernels.name} linear ${rows}x${inFeatures}x${outFeatures}: ${gigaflops(median)} GFLOP/s median, ${gigaflops(best)} best`,
  );
}

console.log(`Node ${process.version}, ${cpus()[0].model}`);
linearSpeed(referenceKernels);

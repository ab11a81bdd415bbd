import type { AdamStep, BackwardKernels, Run } from '../kernels/backwardKernels.ts';
import type { FloatArray } from '../kernels/kernels.ts';
import { referenceBackward } from '../kernels/referenceBackward.ts';
import type { KernelCall } from './runner.ts';
import { SimdBase } from './simdBase.ts';

/** Numbers whose squares are summed by one call. */
const SQUARES_AT_A_TIME = 2 ** 14;
/** Rows that are shorter are as fast in plain loops. */
const FEW_CLASSES = 64;

/** The kernels of losses and optimizers in WebAssembly. */
export abstract class SimdTraining
  extends SimdBase
  implements Pick<BackwardKernels, 'crossEntropy' | 'crossEntropyBackward' | 'sumSquares' | 'adamW'>
{
  crossEntropy(
    losses: FloatArray,
    x: FloatArray,
    labels: Int32Array,
    smoothing: number,
    rows: number,
    size: number,
  ): void {
    if (size < FEW_CLASSES) return referenceBackward.crossEntropy(losses, x, labels, smoothing, rows, size);
    const [kept, logits] = [this.lasting(losses), this.lasting(x)];
    this.#forSoftmax(logits, labels, size, (r, _p, inverse, max) => {
      const { data } = logits;
      const normalizer = max - Math.log(inverse);
      let sum = 0;
      if (smoothing > 0) for (let i = r * size; i < (r + 1) * size; i++) sum += data[i] - normalizer;
      const target = (1 - smoothing) * (data[r * size + labels[r]] - normalizer);
      kept.data[r] = -target - (smoothing > 0 ? (smoothing * sum) / size : 0);
    });
    labels.forEach((label, r) => label < 0 && (kept.data[r] = 0));
  }

  crossEntropyBackward(
    dx: FloatArray,
    dLosses: FloatArray,
    x: FloatArray,
    labels: Int32Array,
    smoothing: number,
    rows: number,
    size: number,
  ): void {
    if (size < FEW_CLASSES) {
      return referenceBackward.crossEntropyBackward(dx, dLosses, x, labels, smoothing, rows, size);
    }
    const [gradient, given] = [this.lasting(dx), this.lasting(dLosses)];
    this.#forSoftmax(this.lasting(x), labels, size, (r, p, inverse) => {
      const [data, dLoss] = [gradient.data, given.data[r]];
      const row = data.subarray(r * size, (r + 1) * size);
      for (let i = 0; i < size; i++) row[i] += dLoss * (p[i] * inverse - smoothing / size);
      row[labels[r]] -= dLoss * (1 - smoothing);
    });
  }

  /** Visits each row that has a label, with its softmax times some number, 1 / that number, and its maximum. */
  #forSoftmax(
    x: { readonly data: FloatArray },
    labels: Int32Array,
    size: number,
    visit: (row: number, softmax: Float32Array, inverse: number, max: number) => void,
  ): void {
    const mark = this.memory.mark();
    const eights = Math.ceil(size / 8);
    const aside = this.memory.take(32 * eights);
    const row = new Float32Array(this.memory.memory.buffer, aside, 8 * eights).fill(-Infinity);
    labels.forEach((label, r) => {
      if (label < 0) return;
      row.set(x.data.subarray(r * size, (r + 1) * size));
      row.fill(-Infinity, size);
      let max = -Infinity;
      for (let i = 0; i < size; i++) if (row[i] > max) max = row[i];
      const inverse = this.exports.softmaxRow(aside, aside, eights, 1) as number;
      visit(r, row, inverse, max);
    });
    this.memory.release(mark);
  }

  sumSquares(x: FloatArray): number {
    const whole = x.length - (x.length % 4);
    let sum = 0;
    for (let i = whole; i < x.length; i++) sum += x[i] * x[i];
    this.with([], [x], ([from]) => {
      const count = Math.ceil(whole / SQUARES_AT_A_TIME);
      const sums = this.memory.take(4 * count);
      const call = (part: number): KernelCall => {
        const begin = part * SQUARES_AT_A_TIME;
        return [
          'sumSquares',
          sums + 4 * part,
          from + 4 * begin,
          (Math.min(whole, begin + SQUARES_AT_A_TIME) - begin) >> 2,
        ];
      };
      this.runner.run(Array.from({ length: count }, (_, part) => call(part)));
      for (const part of new Float32Array(this.memory.memory.buffer, sums, count)) sum += part;
    });
    return sum;
  }

  adamW(
    p: FloatArray,
    grad: FloatArray,
    m: FloatArray,
    v: FloatArray,
    step: AdamStep,
    runs: readonly Run[] | null = null,
  ): void {
    const { stepSize, beta1, beta2, eps, inverseRootCorrection, decay, l2, gradScale } = step;
    const whole = p.length - (p.length % 4);
    const rest = [p, grad, m, v].map((numbers) => Float32Array.from(numbers.subarray(whole)));
    const [lastP, lastGrad, lastM, lastV] = rest;
    referenceBackward.adamW(lastP, lastGrad, lastM, lastV, step);
    [p, grad, m, v].forEach((numbers, i) => numbers.set(rest[i], whole));
    this.with([p, m, v], [grad], ([pAt, mAt, vAt, gradAt]) => {
      const numbers = [stepSize, beta1, 1 - beta1, beta2, 1 - beta2, eps, inverseRootCorrection, decay, l2, gradScale];
      const update = (begin: number, end: number) =>
        this.divide(end - begin, 80 * (end - begin)).map(([first, last]): KernelCall => [
          'adamW',
          ...[pAt, gradAt, mAt, vAt].map((address) => address + 16 * (begin + first)),
          last - first,
          ...numbers,
        ]);
      const onlyDecay = (begin: number, end: number): KernelCall[] =>
        begin < end && decay !== 1 ? [['scaleRow', pAt + 16 * begin, end - begin, decay]] : [];
      let done = 0; // vectors
      const calls = (runs ?? [[0, whole]]).flatMap(([begin, end]) => {
        const [first, last] = [Math.max(begin >> 2, done), Math.min((end + 3) >> 2, whole >> 2)];
        const some = [...onlyDecay(done, first), ...update(first, last)];
        done = last;
        return some;
      });
      this.runner.run([...calls, ...onlyDecay(done, whole >> 2)], undefined, true);
    });
  }
}

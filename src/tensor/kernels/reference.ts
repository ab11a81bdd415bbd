import { activations, functions } from './activations.ts';
import type { ActivationName, BinaryOperation, FloatArray, Kernels, PackedMatrix } from './kernels.ts';
import { softmaxRow } from './special.ts';

/**
 * The specification: plain loops in the order of the formulas. Sums and functions are computed in float64 and rounded
 * once, when stored, so that on float32 arrays the error is that rounding and little else.
 */
export const referenceKernels: Kernels = {
  name: 'reference',

  packedLength: (outFeatures, inFeatures) => outFeatures * inFeatures,

  packRows: ({ data, inFeatures }, firstRow, rows) => data.set(rows, firstRow * inFeatures), // row-major, as it comes

  unpackRows(y, { data, scale, inFeatures }, ids) {
    for (let r = 0; r < ids.length; r++) {
      const [row, factor] = [ids[r] * inFeatures, scale ? scale[ids[r]] : 1];
      for (let i = 0; i < inFeatures; i++) y[r * inFeatures + i] = data[row + i] * factor;
    }
  },

  linear(y, x, weights, bias, activation, rows, inFeatures, outFeatures) {
    if (isQuantized(weights)) return linearQ8(y, x, weights, bias, activation, rows);
    const weight = 'data' in weights ? (weights.data as FloatArray) : weights;
    const f = activations[activation];
    for (let r = 0; r < rows; r++) {
      const xRow = r * inFeatures;
      const yRow = r * outFeatures;
      let o = 0;
      // Four outputs at a time share each x that is read, which more than doubles the speed; each sum stays a plain one.
      for (; o + 4 <= outFeatures; o += 4) {
        const w0 = o * inFeatures;
        const w1 = w0 + inFeatures;
        const w2 = w1 + inFeatures;
        const w3 = w2 + inFeatures;
        let s0 = 0;
        let s1 = 0;
        let s2 = 0;
        let s3 = 0;
        for (let i = 0; i < inFeatures; i++) {
          const xi = x[xRow + i];
          s0 += xi * weight[w0 + i];
          s1 += xi * weight[w1 + i];
          s2 += xi * weight[w2 + i];
          s3 += xi * weight[w3 + i];
        }
        y[yRow + o] = f(bias ? s0 + bias[o] : s0);
        y[yRow + o + 1] = f(bias ? s1 + bias[o + 1] : s1);
        y[yRow + o + 2] = f(bias ? s2 + bias[o + 2] : s2);
        y[yRow + o + 3] = f(bias ? s3 + bias[o + 3] : s3);
      }
      for (; o < outFeatures; o++) {
        let sum = 0;
        for (let i = 0; i < inFeatures; i++) sum += x[xRow + i] * weight[o * inFeatures + i];
        y[yRow + o] = f(bias ? sum + bias[o] : sum);
      }
    }
  },

  matmul(y, a, b, m, k, n) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let p = 0; p < k; p++) sum += a[i * k + p] * b[p * n + j];
        y[i * n + j] = sum;
      }
    }
  },

  attention: (...args) => attend(null, ...args),

  layerNorm(y, x, residual, weight, bias, eps, rows, size) {
    const sum = new Float64Array(size); // x + residual of one row
    for (let r = 0; r < rows; r++) {
      const row = r * size;
      let mean = 0;
      for (let i = 0; i < size; i++) {
        sum[i] = residual ? x[row + i] + residual[row + i] : x[row + i];
        mean += sum[i];
      }
      mean /= size;
      let variance = 0;
      for (let i = 0; i < size; i++) variance += (sum[i] - mean) ** 2;
      variance /= size;
      const inverse = 1 / Math.sqrt(variance + eps);
      for (let i = 0; i < size; i++) y[row + i] = (sum[i] - mean) * inverse * weight[i] + (bias ? bias[i] : 0);
    }
  },

  activation(y, x, name) {
    const f = functions[name];
    for (let i = 0; i < x.length; i++) y[i] = f(x[i]);
  },

  gate(y, x, name, rows, size) {
    const f = activations[name];
    for (let r = 0; r < rows; r++) {
      const row = 2 * r * size;
      for (let i = 0; i < size; i++) y[r * size + i] = f(x[row + i]) * x[row + size + i];
    }
  },

  binary(y, a, b, operation) {
    const f = binaryOperations[operation];
    for (let i = 0; i < a.length; i++) y[i] = f(a[i], b[i % b.length]);
  },

  softmax(y, x, rows, size) {
    for (let r = 0; r < rows; r++) softmaxRow(y, x, r * size, size);
  },

  embeddingSum(y, tables, ids, size) {
    const sum = new Float64Array(size);
    for (let r = 0; r * size < y.length; r++) {
      sum.fill(0);
      tables.forEach((table, t) => {
        const packed = 'data' in table;
        const [data, row] = [packed ? table.data : table, ids[t][r]];
        const factor = packed && table.scale ? table.scale[row] : 1;
        for (let i = 0; i < size; i++) sum[i] += data[row * size + i] * factor;
      });
      y.set(sum, r * size);
    }
  },

  sumRows(y, x, rows, size) {
    for (let r = 0; r < rows; r++) {
      let sum = 0;
      for (let i = 0; i < size; i++) sum += x[r * size + i];
      y[r] = sum;
    }
  },

  poolSequences(y, x, offsets, size, how) {
    for (let s = 0; s + 1 < offsets.length; s++) {
      if (offsets[s] === offsets[s + 1]) {
        y.fill(0, s * size, (s + 1) * size);
        continue;
      }
      const begin = how === 'last' ? offsets[s + 1] - 1 : offsets[s];
      const end = how === 'first' ? begin + 1 : offsets[s + 1];
      for (let i = 0; i < size; i++) {
        let max = -Infinity;
        let sum = 0;
        let weights = 0;
        for (let r = begin; r < end; r++) {
          const weight = how === 'weightedMean' ? r - begin + 1 : 1;
          max = Math.max(max, x[r * size + i]);
          sum += weight * x[r * size + i];
          weights += weight;
        }
        const mean = sum / (how === 'meanSqrtLength' ? Math.sqrt(weights) : weights); // of one row, for the first or last
        y[s * size + i] = how === 'max' ? max : mean;
      }
    }
  },

  normalizeRows(y, x, rows, size) {
    for (let r = 0; r < rows; r++) {
      let squares = 0;
      for (let i = 0; i < size; i++) squares += x[r * size + i] ** 2;
      const length = Math.max(Math.sqrt(squares), 1e-12);
      for (let i = 0; i < size; i++) y[r * size + i] = x[r * size + i] / length;
    }
  },

  gather(y, x, indices, fill) {
    for (let i = 0; i < indices.length; i++) y[i] = indices[i] >= 0 ? x[indices[i]] : fill;
  },
};

function isQuantized(weight: FloatArray | PackedMatrix): weight is PackedMatrix {
  return 'dtype' in weight && weight.dtype === 'q8';
}

/** `attention`; `drop`, if given, changes the probabilities of the query in a row of q, whose sequence starts at `begin`. */
export function attend(
  drop: ((weights: Float64Array, begin: number, head: number, query: number) => void) | null,
  ...args: Parameters<Kernels['attention']>
): void {
  const [y, probabilities, q, k, v, offsets, heads, headSize, scale, bias = null, spans = null] = args;
  const queryOffsets = args[11] ?? offsets;
  const width = heads * headSize;
  const squares = ((probabilities ?? bias)?.length ?? 0) / heads;
  let square = 0; // where this sequence's probabilities begin, within a head's
  for (let s = 0; s + 1 < offsets.length; s++) {
    const begin = offsets[s];
    const length = offsets[s + 1] - begin;
    const weights = new Float64Array(length);
    const context = new Float64Array(headSize);
    for (let head = 0; head < heads; head++) {
      const column = head * headSize;
      for (let row = queryOffsets[s]; row < queryOffsets[s + 1]; row++) {
        const query = row * width + column;
        const pairs = head * squares + square + (row - queryOffsets[s]) * length; // of this query with each token
        const first = spans ? spans[2 * row] : 0;
        const last = spans ? spans[2 * row + 1] : length;

        for (let j = first; j < last; j++) {
          const key = (begin + j) * width + column;
          let score = 0;
          for (let d = 0; d < headSize; d++) score += q[query + d] * k[key + d];
          weights[j] = score * scale + (bias ? bias[pairs + j] : 0);
        }
        softmaxRow(weights, weights, first, last - first);
        if (probabilities)
          probabilities.fill(0, pairs, pairs + length).set(weights.subarray(first, last), pairs + first);
        drop?.(weights, begin, head, row);

        context.fill(0);
        for (let j = first; j < last; j++) {
          const value = (begin + j) * width + column;
          for (let d = 0; d < headSize; d++) context[d] += weights[j] * v[value + d];
        }
        y.set(context, query);
      }
    }
    square += (queryOffsets[s + 1] - queryOffsets[s]) * length;
  }
}

/** `linear` on int8 weights, as the interface defines it. */
function linearQ8(
  y: FloatArray,
  x: FloatArray,
  { data, scale, inFeatures, outFeatures }: PackedMatrix,
  bias: FloatArray | null,
  activation: ActivationName,
  rows: number,
): void {
  const f = activations[activation];
  const rounded = new Int16Array(inFeatures);
  for (let r = 0; r < rows; r++) {
    let largest = 0;
    for (let i = 0; i < inFeatures; i++) largest = Math.max(largest, Math.abs(x[r * inFeatures + i]));
    const inverse = largest >= 2 ** -116 ? Math.fround(2047 / largest) : 0;
    for (let i = 0; i < inFeatures; i++) rounded[i] = roundHalfEven(Math.fround(x[r * inFeatures + i] * inverse));
    for (let o = 0; o < outFeatures; o++) {
      let sum = 0;
      for (let i = 0; i < inFeatures; i++) sum += rounded[i] * data[o * inFeatures + i];
      const product = sum * (largest / 2047) * scale![o];
      y[r * outFeatures + o] = f(bias ? product + bias[o] : product);
    }
  }
}

function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

const binaryOperations: Record<BinaryOperation, (a: number, b: number) => number> = {
  add: (a, b) => a + b,
  subtract: (a, b) => a - b,
  multiply: (a, b) => a * b,
  divide: (a, b) => a / b,
};

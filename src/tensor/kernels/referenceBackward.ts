import { activations, functions } from './activations.ts';
import type { AttentionDropout, BackwardKernels, DropoutMask } from './backwardKernels.ts';
import type { FloatArray, Pooling } from './kernels.ts';
import { maskBits, maskRow, maskThreshold } from './mix.ts';
import { positionBackward } from './positions.ts';
import { attend } from './reference.ts';
import { slopes as slopesOf } from './slopes.ts';
import { softmaxRow } from './special.ts';

/** The specification of the backward kernels: plain loops, sums in float64 that are rounded once, when added to a gradient. */
export const referenceBackward: BackwardKernels = {
  rowsTogether: 1,

  linearBackward(dx, dWeight, dBias, dy, x, weights, rows, inFeatures, outFeatures, writes) {
    if (writes?.dx) dx?.fill(0);
    if (writes?.dWeight) dWeight?.fill(0);
    const weight = 'data' in weights ? (weights.data as FloatArray) : weights;
    const sum = new Float64Array(inFeatures);
    for (let r = 0; dx && r < rows; r++) {
      sum.fill(0);
      for (let o = 0; o < outFeatures; o++) addScaled(sum, dy[r * outFeatures + o], weight, o * inFeatures);
      addTo(dx, r * inFeatures, sum);
    }
    for (let o = 0; dWeight && o < outFeatures; o++) {
      sum.fill(0);
      for (let r = 0; r < rows; r++) addScaled(sum, dy[r * outFeatures + o], x, r * inFeatures);
      addTo(dWeight, o * inFeatures, sum);
    }
    if (dBias) sumRowsInto(dBias, dy, rows, outFeatures);
  },

  matmulBackward(da, db, dy, a, b, m, k, n) {
    for (let p = 0; p < k; p++) {
      for (let i = 0; da && i < m; i++) {
        let sum = 0;
        for (let j = 0; j < n; j++) sum += dy[i * n + j] * b[p * n + j];
        da[i * k + p] += sum;
      }
      for (let j = 0; db && j < n; j++) {
        let sum = 0;
        for (let i = 0; i < m; i++) sum += a[i * k + p] * dy[i * n + j];
        db[p * n + j] += sum;
      }
    }
  },

  attentionBackward(
    dq,
    dk,
    dv,
    dBias,
    dy,
    q,
    k,
    v,
    offsets,
    heads,
    headSize,
    scale,
    bias,
    spans,
    dropout,
    queryOffsets = offsets,
    writes = false,
  ) {
    if (writes) for (const gradient of [dq, dk, dv]) gradient?.fill(0);
    const width = heads * headSize;
    const squares = (bias?.length ?? 0) / heads;
    let square = 0;
    for (let s = 0; s + 1 < offsets.length; s++) {
      const begin = offsets[s];
      const length = offsets[s + 1] - begin;
      const [weights, mask, dScores] = [0, 1, 2].map(() => new Float64Array(length));
      for (let head = 0; head < heads; head++) {
        const at = (i: number) => (begin + i) * width + head * headSize;
        const sums = { q: new Float64Array(headSize), k: zeroRows(length, headSize), v: zeroRows(length, headSize) };
        for (let row = queryOffsets[s]; row < queryOffsets[s + 1]; row++) {
          const query = row * width + head * headSize;
          const pairs = head * squares + square + (row - queryOffsets[s]) * length;
          const [first, last] = spans ? spans.subarray(2 * row) : [0, length];
          for (let j = first; j < last; j++) {
            weights[j] = scale * dot(q, query, k, at(j), headSize) + (bias ? bias[pairs + j] : 0);
          }
          softmaxRow(weights, weights, first, last - first);
          mask.fill(1);
          if (dropout) dropAttention(mask, dropout, begin, head, row);
          let mean = 0; // of dP by the probabilities
          for (let j = first; j < last; j++) {
            dScores[j] = mask[j] * dot(dy, query, v, at(j), headSize);
            mean += weights[j] * dScores[j];
          }
          sums.q.fill(0);
          for (let j = first; j < last; j++) {
            const dScore = weights[j] * (dScores[j] - mean);
            if (dBias) dBias[pairs + j] += dScore;
            addScaled(sums.q, dScore * scale, k, at(j));
            addScaled(sums.k[j], dScore * scale, q, query);
            addScaled(sums.v[j], weights[j] * mask[j], dy, query);
          }
          if (dq) addTo(dq, query, sums.q);
        }
        if (dk) sums.k.forEach((sum, j) => addTo(dk, at(j), sum));
        if (dv) sums.v.forEach((sum, j) => addTo(dv, at(j), sum));
      }
      square += (queryOffsets[s + 1] - queryOffsets[s]) * length;
    }
  },

  attentionDropout(y, probabilities, q, k, v, offsets, heads, headSize, scale, bias, spans, dropout, rows) {
    const drop = (weights: Float64Array, begin: number, head: number, query: number) =>
      dropAttention(weights, dropout, begin, head, query);
    attend(drop, y, probabilities, q, k, v, offsets, heads, headSize, scale, bias, spans, rows);
  },

  ...positionBackward,

  gateBackward(dx, dy, x, name, rows, size) {
    const [f, slope] = [activations[name], slopesOf[name]];
    for (let r = 0; r < rows; r++) {
      for (let i = 0; i < size; i++) {
        const [a, b, given] = [2 * r * size + i, 2 * r * size + size + i, dy[r * size + i]];
        dx[a] += given * x[b] * slope(x[a]);
        dx[b] += given * f(x[a]);
      }
    }
  },

  layerNormBackward(dx, dResidual, dWeight, dBias, dy, x, residual, weight, eps, rows, size, writes) {
    if (writes) for (const gradient of [dx, dResidual]) gradient?.fill(0);
    const [normed, g, weightSum] = [0, 1, 2].map(() => new Float64Array(size));
    for (let r = 0; r < rows; r++) {
      const row = r * size;
      let mean = 0;
      for (let i = 0; i < size; i++) {
        normed[i] = residual ? x[row + i] + residual[row + i] : x[row + i];
        mean += normed[i] / size;
      }
      let variance = 0;
      for (let i = 0; i < size; i++) variance += (normed[i] - mean) ** 2 / size;
      const inverse = 1 / Math.sqrt(variance + eps);
      let [gMean, gnMean] = [0, 0];
      for (let i = 0; i < size; i++) {
        normed[i] = (normed[i] - mean) * inverse;
        g[i] = dy[row + i] * weight[i];
        gMean += g[i] / size;
        gnMean += (g[i] * normed[i]) / size;
        weightSum[i] += dy[row + i] * normed[i];
      }
      for (let i = 0; i < size; i++) {
        const dz = (g[i] - gMean - normed[i] * gnMean) * inverse;
        if (dx) dx[row + i] += dz;
        if (dResidual) dResidual[row + i] += dz;
      }
    }
    if (dWeight) addTo(dWeight, 0, weightSum);
    if (dBias) sumRowsInto(dBias, dy, rows, size);
  },

  activationWithSlopes(y, slopes, x, name) {
    const [f, slope] = [functions[name], slopesOf[name]];
    for (let i = 0; i < x.length; i++) [y[i], slopes[i]] = [f(x[i]), slope(x[i])];
  },

  addProducts(dx, dy, factors) {
    for (let i = 0; i < dx.length; i++) dx[i] += dy[i] * factors[i];
  },

  binaryBackward(da, db, dy, a, b, operation) {
    const sums = new Float64Array(b.length);
    for (let i = 0; i < a.length; i++) {
      const n = i % b.length;
      if (da) da[i] += operation === 'multiply' ? dy[i] * b[n] : operation === 'divide' ? dy[i] / b[n] : dy[i];
      if (operation === 'add') sums[n] += dy[i];
      else if (operation === 'subtract') sums[n] -= dy[i];
      else if (operation === 'multiply') sums[n] += dy[i] * a[i];
      else sums[n] -= (dy[i] * a[i]) / (b[n] * b[n]);
    }
    if (db) addTo(db, 0, sums);
  },

  softmaxBackward(dx, dy, y, rows, size) {
    for (let r = 0; r < rows; r++) {
      const mean = dot(y, r * size, dy, r * size, size);
      for (let i = r * size; i < (r + 1) * size; i++) dx[i] += y[i] * (dy[i] - mean);
    }
  },

  logSoftmax(y, x, rows, size) {
    for (let r = 0; r < rows; r++) {
      const normalizer = logSumExp(x, r * size, size);
      for (let i = r * size; i < (r + 1) * size; i++) y[i] = x[i] - normalizer;
    }
  },

  logSoftmaxBackward(dx, dy, y, rows, size) {
    for (let r = 0; r < rows; r++) {
      let sum = 0;
      for (let i = r * size; i < (r + 1) * size; i++) sum += dy[i];
      for (let i = r * size; i < (r + 1) * size; i++) dx[i] += dy[i] - Math.exp(y[i]) * sum;
    }
  },

  embeddingSumBackward(dTables, _tables, dy, ids, size) {
    dTables.forEach((dTable, t) => {
      if (!dTable) return;
      ids[t].forEach((id, r) => {
        for (let i = 0; id >= 0 && i < size; i++) dTable[id * size + i] += dy[r * size + i];
      });
    });
  },

  sumRowsBackward(dx, dy, rows, size) {
    for (let r = 0; r < rows; r++) for (let i = 0; i < size; i++) dx[r * size + i] += dy[r];
  },

  poolSequencesBackward(dx, dy, x, offsets, size, how) {
    for (let s = 0; s + 1 < offsets.length; s++) {
      const [begin, end] = [offsets[s], offsets[s + 1]];
      for (let i = 0; begin < end && i < size; i++) {
        let largest = begin;
        for (let r = begin; how === 'max' && r < end; r++) if (x[r * size + i] > x[largest * size + i]) largest = r;
        for (let r = begin; r < end; r++) {
          const part = how === 'max' ? Number(r === largest) : poolingWeight(how, r - begin, end - begin);
          if (part !== 0) dx[r * size + i] += part * dy[s * size + i];
        }
      }
    }
  },

  normalizeRowsBackward(dx, dy, x, rows, size) {
    for (let r = 0; r < rows; r++) {
      const row = r * size;
      const length = Math.sqrt(dot(x, row, x, row, size));
      const divisor = Math.max(length, 1e-12);
      const along = length >= 1e-12 ? dot(dy, row, x, row, size) / (divisor * divisor) : 0;
      for (let i = row; i < row + size; i++) dx[i] += (dy[i] - along * x[i]) / divisor;
    }
  },

  gatherBackward(dx, dy, indices) {
    for (let i = 0; i < indices.length; i++) if (indices[i] >= 0) dx[indices[i]] += dy[i];
  },

  crossEntropy(losses, x, labels, smoothing, rows, size) {
    for (let r = 0; r < rows; r++) {
      losses[r] = 0;
      if (labels[r] < 0) continue;
      const row = r * size;
      const normalizer = logSumExp(x, row, size);
      let mean = 0; // of ln p
      for (let i = row; smoothing > 0 && i < row + size; i++) mean += (x[i] - normalizer) / size;
      losses[r] = -(1 - smoothing) * (x[row + labels[r]] - normalizer) - (smoothing > 0 ? smoothing * mean : 0);
    }
  },

  crossEntropyBackward(dx, dLosses, x, labels, smoothing, rows, size) {
    for (let r = 0; r < rows; r++) {
      if (labels[r] < 0) continue;
      const normalizer = logSumExp(x, r * size, size);
      for (let i = 0; i < size; i++) {
        const target = (i === labels[r] ? 1 - smoothing : 0) + smoothing / size;
        dx[r * size + i] += dLosses[r] * (Math.exp(x[r * size + i] - normalizer) - target);
      }
    }
  },

  dropout(y, x, mask, size) {
    eachKept(mask, size, (i, factor) => (y[i] = x[i] * factor));
  },

  dropoutBackward(dx, dy, mask, size) {
    eachKept(mask, size, (i, factor) => (dx[i] += dy[i] * factor));
  },

  sumSquares(x) {
    let sum = 0;
    for (let i = 0; i < x.length; i++) sum += x[i] * x[i];
    return sum;
  },

  adamW(p, grad, m, v, { stepSize, beta1, beta2, eps, inverseRootCorrection, decay, l2, gradScale }, runs) {
    let i = 0;
    for (const [begin, end] of [...(runs ?? [[0, p.length]]), [p.length, p.length]]) {
      for (; i < begin; i++) p[i] *= decay;
      for (; i < end; i++) {
        const g = gradScale * grad[i] + l2 * p[i];
        const mean = beta1 * m[i] + (1 - beta1) * g;
        const square = beta2 * v[i] + (1 - beta2) * g * g;
        p[i] = decay * p[i] - (stepSize * mean) / (Math.sqrt(square) * inverseRootCorrection + eps);
        m[i] = mean;
        v[i] = square;
      }
    }
  },
};

/** What the probabilities of one query, `weights`, are after dropout. `i`: its row within the sequence that starts at `begin`. */
function dropAttention(
  weights: Float64Array,
  { stream, probability, keys, columns }: AttentionDropout,
  begin: number,
  head: number,
  query: number,
): void {
  const row = maskBits(maskRow(stream, keys[query]), head);
  for (let j = 0; j < weights.length; j++) {
    const kept = maskBits(row, columns[begin + j]) >= maskThreshold(probability);
    weights[j] *= kept ? 1 / (1 - probability) : 0;
  }
}

function eachKept({ stream, probability, keys }: DropoutMask, size: number, use: (i: number, factor: number) => void) {
  const threshold = maskThreshold(probability);
  keys.forEach((key, r) => {
    const row = maskRow(stream, key);
    for (let i = 0; i < size; i++) use(r * size + i, maskBits(row, i) >= threshold ? 1 / (1 - probability) : 0);
  });
}

/** The part of row r of `length` in a pooled vector. */
function poolingWeight(how: Exclude<Pooling, 'max'>, r: number, length: number): number {
  if (how === 'first') return Number(r === 0);
  if (how === 'last') return Number(r === length - 1);
  if (how === 'weightedMean') return (2 * (r + 1)) / (length * (length + 1));
  return 1 / (how === 'mean' ? length : Math.sqrt(length));
}

const zeroRows = (rows: number, size: number) => Array.from({ length: rows }, () => new Float64Array(size));

function dot(a: FloatArray, atA: number, b: FloatArray, atB: number, size: number): number {
  let sum = 0;
  for (let i = 0; i < size; i++) sum += a[atA + i] * b[atB + i];
  return sum;
}

/** sum += factor · x[at…] */
function addScaled(sum: Float64Array, factor: number, x: FloatArray, at: number): void {
  for (let i = 0; i < sum.length; i++) sum[i] += factor * x[at + i];
}

function addTo(gradient: FloatArray, at: number, sum: Float64Array): void {
  for (let i = 0; i < sum.length; i++) gradient[at + i] += sum[i];
}

function sumRowsInto(gradient: FloatArray, dy: FloatArray, rows: number, size: number): void {
  const sum = new Float64Array(size);
  for (let r = 0; r < rows; r++) addScaled(sum, 1, dy, r * size);
  addTo(gradient, 0, sum);
}

function logSumExp(x: FloatArray, begin: number, size: number): number {
  let max = -Infinity;
  for (let i = begin; i < begin + size; i++) max = Math.max(max, x[i]);
  let sum = 0;
  for (let i = begin; i < begin + size; i++) sum += Math.exp(x[i] - max);
  return max + Math.log(sum);
}

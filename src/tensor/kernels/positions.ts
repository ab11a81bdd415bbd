import type { BackwardKernels } from './backwardKernels.ts';
import type { FloatArray } from './kernels.ts';
import type { PositionKernels } from './positionKernels.ts';

/** The specification of the kernels that tell tokens by how far they are from each other. */
export const referencePositions: PositionKernels = {
  relativeBias(y, table, buckets, columns, offsets, heads) {
    forPairs(buckets, columns, offsets, heads, (pair, head, bucket) => (y[pair] = table[bucket * heads + head]));
  },

  disentangledBias(y, q, k, positionKeys, positionQueries, buckets, columns, offsets, heads, headSize, scale) {
    const width = heads * headSize;
    forPairs(buckets, columns, offsets, heads, (pair, head, bucket, i, j) => {
      const column = head * headSize;
      const [query, key, position] = [i, j, bucket].map((row) => row * width + column);
      let sum = 0;
      for (let d = 0; d < headSize; d++) {
        if (positionKeys) sum += q[query + d] * positionKeys[position + d];
        if (positionQueries) sum += k[key + d] * positionQueries[position + d];
      }
      y[pair] = sum * scale;
    });
  },

  rotary(y, x, cosines, sines, { rows, heads, headSize, pairs, interleaved, stride, begin }) {
    for (let r = 0; r < rows; r++) {
      for (let head = 0; head < heads; head++) {
        const from = r * stride + begin + head * headSize;
        const to = (r * heads + head) * headSize;
        for (let i = 2 * pairs; i < headSize; i++) y[to + i] = x[from + i];
        for (let p = 0; p < pairs; p++) {
          const [first, second] = interleaved ? [2 * p, 2 * p + 1] : [p, p + pairs];
          const [a, b] = [x[from + first], x[from + second]];
          const [cosine, sine] = [cosines[r * pairs + p], sines[r * pairs + p]];
          y[to + first] = a * cosine - b * sine;
          y[to + second] = b * cosine + a * sine;
        }
      }
    }
  },
};

/** Their backward kernels. */
export const positionBackward: Pick<
  BackwardKernels,
  'relativeBiasBackward' | 'disentangledBiasBackward' | 'rotaryBackward'
> = {
  relativeBiasBackward(dTable, dy, buckets, columns, offsets, heads) {
    const sums = new Float64Array(dTable.length);
    forPairs(buckets, columns, offsets, heads, (pair, head, bucket) => (sums[bucket * heads + head] += dy[pair]));
    addTo(dTable, sums);
  },

  disentangledBiasBackward(dq, dk, dPositionKeys, dPositionQueries, dy, q, k, positionKeys, positionQueries, ...rest) {
    const [buckets, columns, offsets, heads, headSize, scale] = rest;
    const width = heads * headSize;
    const sumsOf = (gradient: FloatArray | null) => new Float64Array(gradient?.length ?? 0);
    const [qSums, kSums, keySums, querySums] = [dq, dk, dPositionKeys, dPositionQueries].map(sumsOf);
    forPairs(buckets, columns, offsets, heads, (pair, head, bucket, i, j) => {
      const column = head * headSize;
      const [query, key, position] = [i, j, bucket].map((row) => row * width + column);
      const given = dy[pair] * scale;
      for (let d = 0; d < headSize; d++) {
        if (positionKeys && dq) qSums[query + d] += given * positionKeys[position + d];
        if (dPositionKeys) keySums[position + d] += given * q[query + d];
        if (positionQueries && dk) kSums[key + d] += given * positionQueries[position + d];
        if (dPositionQueries) querySums[position + d] += given * k[key + d];
      }
    });
    addTo(dq, qSums);
    addTo(dk, kSums);
    addTo(dPositionKeys, keySums);
    addTo(dPositionQueries, querySums);
  },

  rotaryBackward(dx, dy, cosines, sines, { rows, heads, headSize, pairs, interleaved, stride, begin }) {
    for (let r = 0; r < rows; r++) {
      for (let head = 0; head < heads; head++) {
        const to = r * stride + begin + head * headSize;
        const from = (r * heads + head) * headSize;
        for (let i = 2 * pairs; i < headSize; i++) dx[to + i] += dy[from + i];
        for (let p = 0; p < pairs; p++) {
          const [first, second] = interleaved ? [2 * p, 2 * p + 1] : [p, p + pairs];
          const [a, b] = [dy[from + first], dy[from + second]];
          const [cosine, sine] = [cosines[r * pairs + p], sines[r * pairs + p]];
          dx[to + first] += a * cosine + b * sine;
          dx[to + second] += b * cosine - a * sine;
        }
      }
    }
  },
};

function addTo(gradient: FloatArray | null, sums: Float64Array): void {
  if (gradient) for (let i = 0; i < sums.length; i++) gradient[i] += sums[i];
}

/** Visits every pair of tokens (i, j) of every sequence, head by head; `bucket` says how far j is before i. */
function forPairs(
  buckets: Int32Array,
  columns: Int32Array,
  offsets: Int32Array,
  heads: number,
  visit: (pair: number, head: number, bucket: number, i: number, j: number) => void,
): void {
  const reach = (buckets.length - 1) / 2;
  let pair = 0;
  for (let head = 0; head < heads; head++) {
    for (let s = 0; s + 1 < offsets.length; s++) {
      for (let i = offsets[s]; i < offsets[s + 1]; i++) {
        for (let j = offsets[s]; j < offsets[s + 1]; j++) {
          visit(pair++, head, buckets[reach + columns[i] - columns[j]], i, j);
        }
      }
    }
  }
}

import type { Kernels } from './kernels.ts';

/** The specification of the kernels that tell tokens by how far they are from each other. */
export const positionKernels: Pick<Kernels, 'relativeBias' | 'disentangledBias' | 'rotary'> = {
  relativeBias(y, table, buckets, columns, offsets, heads) {
    forPairs(y, buckets, columns, offsets, heads, (head, bucket) => table[bucket * heads + head]);
  },

  disentangledBias(y, q, k, positionKeys, positionQueries, buckets, columns, offsets, heads, headSize, scale) {
    const width = heads * headSize;
    forPairs(y, buckets, columns, offsets, heads, (head, bucket, i, j) => {
      const column = head * headSize;
      const [query, key, position] = [i, j, bucket].map((row) => row * width + column);
      let sum = 0;
      for (let d = 0; d < headSize; d++) {
        if (positionKeys) sum += q[query + d] * positionKeys[position + d];
        if (positionQueries) sum += k[key + d] * positionQueries[position + d];
      }
      return sum * scale;
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

/** y[h, pair (i, j)] = value(h, bucket of how far j is before i, i, j), for every pair of tokens of every sequence. */
function forPairs(
  y: { [index: number]: number },
  buckets: Int32Array,
  columns: Int32Array,
  offsets: Int32Array,
  heads: number,
  value: (head: number, bucket: number, i: number, j: number) => number,
): void {
  const reach = (buckets.length - 1) / 2;
  let pair = 0;
  for (let head = 0; head < heads; head++) {
    for (let s = 0; s + 1 < offsets.length; s++) {
      for (let i = offsets[s]; i < offsets[s + 1]; i++) {
        for (let j = offsets[s]; j < offsets[s + 1]; j++) {
          y[pair++] = value(head, buckets[reach + columns[i] - columns[j]], i, j);
        }
      }
    }
  }
}

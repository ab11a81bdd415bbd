import type { FloatArray } from './kernels.ts';

/** Which numbers `rotary` turns. */
export interface RotaryShape {
  rows: number;
  heads: number;
  headSize: number;
  /** Pairs of each head that are turned, headSize / 2 at most. */
  pairs: number;
  interleaved: boolean;
  /** Numbers from one row of x to the next, and the first that counts. */
  stride: number;
  begin: number;
}

/** Kernels that tell tokens by how far they are from each other, beside `Kernels`: BERT adds its positions, other families need these. */
export interface PositionKernels {
  /**
   * y[h,·] = a number for each pair of tokens of a sequence, table[buckets[reach + column of i - column of j], h], in the
   * layout of attention's bias; table is [buckets, heads], buckets [2·reach + 1].
   */
  relativeBias(
    y: FloatArray,
    table: FloatArray,
    buckets: Int32Array,
    columns: Int32Array,
    offsets: Int32Array,
    heads: number,
  ): void;

  /**
   * What DeBERTa adds to scores, in the layout of attention's bias: y[h,i,j] = (q[i]·positionKeys[r] + k[j]·positionQueries[r]) · scale
   * with r = buckets[reach + column of i - column of j], head by head; a term whose table is null is left out.
   * q and k are [totalTokens, heads·headSize], the tables [rows, heads·headSize], buckets [2·reach + 1].
   */
  disentangledBias(
    y: FloatArray,
    q: FloatArray,
    k: FloatArray,
    positionKeys: FloatArray | null,
    positionQueries: FloatArray | null,
    buckets: Int32Array,
    columns: Int32Array,
    offsets: Int32Array,
    heads: number,
    headSize: number,
    scale: number,
  ): void;

  /**
   * Rotates pairs of numbers of each head: (a, b) → (a·cos - b·sin, b·cos + a·sin), by the angles of cosines and sines
   * [rows, pairs]. A pair p is numbers p and p + pairs of the head, or 2p and 2p + 1 if interleaved; numbers after the
   * pairs stay as they are. x is columns begin to begin + heads·headSize of a matrix [rows, stride]; y is [rows, heads·headSize].
   */
  rotary(y: FloatArray, x: FloatArray, cosines: FloatArray, sines: FloatArray, shape: RotaryShape): void;
}

import { ShapeError } from '../../errors.ts';
import { record } from '../autograd.ts';
import { sharedEngine, type Engine } from '../engine.ts';
import { positionKernels } from '../positionKernels.ts';
import { expectRank, expectShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { expectOffsets, pairsOf } from './attention.ts';

/** Where the tokens of a packed batch stand. */
export interface Places {
  /** Sequence s is rows offsets[s] to offsets[s+1]. [sequences + 1] */
  offsets: Int32Array;
  /** Column of each token in its original sequence, dropped tokens counted. [totalTokens] */
  columns: Int32Array;
}

/**
 * The row of a table for every distance that occurs: of distance d it is `buckets[reach + d]`, where d is a token's column
 * less that of the token it looks at, and reach the longest distance. [2·reach + 1]
 */
export function relativeBuckets(places: Places, bucketOf: (distance: number) => number): Int32Array {
  const reach = longestDistance(places);
  return Int32Array.from({ length: 2 * reach + 1 }, (_, i) => bucketOf(i - reach));
}

/** Between two tokens of a sequence; columns rise within each. */
function longestDistance({ offsets, columns }: Places): number {
  let longest = 0;
  for (let s = 0; s + 1 < offsets.length; s++) {
    if (offsets[s] < offsets[s + 1]) longest = Math.max(longest, columns[offsets[s + 1] - 1] - columns[offsets[s]]);
  }
  return longest;
}

/**
 * A number for every pair of tokens of a sequence, by how far they are from each other: `bias` of `attention`.
 * Source: Raffel et al. 2020, §2.1 (T5); Song et al. 2020 (MPNet) use it.
 *
 * @param table   [buckets, heads]
 * @param buckets as `relativeBuckets` gives them
 * @returns       [heads, Σ length²]
 */
export function relativeBias(table: Tensor, buckets: Int32Array, { offsets, columns }: Places): Tensor {
  const { engine } = table;
  expectRank('relativeBias: table', table.shape, 2);
  const heads = table.shape[1];
  expectOffsets('relativeBias', offsets, columns.length);
  expectBuckets('relativeBias', buckets, table.shape[0], { offsets, columns });
  const y = engine.empty([heads, pairsOf(offsets)]);
  positionKernels(engine).relativeBias(y.data, table.data, buckets, columns, offsets, heads);
  return record(y, [table], (dy, [dTable], backward) =>
    backward.relativeBiasBackward(dTable!.data, dy.data, buckets, columns, offsets, heads),
  );
}

export interface DisentangledOptions extends Places {
  /** As `relativeBuckets` gives them. */
  buckets: Int32Array;
  heads: number;
  scale: number;
}

/**
 * What distance adds to the scores of disentangled attention: content to position, q[i]·positionKeys[r], and position to
 * content, k[j]·positionQueries[r], with r the bucket of column i - column j; scaled. It is `bias` of `attention`.
 * Source: He et al. 2021, arXiv:2006.03654, §3.1.
 *
 * @param q,k              [totalTokens, heads·headSize]
 * @param positionKeys     [rows, heads·headSize], or null to leave its term out
 * @param positionQueries  the same
 * @returns                [heads, Σ length²]
 */
export function disentangledBias(
  q: Tensor,
  k: Tensor,
  positionKeys: Tensor | null,
  positionQueries: Tensor | null,
  { buckets, heads, scale, offsets, columns }: DisentangledOptions,
): Tensor {
  const engine = sharedEngine('disentangledBias', q, k, positionKeys, positionQueries);
  expectRank('disentangledBias: q', q.shape, 2);
  const [totalTokens, width] = q.shape;
  expectShape('disentangledBias: k', k.shape, q.shape);
  expectShape('disentangledBias: columns', [columns.length], [totalTokens]);
  expectOffsets('disentangledBias', offsets, totalTokens);
  for (const table of [positionKeys, positionQueries]) {
    if (table === null) continue;
    expectShape('disentangledBias: table', table.shape, [table.shape[0], width]);
    expectBuckets('disentangledBias', buckets, table.shape[0], { offsets, columns });
  }
  const y = engine.empty([heads, pairsOf(offsets)]);
  const numbers = (tensors: readonly (Tensor | null)[]) => tensors.map((x) => x && x.data);
  const sizes = [buckets, columns, offsets, heads, width / heads, scale] as const;
  const [keys, queries] = numbers([positionKeys, positionQueries]);
  positionKernels(engine).disentangledBias(y.data, q.data, k.data, keys, queries, ...sizes);
  return record(y, [q, k, positionKeys, positionQueries], (dy, gradients, backward) => {
    const [dq, dk, dKeys, dQueries] = numbers(gradients);
    const [keys, queries] = numbers([positionKeys, positionQueries]);
    const given = [dy.data, q.data, k.data, keys, queries] as const;
    backward.disentangledBiasBackward(dq, dk, dKeys, dQueries, ...given, ...sizes);
  });
}

/** Cosines and sines by which `rotary` turns each token's pairs. */
export interface Rotation {
  /** [totalTokens, pairs] */
  cosines: Tensor;
  sines: Tensor;
}

/**
 * Angles of rotary positions: pair p of a token in column c turns by c · theta^(-p / pairs), or by c times the p-th of the
 * frequencies that are given for each token, in rising order.
 *
 * @param scale of cosines and sines
 */
export function rotationOf(
  engine: Engine,
  columns: Int32Array,
  pairs: number,
  theta: number | ((token: number) => readonly number[]),
  scale = 1,
): Rotation {
  const cosines = engine.empty([columns.length, pairs]);
  const sines = engine.empty([columns.length, pairs]);
  const same = typeof theta === 'number' ? Array.from({ length: pairs }, (_, p) => theta ** (-p / pairs)) : [];
  const [cosine, sine] = [cosines.data, sines.data];
  columns.forEach((column, token) => {
    const frequencies = typeof theta === 'number' ? same : theta(token);
    frequencies.forEach((frequency, p) => {
      cosine[token * pairs + p] = scale * Math.cos(column * frequency);
      sine[token * pairs + p] = scale * Math.sin(column * frequency);
    });
  });
  return { cosines, sines };
}

export interface RotaryOptions {
  heads: number;
  headSize: number;
  /** First column of the heads in x. Default 0. */
  begin?: number;
  /** Pairs are neighbours, not halves of a head. Default false. */
  interleaved?: boolean;
}

/**
 * Rotary positions: turns pairs of numbers of each head by an angle that grows with the token's column, so that products of
 * queries and keys depend on their distance. Numbers of a head after the pairs stay as they are.
 * Source: Su et al. 2021, arXiv:2104.09864, §3.4.
 *
 * @param x [totalTokens, width], whose columns from `begin` on hold the heads
 * @returns [totalTokens, heads·headSize]
 */
export function rotary(x: Tensor, { cosines, sines }: Rotation, options: RotaryOptions): Tensor {
  const { heads, headSize, begin = 0, interleaved = false } = options;
  const engine = sharedEngine('rotary', x, cosines, sines);
  expectRank('rotary: x', x.shape, 2);
  const [rows, stride] = x.shape;
  const pairs = cosines.shape[1];
  expectShape('rotary: cosines', cosines.shape, [rows, pairs]);
  expectShape('rotary: sines', sines.shape, [rows, pairs]);
  if (2 * pairs > headSize || begin + heads * headSize > stride) {
    throw new ShapeError({
      what: 'rotary: x',
      expected: `${begin} + ${heads} heads of at least ${2 * pairs} columns`,
      got: `${stride} columns, heads of ${headSize}`,
    });
  }
  const y = engine.empty([rows, heads * headSize]);
  const shape = { rows, heads, headSize, pairs, interleaved, stride, begin };
  positionKernels(engine).rotary(y.data, x.data, cosines.data, sines.data, shape);
  return record(y, [x], (dy, [dx], backward) =>
    backward.rotaryBackward(dx!.data, dy.data, cosines.data, sines.data, shape),
  );
}

function expectBuckets(op: string, buckets: Int32Array, rows: number, places: Places): void {
  const bad = buckets.find((bucket) => bucket < 0 || bucket >= rows);
  const least = 2 * longestDistance(places) + 1;
  if (bad === undefined && buckets.length % 2 === 1 && buckets.length >= least) return;
  throw new ShapeError({
    what: `${op}: buckets`,
    expected: `an odd number of them, ${least} or more, 0 to ${rows - 1}`,
    got: `${buckets.length} of them${bad === undefined ? '' : `, ${bad} among them`}`,
    fix: 'make them with relativeBuckets',
  });
}

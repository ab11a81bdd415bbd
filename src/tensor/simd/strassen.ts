/**
 * Products of two halves by two halves by seven multiplications instead of eight. On whole numbers that costs no accuracy: modulo
 * 2³² the sums are the same ones, whatever rows share a tile.
 * Source: Strassen, Gaussian elimination is not optimal, 1969, in Winograd's form of 15 additions.
 *
 * Of rows it takes eight at a time, four and four, of panels two, and of both the halves of their depth:
 *
 *     x = | A11 A12 |   weightᵀ = | B11 B12 |
 *         | A21 A22 |             | B21 B22 |
 */
import { rowAddresses, type FunctionReference, type ModuleBuilder } from './assembler.ts';
import type { Local, Value } from './instructions/encoding.ts';
import * as i16x8 from './instructions/i16x8.ts';
import * as i32 from './instructions/i32.ts';
import * as i32x4 from './instructions/i32x4.ts';
import * as v128 from './instructions/v128.ts';
import { addProduct, storeSums } from './int8Tile.ts';

/** Rows of a quadrant of x. */
const ROWS = 4;
/** Rows that go together. */
export const SQUARE_ROWS = 2 * ROWS;

/** Pieces of half a panel's depth, as `widenPair` leaves them: T1 = B12 - B11, T2 = B22 - T1, T3 = B22 - B12, T4 = B21 - T2. */
const [B11, B21, , B22, T1, T2, T3, T4, PIECES] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
/** Sums of quadrants of x: S1 = A21 + A22, S2 = S1 - A11, S3 = A11 - A21, S4 = A12 - S2. They are below 2¹³. */
const [S1, S2, S3, S4] = [0, 1, 2, 3];

/** Bytes of scratch memory that `squares` needs for panels of so many groups: the pieces, and three tiles of sums. */
export const squareScratchBytes = (groups: number, vectors: number): number =>
  PIECES * 8 * vectors * groups + 3 * 16 * ROWS * vectors;

/** Bytes of `sumQuadrants`' sums for eight rows: as many as the rows themselves take. */
export const squareSumBytes = (groups: Value<'i32'>): Value<'i32'> => i32.mul(groups, 4 * SQUARE_ROWS);

/** `sumQuadrants`: S1 to S4 for every eight rows of x that `roundRows` left by twos, int16. The groups of a row are a multiple of 8. */
export function defineSumQuadrants(module: ModuleBuilder): void {
  module.define('sumQuadrants', 'iiii', (fn, sums, x, eights, groups) => {
    const half = fn.let(i32.shl(groups, 1)); // bytes of half a row
    fn.repeat(eights, () => {
      fn.repeat(i32.const(ROWS), () => {
        const from = rowAddresses(fn, x, half, 2);
        from.push(...rowAddresses(fn, i32.add(x, i32.mul(half, 2 * ROWS)), half, 2));
        const to = rowAddresses(fn, sums, i32.mul(half, ROWS), 4);
        fn.repeat(i32.shr_u(half, 4), () => {
          const [a11, a12, a21, a22] = from.map((at) => fn.let(v128.load(at)));
          const s1 = fn.let(i16x8.add(a21, a22));
          const s2 = fn.let(i16x8.sub(s1, a11));
          const all = [s1, s2, i16x8.sub(a11, a21), i16x8.sub(a12, s2)];
          all.forEach((sum, i) => fn.store(v128.store(to[i], sum)));
          for (const at of [...from, ...to]) fn.advance(at, 16);
        });
        fn.set(x, from[1]); // where this row ends
        fn.set(sums, to[0]);
      });
      fn.advance(x, i32.mul(half, 2 * ROWS));
      fn.advance(sums, i32.mul(half, 3 * ROWS));
    });
  });
}

/** `widenPair`: two panels by twos as int16, B11 to T4 one after the other, of which the first four are the panels. */
function defineWidenPair(module: ModuleBuilder, vectors: number): FunctionReference<null> {
  return module.define('widenPair', 'iii', (fn, pieces, panel, groups) => {
    const panelBytes = fn.let(i32.mul(groups, 8 * vectors));
    const from = rowAddresses(fn, panel, i32.shr_u(panelBytes, 1), 4);
    const to = rowAddresses(fn, pieces, panelBytes, PIECES);
    fn.repeat(i32.shr_u(panelBytes, 4), () => {
      const [b11, b21, b12, b22] = from.map((at) => fn.let(i16x8.load8x8_s(at)));
      const t1 = fn.let(i16x8.sub(b12, b11));
      const t2 = fn.let(i16x8.sub(b22, t1));
      const sums = [t1, t2, i16x8.sub(b22, b12), i16x8.sub(b21, t2)];
      [b11, b21, b12, b22, ...sums].forEach((piece, i) => fn.store(v128.store(to[i], piece)));
      for (const at of from) fn.advance(at, 8);
      for (const at of to) fn.advance(at, 16);
    });
  });
}

/**
 * `squares`: y = x · weightᵀ · scales + bias for `count` times eight rows and two panels, whose biases are `biasStep` bytes apart.
 * `sums` are those of `sumQuadrants`. Leaves the panels, widened, where `pieces`, the scratch memory, begins.
 */
export function defineSquares(module: ModuleBuilder, vectors: number): FunctionReference<null> {
  const widenPair = defineWidenPair(module, vectors);
  return module.define('squares', 'iiiiiiiiiiii', (fn, ...args) => {
    const [y, x, sums, panel, pieces, bias, biasStep, scales, rowScales, groups, yStride, count] = args;
    const half = fn.let(i32.shl(groups, 1)); // bytes of half a row
    const row = fn.let(i32.shl(half, 1));
    const pieceBytes = fn.let(i32.mul(groups, 8 * vectors));
    const spare = fn.let(i32.add(pieces, i32.mul(pieceBytes, PIECES)));
    const steps = fn.let(i32.shr_u(groups, 1));
    const tile = Array.from({ length: ROWS }, () => Array.from({ length: vectors }, () => fn.local('v128')));
    const all = tile.flat();

    /** tile += four rows · a piece */
    const add = (rows: Value<'i32'>, stride: Local<'i32'>, piece: number) => {
      const weights = fn.let(i32.add(pieces, i32.mul(pieceBytes, piece)));
      addProduct(fn, tile, rowAddresses(fn, rows, stride, ROWS), weights, steps, 2);
    };
    const addQuadrant = (bytes: Value<'i32'>, piece: number) => add(i32.add(x, bytes), row, piece);
    const addSum = (sum: number, piece: number) => add(i32.add(sums, i32.mul(half, ROWS * sum)), half, piece);
    const at = (place: number, i: number) => 16 * (place * all.length + i);
    const save = (place: number) => all.forEach((sum, i) => fn.store(v128.store(spare, sum, at(place, i))));
    const load = (place: number) => all.forEach((sum, i) => fn.set(sum, v128.load(spare, at(place, i))));
    const plus = (place: number) =>
      all.forEach((sum, i) => fn.set(sum, i32x4.add(sum, v128.load(spare, at(place, i)))));
    const clear = () => all.forEach((sum) => fn.set(sum, v128.const(0)));
    /** A quadrant of y, of the upper or lower rows and the left or right panel, is done. */
    const put = (lower: 0 | 1, right: 0 | 1) =>
      storeSums(fn, tile, fn.let(i32.add(y, i32.add(i32.mul(yStride, ROWS * lower), 16 * vectors * right))), yStride, {
        bias: i32.add(bias, i32.mul(biasStep, right)),
        scales: i32.add(scales, 16 * vectors * right),
        rowScales: i32.add(rowScales, 4 * ROWS * lower),
      });

    fn.call(widenPair, pieces, panel, groups);
    fn.repeat(count, () => {
      clear();
      addQuadrant(i32.const(0), B11);
      save(0); // A11·B11
      addQuadrant(half, B21);
      put(0, 0);

      load(0);
      addSum(S2, T2);
      save(1); // A11·B11 + S2·T2
      addSum(S3, T3);
      save(2); // A11·B11 + S2·T2 + S3·T3
      addQuadrant(i32.add(i32.mul(row, ROWS), half), T4); // A22
      put(1, 0);

      clear();
      addSum(S1, T1);
      save(0);
      plus(2);
      put(1, 1);

      load(0);
      plus(1);
      addSum(S4, B22);
      put(0, 1);

      fn.advance(y, i32.mul(yStride, SQUARE_ROWS));
      fn.advance(x, i32.mul(row, SQUARE_ROWS));
      fn.advance(sums, squareSumBytes(groups));
      fn.advance(rowScales, 4 * SQUARE_ROWS);
    });
  });
}

/**
 * Products of float32 by quarters: seven multiplications instead of eight, as of quadrants in strassen.ts, which has the source. Only
 * gradients are made so, since rounding is shared:
 *
 *     x = | A11 A12 |   two panels = | B11 B12 |
 *         | A21 A22 |                | B21 B22 |
 *
 * A row of the upper half of x and one of the lower half are partners, and so are a column of one panel and that of the other: all
 * four parts of the two are rounded as the largest needs it, so that one of a tenth of its size has ten times its error. Where
 * one is far smaller, zero, or no number, products are made as usual: Adam divides a gradient by its size, and what is zero must
 * stay so. Results depend on the tile's columns, but not on threads.
 */
import {
  call,
  rowAddresses,
  sumLanes,
  type FunctionBuilder,
  type FunctionReference,
  type ModuleBuilder,
} from './assembler.ts';
import type { Local, Value } from './instructions/encoding.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as i32 from './instructions/i32.ts';
import * as i32x4 from './instructions/i32x4.ts';
import { forBlocks, type Tile } from './linear.ts';

/** Sums of quarters of x: S1 = A21 + A22, S2 = S1 - A11, S3 = A11 - A21, S4 = A12 - S2. */
const [S1, S2, S3, S4] = [0, 1, 2, 3];
/** And of two panels: T1 = B12 - B11, T2 = B22 - T1, T3 = B22 - B12, T4 = B21 - T2. */
const [T1, T2, T3, T4] = [0, 1, 2, 3];

/** Absolute numbers of two partners are added up in four parts. Each must be at least this share of all. */
const LEAST_SHARE = 2 ** -10;
/** And all no more than this: sums of quarters stay finite. */
const MOST = 2 ** 120;

/** Pairs of panels whose sums are made at a time, for all rows: at a depth of 1024, they and the panels take two MiB. */
const PAIRS = 16;

/** Depths are multiples of this. */
export const DEPTH_STEP = 8;

/** Bytes from a row's sums of quarters to the next one's. Behind the sums stands a mark. */
export const sumStrideOf = (depth: number): number => 8 * depth + 64;

/** Bytes of scratch memory that `productOfQuarters` needs: sums of panels, three products, and marks. */
export const quartersScratchBytes = (halfRows: number, depth: number, { vectors }: Tile): number =>
  16 * vectors * (2 * PAIRS * depth + 3 * halfRows) + 4 * PAIRS;

/**
 * Four quarters' numbers into four sums, at addresses that are moved on.
 * @param sizes per vector, what the quarters' absolute numbers are added to
 */
function sumFour(
  fn: FunctionBuilder,
  from: Local<'i32'>[],
  to: Local<'i32'>[],
  sizes: Local<'v128'>[][],
  sumsOf: (...numbers: Local<'v128'>[]) => Value<'v128'>[],
): void {
  sizes.forEach((four, v) => {
    const numbers = from.map((at) => fn.let(f32x4.load(at, 16 * v)));
    four.forEach((size, i) => fn.set(size, f32x4.add(size, f32x4.abs(numbers[i]))));
    sumsOf(...numbers).forEach((sum, i) => fn.store(f32x4.store(to[i], sum, 16 * v)));
  });
  for (const at of [...from, ...to]) fn.advance(at, 16 * sizes.length);
}

/** Whether four parts are finite, and none is a small share of all; in every lane. */
function areAlike(fn: FunctionBuilder, parts: Local<'v128'>[]): Value<'i32'> {
  const all = fn.let(parts.map((part): Value<'v128'> => part).reduce(f32x4.add));
  const least = fn.let(f32x4.mul(all, f32x4.const(LEAST_SHARE)));
  const areEnough = parts.map((part) => i32x4.all_true(f32x4.ge(part, least)));
  return areEnough.reduce(i32.and, i32x4.all_true(f32x4.ge(f32x4.const(MOST), all)));
}

/**
 * `sumQuarters`: S1 to S4, one after the other, for the rows of the upper half of x, whose lower half is `toLower` bytes further;
 * and behind them 1 where these two rows are alike.
 */
export function defineSumQuarters(module: ModuleBuilder): void {
  module.define('sumQuarters', 'iiiiiii', (fn, sums, x, halfRows, depth, xStride, toLower, sumStride) => {
    const halfBytes = fn.let(i32.shl(depth, 1)); // of a row
    const sizes = Array.from({ length: 4 }, () => fn.local('v128'));
    fn.repeat(halfRows, () => {
      const from = [...rowAddresses(fn, x, halfBytes, 2), ...rowAddresses(fn, i32.add(x, toLower), halfBytes, 2)];
      const to = rowAddresses(fn, sums, halfBytes, 4);
      for (const size of sizes) fn.set(size, f32x4.const(0));
      fn.repeatAtLeastOnce(i32.shr_u(halfBytes, 4), () => {
        sumFour(fn, from, to, [sizes], (a11, a12, a21, a22) => {
          const s1 = fn.let(f32x4.add(a21, a22));
          const s2 = fn.let(f32x4.sub(s1, a11));
          return [s1, s2, f32x4.sub(a11, a21), f32x4.sub(a12, s2)];
        });
      });
      for (const size of sizes) fn.set(size, f32x4.splat(sumLanes(size)));
      fn.store(i32.store(to[3], areAlike(fn, sizes))); // where the sums end
      fn.advance(x, xStride);
      fn.advance(sums, sumStride);
    });
  });
}

/** `sumPanelPair`: T1 to T4 of two panels, one after the other. @returns whether each column is like its partner */
function defineSumPanelPair(module: ModuleBuilder, { vectors }: Tile): FunctionReference<'i32'> {
  return module.define('sumPanelPair', 'iiii', (fn, sums, panel, panelStep, depth) => {
    const halfBytes = fn.let(i32.mul(depth, 8 * vectors)); // of a panel
    const from = [
      ...rowAddresses(fn, panel, halfBytes, 2),
      ...rowAddresses(fn, i32.add(panel, panelStep), halfBytes, 2),
    ];
    const to = rowAddresses(fn, sums, halfBytes, 4);
    const sizes = Array.from({ length: vectors }, () => Array.from({ length: 4 }, () => fn.local('v128')));
    fn.repeat(i32.shr_u(depth, 1), () => {
      sumFour(fn, from, to, sizes, (b11, b21, b12, b22) => {
        const t1 = fn.let(f32x4.sub(b12, b11));
        const t2 = fn.let(f32x4.sub(b22, t1));
        return [t1, t2, f32x4.sub(b22, b12), f32x4.sub(b21, t2)];
      });
    });
    return sizes.map((four) => areAlike(fn, four)).reduce((all, one) => i32.and(all, one));
  });
}

/** Where numbers are, and how many bytes from one row to the next. */
type Rows = readonly [address: Value<'i32'>, stride: Value<'i32'> | number];

/**
 * `productOfQuarters`: as `product`, y += x · panels or, when it `writes`, y = x · panels, for `pairs` of panels, `panelStep` bytes
 * apart, and 2 · `halfRows` rows, with the sums of `sumQuarters`.
 */
export function defineProductOfQuarters(
  module: ModuleBuilder,
  tile: Tile,
  addPanel: FunctionReference<null>,
  addRows: FunctionReference<null>,
): void {
  const columns = 4 * tile.vectors;
  const panelBytes = 4 * columns;
  const sumPanelPair = defineSumPanelPair(module, tile);
  const areRowsAlike = defineAreRowsAlike(module);
  const addLast = defineAddLast(module, tile);
  module.define('productOfQuarters', 'iiiiiiiiiiiiiii', (fn, ...args) => {
    const [y, x, sums, panels, halfRows, depth, pairs, xStride, sumStride, yStride, yStep, panelStep, writes] = args;
    const [zeros, scratch] = args.slice(13);
    const halfDepth = fn.let(i32.shr_u(depth, 1));
    const halfRowBytes = fn.let(i32.shl(halfDepth, 2));
    const halfPanelBytes = fn.let(i32.mul(halfDepth, panelBytes));
    const xLower = fn.let(i32.mul(halfRows, xStride));
    const yLower = fn.let(i32.mul(halfRows, yStride));
    const products = fn.let(i32.add(scratch, i32.mul(halfPanelBytes, 4 * PAIRS)));
    const [u2, u3, u4, marks] = rowAddresses(fn, products, i32.mul(halfRows, panelBytes), 4);
    const [group, left, xBlock, sumBlock, yBlock, block, alike, panel, pairSums, mark] = fn.locals('i32');
    const [c11, c12, c21, c22] = fn.locals('i32');
    const forPairs = (body: () => void) => {
      fn.set(panel, panels);
      fn.set(pairSums, scratch);
      fn.set(mark, marks);
      fn.repeat(group, () => {
        body();
        fn.advance(panel, i32.shl(panelStep, 1));
        fn.advance(pairSums, i32.shl(halfPanelBytes, 2));
        fn.advance(mark, 4);
      });
    };

    const a = (lower: number, right: number): Rows => {
      const upper = right ? i32.add(xBlock, halfRowBytes) : xBlock;
      return [lower ? i32.add(upper, xLower) : upper, xStride];
    };
    const s = (number: number): Rows => [i32.add(sumBlock, i32.mul(halfRowBytes, number)), sumStride];
    const b = (lower: number, right: number) => {
      const upper = right ? i32.add(panel, panelStep) : panel;
      return lower ? i32.add(upper, halfPanelBytes) : upper;
    };
    const t = (number: number) => i32.add(pairSums, i32.mul(halfPanelBytes, number));
    /** Products that are not y's begin at zero, or at another one. */
    const zero: Rows = [zeros, 0];
    const product = (at: Local<'i32'>): Rows => [at, panelBytes];
    /** What is written to y, or else added to what is there. */
    const orThere = ([address, stride]: Rows, there: Local<'i32'>): Rows => [
      i32.select(address, there, writes),
      i32.select(stride, yStride, writes),
    ];
    /** to = addend + rows · a panel, or a part of it */
    const multiply = (to: Rows, addend: Rows, rows: Rows, ofPanel: Value<'i32'>, depth: Local<'i32'>) =>
      fn.call(addPanel, to[0], ...addend, rows[0], ofPanel, block, depth, rows[1], to[1]);

    const byQuarters = () => {
      const some = (to: Local<'i32'>, addend: Rows, rows: Rows, ofPanel: Value<'i32'>) =>
        multiply(product(to), addend, rows, ofPanel, halfDepth);
      /** A quarter of y: another product and this one. */
      const last = (to: Local<'i32'>, other: Local<'i32'>, rows: Rows, ofPanel: Value<'i32'>) => {
        fn.if(i32.eq(writes, 0), () => fn.call(addRows, to, other, block, columns, yStride, panelBytes));
        multiply([to, yStride], orThere(product(other), to), rows, ofPanel, halfDepth);
      };
      some(u2, zero, a(0, 0), b(0, 0));
      last(c11, u2, a(0, 1), b(1, 0));
      some(u2, product(u2), s(S2), t(T2));
      some(u4, product(u2), s(S1), t(T1));
      last(c12, u4, s(S4), b(1, 1));
      some(u3, product(u2), s(S3), t(T3));
      last(c21, u3, a(1, 1), t(T4));
      fn.call(addLast, c22, u2, u3, u4, block, yStride, writes);
    };
    const asUsual = () => {
      [c11, c12, c21, c22].forEach((to, i) => {
        const [lower, right] = [i >> 1, i & 1];
        multiply([to, yStride], orThere(zero, to), a(lower, 0), b(0, right), depth);
      });
    };

    fn.while(pairs, () => {
      fn.set(group, i32.min(pairs, PAIRS));
      forPairs(() => fn.store(i32.store(mark, call(sumPanelPair, [pairSums, panel, panelStep, depth]))));
      fn.set(left, halfRows);
      fn.set(xBlock, x);
      fn.set(sumBlock, sums);
      fn.set(yBlock, y);
      // Seven quarters of a row, as if three times as many: panels need the cache more.
      const rowBytes = i32.mul(depth, 3 * (7 * 2));
      forBlocks(fn, left, rowBytes, (rows) => {
        fn.set(block, rows);
        fn.set(alike, call(areRowsAlike, [i32.add(sumBlock, i32.shl(depth, 3)), block, sumStride]));
        fn.set(c11, yBlock);
        forPairs(() => {
          fn.set(c12, i32.add(c11, yStep));
          fn.set(c21, i32.add(c11, yLower));
          fn.set(c22, i32.add(c21, yStep));
          fn.if(i32.and(alike, i32.load(mark)), byQuarters, asUsual);
          fn.advance(c11, i32.shl(yStep, 1));
        });
        fn.advance(xBlock, i32.mul(xStride, block));
        fn.advance(sumBlock, i32.mul(sumStride, block));
        fn.advance(yBlock, i32.mul(yStride, block));
      });
      fn.set(panels, panel); // behind the last of these pairs
      fn.advance(y, i32.mul(i32.shl(yStep, 1), group));
      fn.set(pairs, i32.sub(pairs, group));
    });
  });
}

/** `areRowsAlike`: whether all marks of `rows` rows are set. */
function defineAreRowsAlike(module: ModuleBuilder): FunctionReference<'i32'> {
  return module.define('areRowsAlike', 'iii', (fn, marks, rows, stride) => {
    const all = fn.let(i32.const(1));
    fn.repeat(rows, () => {
      fn.set(all, i32.and(all, i32.load(marks)));
      fn.advance(marks, stride);
    });
    return all;
  });
}

/** `addLast`: the last quarter of y, u4 + (u3 - u2), written or added. */
function defineAddLast(module: ModuleBuilder, { vectors }: Tile): FunctionReference<null> {
  return module.define('addLast', 'iiiiiii', (fn, y, u2, u3, u4, rows, yStride, writes) => {
    fn.repeatAtLeastOnce(rows, () => {
      const places = Array.from({ length: vectors }, (_, v) => 16 * v);
      const sums = places.map((at) =>
        fn.let(f32x4.add(f32x4.load(u4, at), f32x4.sub(f32x4.load(u3, at), f32x4.load(u2, at)))),
      );
      const add = (at: number, i: number) => fn.set(sums[i], f32x4.add(f32x4.load(y, at), sums[i]));
      fn.if(i32.eq(writes, 0), () => places.forEach(add));
      places.forEach((at, i) => fn.store(f32x4.store(y, sums[i], at)));
      for (const u of [u2, u3, u4]) fn.advance(u, 16 * vectors);
      fn.advance(y, yStride);
    });
  });
}

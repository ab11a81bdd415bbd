/**
 * Products of float32 by quarters: seven multiplications instead of eight, as in strassen.ts. Only gradients are made so: a row of y
 * depends on another one in its rounding.
 *
 *     x = | A11 A12 |   two panels = | B11 B12 |
 *         | A21 A22 |                | B21 B22 |
 *
 * x is halved by rows and by depth, panels go by two. Rounding is relative to the largest numbers of four quarters, no longer to
 * those of a sum's own row and column. So where a row or a column is all zeros, products are made as usual: a gradient that
 * is zero must stay so, since Adam divides it by its size.
 */
import { call, type FunctionReference, type ModuleBuilder } from './assembler.ts';
import type { Local, Value } from './instructions/encoding.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as i32 from './instructions/i32.ts';
import * as i32x4 from './instructions/i32x4.ts';
import * as v128 from './instructions/v128.ts';
import { rowAddresses } from './int8Tile.ts';
import { forBlocks, type Tile } from './linear.ts';

/** Sums of quarters of x: S1 = A21 + A22, S2 = S1 - A11, S3 = A11 - A21, S4 = A12 - S2. */
const [S1, S2, S3, S4] = [0, 1, 2, 3];
/** And of two panels: T1 = B12 - B11, T2 = B22 - T1, T3 = B22 - B12, T4 = B21 - T2. */
const [T1, T2, T3, T4] = [0, 1, 2, 3];

/** Pairs of panels whose sums are made at a time, to be used for all rows: with them, they fill a second cache. */
const PAIRS = 16;

/** Depth of x, and so of quarters, is a multiple of this. */
export const DEPTH_STEP = 8;

/** Bytes of scratch memory that `productOfQuarters` needs: sums of panels, and three products. */
export const quartersScratchBytes = (rows: number, depth: number, { vectors }: Tile): number =>
  16 * vectors * (2 * PAIRS * depth + 3 * rows) + 4 * PAIRS;

/**
 * `sumQuarters`: S1 to S4, one after the other, for `rows` rows of the upper half of x, whose lower half is `toLower` bytes
 * further; rows of sums are `sumStride` bytes apart. Writes a 1 at `found` when a row of x is all zeros.
 */
export function defineSumQuarters(module: ModuleBuilder): void {
  module.define('sumQuarters', 'iiiiiiii', (fn, sums, x, rows, depth, xStride, toLower, sumStride, found) => {
    const half = fn.let(i32.shl(depth, 1)); // bytes of half a row
    const [upper, lower] = [fn.local('v128'), fn.local('v128')];
    fn.repeat(rows, () => {
      const from = [...rowAddresses(fn, x, half, 2), ...rowAddresses(fn, i32.add(x, toLower), half, 2)];
      const to = rowAddresses(fn, sums, half, 4);
      for (const bits of [upper, lower]) fn.set(bits, v128.const(0));
      fn.repeatAtLeastOnce(i32.shr_u(half, 4), () => {
        const [a11, a12, a21, a22] = from.map((at) => fn.let(f32x4.load(at)));
        fn.set(upper, v128.or(upper, v128.or(a11, a12)));
        fn.set(lower, v128.or(lower, v128.or(a21, a22)));
        const s1 = fn.let(f32x4.add(a21, a22));
        const s2 = fn.let(f32x4.sub(s1, a11));
        const sumsOfFour = [s1, s2, f32x4.sub(a11, a21), f32x4.sub(a12, s2)];
        sumsOfFour.forEach((sum, i) => fn.store(f32x4.store(to[i], sum)));
        for (const at of [...from, ...to]) fn.advance(at, 16);
      });
      for (const bits of [upper, lower]) {
        fn.if(i32.eq(v128.any_true(withoutSigns(bits)), 0), () => fn.store(i32.store(found, i32.const(1))));
      }
      fn.advance(x, xStride);
      fn.advance(sums, sumStride);
    });
  });
}

/** `sumPanelPair`: T1 to T4 of two panels, one after the other. @returns whether no column of them is all zeros */
function defineSumPanelPair(module: ModuleBuilder, { vectors }: Tile): FunctionReference<'i32'> {
  return module.define('sumPanelPair', 'iiii', (fn, sums, panel, panelStep, depth) => {
    const half = fn.let(i32.mul(depth, 8 * vectors)); // bytes of half a panel
    const from = [...rowAddresses(fn, panel, half, 2), ...rowAddresses(fn, i32.add(panel, panelStep), half, 2)];
    const to = rowAddresses(fn, sums, half, 4);
    const columns = Array.from({ length: vectors }, () => [fn.local('v128'), fn.local('v128')]);
    fn.repeat(i32.shr_u(depth, 1), () => {
      columns.forEach(([left, right], v) => {
        const [b11, b21, b12, b22] = from.map((at) => fn.let(f32x4.load(at, 16 * v)));
        fn.set(left, v128.or(left, v128.or(b11, b21)));
        fn.set(right, v128.or(right, v128.or(b12, b22)));
        const t1 = fn.let(f32x4.sub(b12, b11));
        const t2 = fn.let(f32x4.sub(b22, t1));
        const sumsOfFour = [t1, t2, f32x4.sub(b22, b12), f32x4.sub(b21, t2)];
        sumsOfFour.forEach((sum, i) => fn.store(f32x4.store(to[i], sum, 16 * v)));
      });
      for (const at of [...from, ...to]) fn.advance(at, 16 * vectors);
    });
    return columns
      .flat()
      .map((bits) => i32x4.all_true(withoutSigns(bits)))
      .reduce(i32.and);
  });
}

/** Of numbers that were joined by `or`, so that it is 0 where all were, -0 too. */
const withoutSigns = (bits: Local<'v128'>) => i32x4.shl(bits, 1);

/**
 * `productOfQuarters`: as `product`, y += x · panels or, when it `writes`, y = x · panels, for `pairs` of panels, `panelStep` bytes
 * apart, and 2 · `rows` rows, with the sums of `sumQuarters`.
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
  const addLast = defineAddLast(module, tile);
  module.define('productOfQuarters', 'iiiiiiiiiiiiiii', (fn, ...args) => {
    const [y, x, sums, panels, rows, depth, pairs, xStride, sumStride, yStride, yStep, panelStep, writes] = args;
    const [zeros, scratch] = args.slice(13);
    const halfDepth = fn.let(i32.shr_u(depth, 1));
    const half = fn.let(i32.shl(halfDepth, 2)); // bytes of half a row of x
    const halfPanel = fn.let(i32.mul(halfDepth, panelBytes));
    const xLower = fn.let(i32.mul(rows, xStride));
    const yLower = fn.let(i32.mul(rows, yStride));
    const products = fn.let(i32.add(scratch, i32.mul(halfPanel, 4 * PAIRS)));
    const [u2, u3, u4, marks] = rowAddresses(fn, products, i32.mul(rows, panelBytes), 4);
    const [group, left, xBlock, sumBlock, yBlock, block, panel, pairSums, mark] = fn.locals('i32');
    const [c11, c12, c21, c22] = fn.locals('i32');
    const fromFirstPair = (body: () => void) => {
      fn.set(panel, panels);
      fn.set(pairSums, scratch);
      fn.set(mark, marks);
      fn.repeat(group, () => {
        body();
        fn.advance(panel, i32.shl(panelStep, 1));
        fn.advance(pairSums, i32.mul(halfPanel, 4));
        fn.advance(mark, 4);
      });
    };

    const a = (lower: number, right: number) => i32.add(xBlock, i32.add(i32.mul(xLower, lower), i32.mul(half, right)));
    const b = (lower: number, right: number) =>
      i32.add(panel, i32.add(i32.mul(halfPanel, lower), i32.mul(panelStep, right)));
    const s = (number: number) => i32.add(sumBlock, i32.mul(half, number));
    const t = (number: number) => i32.add(pairSums, i32.mul(halfPanel, number));

    const byQuarters = () => {
      /** A product of two quarters, added to what is at an address; `addend` is one of rows, or zeros. */
      const multiply = (
        to: Local<'i32'>,
        addend: Local<'i32'>,
        ofX: Value<'i32'>,
        ofPanel: Value<'i32'>,
        stride: Value<'i32'>,
      ) =>
        fn.call(
          addPanel,
          to,
          addend,
          addend === zeros ? 0 : panelBytes,
          ofX,
          ofPanel,
          block,
          halfDepth,
          stride,
          panelBytes,
        );
      /** The same, to a quarter of y. */
      const finish = (
        to: Local<'i32'>,
        addend: Local<'i32'>,
        ofX: Value<'i32'>,
        ofPanel: Value<'i32'>,
        stride: Value<'i32'>,
      ) => {
        fn.if(i32.eq(writes, 0), () => fn.call(addRows, to, addend, block, columns, yStride, panelBytes));
        const [from, fromStride] = [i32.select(addend, to, writes), i32.select(panelBytes, yStride, writes)];
        fn.call(addPanel, to, from, fromStride, ofX, ofPanel, block, halfDepth, stride, yStride);
      };
      multiply(u2, zeros, a(0, 0), b(0, 0), xStride);
      finish(c11, u2, a(0, 1), b(1, 0), xStride);
      multiply(u2, u2, s(S2), t(T2), sumStride);
      multiply(u4, u2, s(S1), t(T1), sumStride);
      finish(c12, u4, s(S4), b(1, 1), sumStride);
      multiply(u3, u2, s(S3), t(T3), sumStride);
      finish(c21, u3, a(1, 1), t(T4), xStride);
      fn.call(addLast, c22, u2, u3, u4, block, yStride, writes);
    };
    const asUsual = () => {
      [c11, c12, c21, c22].forEach((to, quarter) => {
        const [from, fromStride] = [i32.select(zeros, to, writes), i32.select(0, yStride, writes)];
        const [ofX, ofPanel] = [a(quarter >> 1, 0), b(0, quarter & 1)];
        fn.call(addPanel, to, from, fromStride, ofX, ofPanel, block, depth, xStride, yStride);
      });
    };

    fn.while(pairs, () => {
      fn.set(group, i32.min(pairs, PAIRS));
      fromFirstPair(() => fn.store(i32.store(mark, call(sumPanelPair, [pairSums, panel, panelStep, depth]))));
      fn.set(left, rows);
      fn.set(xBlock, x);
      fn.set(sumBlock, sums);
      fn.set(yBlock, y);
      // Of a row there are seven quarters; two thirds of the cache are for the panels'.
      forBlocks(fn, left, i32.mul(depth, 3 * 7 * 2), (size) => {
        fn.set(block, size);
        fn.set(c11, yBlock);
        fromFirstPair(() => {
          fn.set(c12, i32.add(c11, yStep));
          fn.set(c21, i32.add(c11, yLower));
          fn.set(c22, i32.add(c21, yStep));
          fn.if(i32.load(mark), byQuarters, asUsual);
          fn.advance(c11, i32.shl(yStep, 1));
        });
        fn.advance(xBlock, i32.mul(xStride, block));
        fn.advance(sumBlock, i32.mul(sumStride, block));
        fn.advance(yBlock, i32.mul(yStride, block));
      });
      fn.set(panels, panel);
      fn.advance(y, i32.mul(i32.shl(yStep, 1), group));
      fn.set(pairs, i32.sub(pairs, group));
    });
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

/**
 * Products of float32 by quarters: seven multiplications instead of eight, for gradients, which sum over rows anyway.
 * Source: Strassen, Gaussian elimination is not optimal, 1969, in Winograd's form of 15 additions.
 *
 *     x = | A11 A12 |   two panels = | B11 B12 |
 *         | A21 A22 |                | B21 B22 |
 *
 * x is halved by rows and by depth, panels go by two. A sum's error is relative to the largest of its quarters' numbers, no longer of
 * its own row and column: where one of them is all zeros, and so is the gradient, which Adam would divide by its own size, the
 * product is made as usual.
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
    return columns.flat().map((bits) => i32x4.all_true(withoutSigns(bits))).reduce(i32.and);
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
  const panelBytes = 16 * tile.vectors;
  const sumPanelPair = defineSumPanelPair(module, tile);
  module.define('productOfQuarters', 'iiiiiiiiiiiiiii', (fn, ...args) => {
    const [y, x, sums, panels, rows, depth, pairs, xStride, sumStride, yStride, yStep, panelStep, writes, zeros, scratch] =
      args;
    const halfDepth = fn.let(i32.shr_u(depth, 1));
    const half = fn.let(i32.shl(halfDepth, 2)); // bytes of half a row of x
    const halfPanel = fn.let(i32.mul(halfDepth, panelBytes));
    const toLower = fn.let(i32.mul(rows, xStride));
    const products = fn.let(i32.add(scratch, i32.mul(halfPanel, 4 * PAIRS)));
    const [u2, u3, u4] = rowAddresses(fn, products, i32.mul(rows, panelBytes), 3);
    const marks = fn.let(i32.add(products, i32.mul(rows, 3 * panelBytes))); // whether a pair is of quarters
    const [group, left, xBlock, sumBlock, yBlock, panel, pairSums, mark] = fn.locals('i32');
    const [c11, c12, c21, c22, a, b, c] = fn.locals('i32');
    const nextPair = () => {
      fn.advance(panel, i32.shl(panelStep, 1));
      fn.advance(pairSums, i32.mul(halfPanel, 4));
      fn.advance(mark, 4);
    };
    const restart = () => {
      fn.set(panel, panels);
      fn.set(pairSums, scratch);
      fn.set(mark, marks);
    };

    fn.while(pairs, () => {
      fn.set(group, i32.min(pairs, PAIRS));
      restart();
      fn.repeat(group, () => {
        fn.store(i32.store(mark, call(sumPanelPair, [pairSums, panel, panelStep, depth])));
        nextPair();
      });
      fn.set(left, rows);
      fn.set(xBlock, x);
      fn.set(sumBlock, sums);
      fn.set(yBlock, y);
      // Of a row come seven quarters; two thirds of the cache are the panels'.
      forBlocks(fn, left, i32.mul(depth, 3 * 14), (block) => {
        /** A product, added to rows of `stride`, 0 for one row of zeros. */
        const add = (
          to: Local<'i32'>,
          [addend, stride]: readonly [Value<'i32'>, Value<'i32'> | number],
          x: Value<'i32'>,
          panel: Value<'i32'>,
          depth: Value<'i32'>,
          xStride: Value<'i32'>,
          yStride: Value<'i32'> | number = panelBytes,
        ) => fn.call(addPanel, to, addend, stride, x, panel, block, depth, xStride, yStride);
        const A = (lower: 0 | 1, right: 0 | 1) => {
          const row = lower ? i32.add(xBlock, toLower) : xBlock;
          return right ? i32.add(row, half) : row;
        };
        const B = (lower: 0 | 1, right: 0 | 1) => {
          const column = right ? i32.add(panel, panelStep) : panel;
          return lower ? i32.add(column, halfPanel) : column;
        };
        const S = (i: number) => i32.add(sumBlock, i32.mul(half, i));
        const T = (i: number) => i32.add(pairSums, i32.mul(halfPanel, i));
        const byQuarters = () => {
          const zero = [zeros, 0] as const;
          const of = (product: Local<'i32'>) => [product, panelBytes] as const;
          /** What the last product of a quarter of y is added to. */
          const begun = (c: Local<'i32'>, product: Local<'i32'>) => {
            fn.if(i32.eq(writes, 0), () => fn.call(addRows, c, product, block, 4 * tile.vectors, yStride, panelBytes));
            return [i32.select(product, c, writes), i32.select(panelBytes, yStride, writes)] as const;
          };
          add(u2, zero, A(0, 0), B(0, 0), halfDepth, xStride);
          add(c11, begun(c11, u2), A(0, 1), B(1, 0), halfDepth, xStride, yStride);
          add(u2, of(u2), S(S2), T(T2), halfDepth, sumStride);
          add(u4, of(u2), S(S1), T(T1), halfDepth, sumStride);
          add(c12, begun(c12, u4), S(S4), B(1, 1), halfDepth, sumStride, yStride);
          add(u3, of(u2), S(S3), T(T3), halfDepth, sumStride);
          add(c21, begun(c21, u3), A(1, 1), T(T4), halfDepth, xStride, yStride);
          [u2, u3, u4].forEach((product, i) => fn.set([a, b, c][i], product));
          fn.repeatAtLeastOnce(block, () => {
            const columns = Array.from({ length: tile.vectors }, (_, v) => 16 * v);
            const last = columns.map((v) => fn.let(f32x4.add(f32x4.load(c, v), f32x4.sub(f32x4.load(b, v), f32x4.load(a, v)))));
            fn.if(i32.eq(writes, 0), () => columns.forEach((v, i) => fn.set(last[i], f32x4.add(last[i], f32x4.load(c22, v)))));
            columns.forEach((v, i) => fn.store(f32x4.store(c22, last[i], v)));
            for (const product of [a, b, c]) fn.advance(product, panelBytes);
            fn.advance(c22, yStride);
          });
        };
        const asUsual = () => {
          [c11, c12, c21, c22].forEach((quarter, i) => {
            const addend = [i32.select(zeros, quarter, writes), i32.select(0, yStride, writes)] as const;
            const [lower, right] = [(i >> 1) as 0 | 1, (i & 1) as 0 | 1];
            add(quarter, addend, A(lower, 0), B(0, right), depth, xStride, yStride);
          });
        };
        restart();
        fn.set(c11, yBlock);
        fn.repeat(group, () => {
          fn.set(c12, i32.add(c11, yStep));
          fn.set(c21, i32.add(c11, i32.mul(rows, yStride)));
          fn.set(c22, i32.add(c21, yStep));
          fn.if(i32.load(mark), byQuarters, asUsual);
          fn.advance(c11, i32.shl(yStep, 1));
          nextPair();
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

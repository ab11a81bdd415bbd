import {
  f32,
  f32x4,
  i16x8,
  i32,
  i32x4,
  v128,
  type FunctionReference,
  type Local,
  type ModuleBuilder,
} from './assembler.ts';
import type { Tile } from './linear.ts';

/** Activations are rounded to -2047 … 2047: sums with int8 weights stay exact in int32 up to 8259 inputs. */
const LEVELS = 2047;

/**
 * `roundRows`: each row of x to int16 with one scale, and zeros up to an even size. `scales` receives largest / 2047.
 * `rounded` rows are 4 · pairs bytes apart.
 */
export function defineRoundRows(module: ModuleBuilder): void {
  const parameters = { rounded: 'i32', scales: 'i32', x: 'i32', rows: 'i32', size: 'i32' } as const;
  module.define('roundRows', parameters, (fn, { rounded, scales, x, rows, size }) => {
    const [at, to] = [fn.local('i32'), fn.local('i32')];
    const pairs = fn.let(i32.shr_u(i32.add(size, i32.const(1)), i32.const(1)));
    const eights = fn.let(i32.shr_u(size, i32.const(3)));
    const rest = fn.let(i32.and(size, i32.const(7)));
    // Added to a number below 2^22, leaves it rounded half to even.
    const round = 1.5 * 2 ** 23;
    const magic = fn.constant(round);
    fn.repeat(rows, () => {
      const largests = fn.let(f32x4.const(0));
      fn.set(at, x);
      fn.repeat(eights, () => {
        // The bits of numbers from 0 are in the order of the numbers, with NaN above all, so that one NaN makes the row NaN.
        for (const offset of [0, 16]) fn.set(largests, i32x4.max_s(largests, f32x4.abs(f32x4.load(at, offset))));
        fn.advance(at, 32);
      });
      const lane = (i: number) => f32x4.extract_lane(largests, i);
      const largest = fn.let(f32.max(f32.max(lane(0), lane(2)), f32.max(lane(1), lane(3))));
      fn.repeat(rest, () => {
        fn.set(largest, f32.max(largest, f32.abs(f32.load(at))));
        fn.advance(at, 4);
      });
      fn.store(f32.store(scales, f32.div(largest, f32.const(LEVELS))));
      const inverse = fn.let(f32.const(0));
      fn.if(f32.ge(largest, f32.const(2 ** -116)), () => fn.set(inverse, f32.div(f32.const(LEVELS), largest)));
      const inverses = fn.let(f32x4.splat(inverse));

      fn.set(at, x);
      fn.set(to, rounded);
      fn.repeat(eights, () => {
        const [low, high] = [0, 16].map((offset) => {
          const sum = f32x4.add(f32x4.mul(f32x4.load(at, offset), inverses), magic);
          return i32x4.sub(sum, magic); // the difference of the bit patterns is the whole number
        });
        fn.store(v128.store(to, i16x8.narrow_i32x4_s(low, high)));
        fn.advance(at, 32);
        fn.advance(to, 16);
      });
      fn.repeat(rest, () => {
        const sum = f32.add(f32.mul(f32.load(at), inverse), f32.const(round));
        fn.store(i32.store16(to, i32.sub(i32.reinterpret_f32(sum), i32.reinterpret_f32(f32.const(round)))));
        fn.advance(at, 4);
        fn.advance(to, 2);
      });
      fn.if(i32.and(size, i32.const(1)), () => fn.store(i32.store16(to, i32.const(0))));
      fn.set(x, at);
      fn.advance(rounded, i32.shl(pairs, i32.const(2)));
      fn.advance(scales, 4);
    });
  });
}

const tileParameters = {
  y: 'i32',
  x: 'i32',
  panel: 'i32',
  bias: 'i32',
  scales: 'i32',
  rowScales: 'i32',
  pairs: 'i32',
  xStride: 'i32',
  yStride: 'i32',
} as const;

/**
 * `linearQ8`: y = activation(x · weightᵀ · scales + bias) on rows rounded by `roundRows` and int8 panels, by tiles of
 * integer sums. `bias` moves on by `biasStep` bytes a panel: 0 when it is one panel of zeros.
 */
export function defineLinearQ8(module: ModuleBuilder, { vectors }: Tile, activate: FunctionReference<null>): void {
  // Panels are as wide as those of float32; more rows than 4 do not fit into the registers, fused multiply-add or not.
  const tile = { rows: 4, vectors };
  const tiles = Array.from({ length: tile.rows }, (_, r) => defineTile(module, r + 1, tile.vectors));
  const columns = 4 * tile.vectors;
  const parameters = {
    y: 'i32',
    x: 'i32',
    rowScales: 'i32',
    weight: 'i32',
    scales: 'i32',
    bias: 'i32',
    biasStep: 'i32',
    rows: 'i32',
    pairs: 'i32',
    panels: 'i32',
    yStride: 'i32',
    activation: 'i32',
  } as const;
  module.define('linearQ8', parameters, (fn, args) => {
    const { y, x, rowScales, weight, scales, bias, biasStep, rows, pairs, panels, yStride, activation } = args;
    const xStride = fn.let(i32.shl(pairs, i32.const(2)));
    const [xRow, yRow, scaleRow, left, count] = Array.from({ length: 5 }, () => fn.local('i32'));
    fn.repeat(panels, () => {
      fn.set(xRow, x);
      fn.set(yRow, y);
      fn.set(scaleRow, rowScales);
      fn.set(left, rows);
      fn.while(i32.gt_s(left, i32.const(0)), () => {
        fn.set(count, i32.min(left, i32.const(tile.rows)));
        for (let r = tile.rows; r >= 1; r--) {
          fn.if(i32.eq(count, i32.const(r)), () =>
            fn.call(tiles[r - 1], yRow, xRow, weight, bias, scales, scaleRow, pairs, xStride, yStride),
          );
        }
        fn.if(activation, () => fn.call(activate, activation, yRow, count, i32.const(tile.vectors), yStride));
        fn.advance(xRow, i32.mul(xStride, count));
        fn.advance(yRow, i32.mul(yStride, count));
        fn.advance(scaleRow, i32.shl(count, i32.const(2)));
        fn.set(left, i32.sub(left, count));
      });
      fn.advance(weight, i32.mul(pairs, i32.const(2 * columns)));
      fn.advance(bias, biasStep);
      fn.advance(scales, 4 * columns);
      fn.advance(y, 4 * columns);
    });
  });
}

function defineTile(module: ModuleBuilder, rows: number, vectors: number): FunctionReference<null> {
  const columns = Array.from({ length: vectors }, (_, v) => v);
  return module.define(
    `tileQ8_${rows}`,
    tileParameters,
    (fn, { y, x, panel, bias, scales, rowScales, pairs, xStride, yStride }) => {
      const sums = Array.from({ length: rows }, () => columns.map(() => fn.local('v128')));
      const xRows: Local<'i32'>[] = [x];
      for (let r = 1; r < rows; r++) xRows.push(fn.let(i32.add(xRows[r - 1], xStride)));

      fn.repeatAtLeastOnce(pairs, () => {
        const b = columns.map((v) => fn.let(i16x8.load8x8_s(panel, 8 * v)));
        for (let r = 0; r < rows; r++) {
          const a = fn.let(i32x4.loadSplat(xRows[r])); // a pair of int16, four times
          for (const v of columns) fn.set(sums[r][v], i32x4.add(i32x4.dot_i16x8_s(a, b[v]), sums[r][v]));
        }
        for (const row of xRows) fn.advance(row, 4);
        fn.advance(panel, 8 * vectors);
      });

      // Loaded before any store: revectorization pairs loads only when no store stands between them.
      const biases = columns.map((v) => fn.let(f32x4.load(bias, 16 * v)));
      const factors = columns.map((v) => fn.let(f32x4.load(scales, 16 * v)));
      const rowFactors = xRows.map((_, r) => fn.let(f32x4.loadSplat(rowScales, 4 * r)));
      for (let r = 0; r < rows; r++) {
        for (const v of columns) {
          const product = f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(sums[r][v]), rowFactors[r]), factors[v]);
          fn.store(f32x4.store(y, f32x4.add(product, biases[v]), 16 * v));
        }
        if (r + 1 < rows) fn.advance(y, yStride);
      }
    },
  );
}

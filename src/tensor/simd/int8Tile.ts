import { rowAddresses, type FunctionBuilder, type FunctionReference, type ModuleBuilder } from './assembler.ts';
import type { Local, Value } from './instructions/encoding.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as i32 from './instructions/i32.ts';
import * as i32x4 from './instructions/i32x4.ts';
import * as v128 from './instructions/v128.ts';
import type { Group } from './int8.ts';
import type { Tile } from './linear.ts';

/** `tileRowsQ8`: y for any number of rows and one panel, by a function for each number of rows in a tile. */
export function defineTileRowsQ8(module: ModuleBuilder, tile: Tile, group: Group): FunctionReference<null> {
  const tiles = Array.from({ length: tile.rows }, (_, r) => defineTile(module, r + 1, tile.vectors, group));
  return module.define('tileRowsQ8', 'iiiiiiiii', (fn, y, x, panel, bias, scales, rowScales, rows, groups, yStride) => {
    const xStride = fn.let(i32.mul(groups, 2 * group));
    const count = fn.local('i32');
    fn.while(rows, () => {
      fn.set(count, i32.min(rows, tile.rows));
      // By fours, sums wait for the ones before, so that a row or two take nearly as long as all: tiles as even as can be.
      const tilesLeft = i32.div_u(i32.add(rows, tile.rows - 1), tile.rows);
      if (group === 4) fn.set(count, i32.div_u(rows, tilesLeft));
      for (let r = tile.rows; r >= 1; r--) {
        fn.if(i32.eq(count, r), () =>
          fn.call(tiles[r - 1], y, x, panel, bias, scales, rowScales, groups, xStride, yStride),
        );
      }
      fn.advance(x, i32.mul(xStride, count));
      fn.advance(y, i32.mul(yStride, count));
      fn.advance(rowScales, i32.shl(count, 2));
      fn.set(rows, i32.sub(rows, count));
    });
  });
}

/** Groups in one round of the innermost loop, so that moving addresses on does not take every fifth instruction. */
const UNROLL = 4;

/** A tile of sums: rows of vectors. */
type Sums = Local<'v128'>[][];

/**
 * x · panel added to the sums. The addresses of rows of x, and of the panel, are moved on, but not for a last round of fewer groups
 * than a whole one has.
 */
export function addProduct(
  fn: FunctionBuilder,
  sums: Sums,
  xRows: Local<'i32'>[],
  panel: Local<'i32'>,
  groups: Local<'i32'>,
  group: Group,
): void {
  const vectors = sums[0].length;
  fn.repeatUnrolled(
    groups,
    UNROLL,
    (copy) => {
      const b = sums[0].map((_, v) => fn.let(v128.load(panel, 16 * (vectors * copy + v))));
      sums.forEach((row, r) => {
        const a = fn.let(i32x4.loadSplat(xRows[r], 4 * copy)); // a group of x, four times
        row.forEach((sum, v) => {
          const added =
            group === 2
              ? i32x4.add(i32x4.dot_i16x8_s(a, b[v]), sum)
              : i32x4.relaxed_dot_i8x16_i7x16_add_s(b[v], a, sum);
          fn.set(sum, added);
        });
      });
    },
    () => {
      for (const row of xRows) fn.advance(row, 4 * UNROLL);
      fn.advance(panel, 16 * vectors * UNROLL);
    },
  );
}

/** y = sums · rowScales · scales + bias. The address of y is moved on to the last row. */
export function storeSums(
  fn: FunctionBuilder,
  sums: Sums,
  y: Local<'i32'>,
  yStride: Local<'i32'>,
  { bias, scales, rowScales }: Record<'bias' | 'scales' | 'rowScales', Value<'i32'>>,
): void {
  // Loaded before any store: revectorization pairs loads only when no store stands between them.
  const biases = sums[0].map((_, v) => fn.let(f32x4.load(bias, 16 * v)));
  const factors = sums[0].map((_, v) => fn.let(f32x4.load(scales, 16 * v)));
  const rowFactors = sums.map((_, r) => fn.let(f32x4.loadSplat(rowScales, 4 * r)));
  sums.forEach((row, r) => {
    if (r > 0) fn.advance(y, yStride);
    row.forEach((sum, v) => {
      const product = f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(sum), rowFactors[r]), factors[v]);
      fn.store(f32x4.store(y, f32x4.add(product, biases[v]), 16 * v));
    });
  });
}

function defineTile(module: ModuleBuilder, rows: number, vectors: number, group: Group): FunctionReference<null> {
  return module.define(`tileQ8_${rows}`, 'iiiiiiiii', (fn, ...args) => {
    const [y, x, panel, bias, scales, rowScales, groups, xStride, yStride] = args;
    const sums = Array.from({ length: rows }, () => Array.from({ length: vectors }, () => fn.local('v128')));
    const xRows = rowAddresses(fn, x, xStride, rows);
    const weights = fn.let(panel);
    addProduct(fn, sums, xRows, weights, groups, group);
    if (group === 4) {
      const rest = fn.let(i32.and(groups, UNROLL - 1)); // which the addresses have not passed
      for (const row of xRows) fn.advance(row, i32.shl(rest, 2)); // to the low digits
      for (const sum of sums.flat()) fn.set(sum, i32x4.shl(sum, 6));
      fn.set(weights, panel);
      addProduct(fn, sums, xRows, weights, groups, group);
      fn.advance(weights, i32.mul(rest, 16 * vectors));
      const offsets = sums[0].map((_, v) => fn.let(v128.load(weights, 16 * v)));
      for (const row of sums) row.forEach((sum, v) => fn.set(sum, i32x4.add(sum, offsets[v])));
    }
    storeSums(fn, sums, y, yStride, { bias, scales, rowScales });
  });
}

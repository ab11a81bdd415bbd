import { call, type FunctionBuilder, type FunctionReference, type ModuleBuilder } from './assembler.ts';
import type { Local, Value } from './instructions/encoding.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as i32 from './instructions/i32.ts';
import type { Arithmetic } from './arithmetic.ts';

/** How many rows and columns of the product are summed in registers at a time. */
export interface Tile {
  rows: number;
  /** Vectors of 4 columns; 4 · vectors columns make a panel of the packed weight. */
  vectors: number;
}

/** Bytes of x and y, together, that `linear` works on at a time: what stays in the second cache beside a panel or two. */
const ROW_BLOCK_BYTES = 1 << 20;
/** Rows of a block are a multiple of this, which tiles of 4, 6 and 8 rows divide. */
const ROW_STEP = 24;

/**
 * `linear`: y = activation(x · weightᵀ + bias), by tiles.
 *
 * The weight is packed in panels of as many output columns as a tile is wide: [panel][inFeatures][columns], the last
 * panel filled up with zeros. Each sum runs along inFeatures from first to last, chunk by chunk, in its own lane, whatever
 * the tile, so a row's result does not depend on how many rows there are, nor on which thread computes which panels.
 *
 * Rows go by blocks that stay in the cache, with all panels for each; a block's panel is activated while it is still near.
 * `bias` moves on by `biasStep` bytes a panel: 0 when it is one panel of zeros.
 */
export function defineLinear(
  module: ModuleBuilder,
  tile: Tile,
  tileRows: TileRows,
  activate: FunctionReference<null>,
): void {
  const panelBytes = 16 * tile.vectors; // of one k
  const fetch = defineFetch(module);
  module.define('linear', 'iiiiiiiiii', (fn, ...args) => {
    const [y, x, weight, bias, rows, depth, panels, yStride, activation, biasStep] = args;
    const xStride = fn.let(i32.shl(depth, 2));
    const [panel, addend, yPanel] = fn.locals('i32');
    forBlocks(fn, rows, i32.add(xStride, i32.mul(panels, panelBytes)), (block) => {
      fn.set(panel, weight);
      fn.set(addend, bias);
      fn.set(yPanel, y);
      fn.repeat(panels, () => {
        fn.drop(call(fetch, [panel, fn.let(i32.mul(depth, panelBytes))]));
        fn.call(tileRows, block, yPanel, x, panel, addend, depth, xStride, yStride, 0);
        fn.if(activation, () => fn.call(activate, activation, yPanel, yPanel, block, tile.vectors, yStride));
        fn.advance(panel, i32.mul(depth, panelBytes));
        fn.advance(addend, biasStep);
        fn.advance(yPanel, panelBytes);
      });
      fn.advance(x, i32.mul(xStride, block));
      fn.advance(y, i32.mul(yStride, block));
    });
  });
}

/**
 * `body` for one block of rows after the other, each as many as stay in the cache when one takes `rowBytes` of x and y. There are
 * none left of `rows` afterwards.
 */
export function forBlocks(
  fn: FunctionBuilder,
  rows: Local<'i32'>,
  rowBytes: Value<'i32'>,
  body: (block: Local<'i32'>) => void,
): void {
  const steps = i32.div_u(ROW_BLOCK_BYTES / ROW_STEP, rowBytes);
  const most = fn.let(i32.mul(i32.add(steps, 1), ROW_STEP));
  const block = fn.local('i32');
  fn.while(i32.gt_s(rows, 0), () => {
    fn.set(block, i32.min(rows, most));
    body(block);
    fn.set(rows, i32.sub(rows, block));
  });
}

/**
 * `fetch`: reads one number of each cache line of a panel, at the pace of the memory. The first tile, left to itself, waits
 * for it line by line, three times as long: between its loads stands so much arithmetic that few are under way at once.
 */
function defineFetch(module: ModuleBuilder): FunctionReference<'i32'> {
  return module.define('fetch', 'ii', (fn, address, bytes) => {
    const all = fn.local('i32');
    fn.repeat(i32.shr_u(bytes, 6), () => {
      fn.set(all, i32.or(all, i32.load(address)));
      fn.advance(address, 64);
    });
    return all; // V8 would leave out loads that nobody needs
  });
}

/** Terms of a product by which panels are cut, so that one piece stays in the nearest cache; whole chunks of a sum. */
const DEPTH_BLOCK = 256;

/** `addPanel`: y = addend + x · panel; the addend's rows are `addendStride` bytes apart, 0 for one row of zeros. */
export function defineAddPanel(module: ModuleBuilder, tile: Tile, tileRows: TileRows): FunctionReference<null> {
  return module.define(
    'addPanel',
    'iiiiiiiii',
    (fn, y, addend, addendStride, x, panel, rows, depth, xStride, yStride) => {
      const part = fn.local('i32');
      fn.while(depth, () => {
        fn.set(part, i32.min(depth, DEPTH_BLOCK));
        fn.call(tileRows, rows, y, x, panel, addend, part, xStride, yStride, addendStride);
        fn.set(addend, y);
        fn.set(addendStride, yStride);
        fn.advance(x, i32.shl(part, 2));
        fn.advance(panel, i32.mul(part, 16 * tile.vectors));
        fn.set(depth, i32.sub(depth, part));
      });
    },
  );
}

/**
 * `product`: y += x · panels for `count` panels, or, with a panel of `zeros`, y = x · panels. `yStep` are the bytes from one
 * panel's columns of y to the next one's. Rows go by blocks, as in `linear`, and depth by `addPanel`'s.
 */
export function defineProduct(
  module: ModuleBuilder,
  tile: Tile,
  addPanel: FunctionReference<null>,
): FunctionReference<null> {
  const panelBytes = 16 * tile.vectors;
  return module.define('product', 'iiiiiiiiii', (fn, ...args) => {
    const [y, x, panels, rows, depth, count, xStride, yStride, yStep, zeros] = args;
    const [panel, yPanel] = fn.locals('i32');
    forBlocks(fn, rows, i32.add(i32.shl(depth, 2), i32.mul(count, panelBytes)), (block) => {
      fn.set(panel, panels);
      fn.set(yPanel, y);
      fn.repeat(count, () => {
        const addend = i32.select(zeros, yPanel, zeros);
        const addendStride = i32.select(0, yStride, zeros);
        fn.call(addPanel, yPanel, addend, addendStride, x, panel, block, depth, xStride, yStride);
        fn.advance(panel, i32.mul(depth, panelBytes));
        fn.advance(yPanel, yStep);
      });
      fn.advance(x, i32.mul(xStride, block));
      fn.advance(y, i32.mul(yStride, block));
    });
  });
}

export type TileRows = FunctionReference<null>;

/**
 * `tileRows`: y = x · panel + addend for any number of rows of x and one panel, by a function for each number of rows in a tile.
 * The addend is a bias when `addendStride` is 0, or y itself, to which the product is then added.
 */
export function defineTileRows(module: ModuleBuilder, tile: Tile, arithmetic: Arithmetic): TileRows {
  const tiles = Array.from({ length: tile.rows }, (_, r) => defineTile(module, r + 1, tile.vectors, arithmetic));
  return module.define('tileRows', 'iiiiiiiii', (fn, left, ...args) => {
    const [y, x, , addend, , xStride, yStride, addendStride] = args;
    const rows = fn.local('i32');
    fn.while(left, () => {
      fn.set(rows, rowsOfTile(left, tile));
      fn.if(
        i32.eq(rows, tile.rows), // nearly always
        () => fn.call(tiles[tile.rows - 1], ...args),
        () => {
          for (let r = 1; r < tile.rows; r++) fn.if(i32.eq(rows, r), () => fn.call(tiles[r - 1], ...args));
        },
      );
      fn.advance(x, i32.mul(xStride, rows));
      fn.advance(y, i32.mul(yStride, rows));
      fn.advance(addend, i32.mul(addendStride, rows));
      fn.set(left, i32.sub(left, rows));
    });
  });
}

/** The rows for the next tile: a whole one's, but the last two share what is left, as small tiles wait for their own sums. */
const rowsOfTile = (left: Value<'i32'>, tile: Tile): Value<'i32'> => {
  const half = i32.shr_u(i32.add(left, 1), 1);
  const some = i32.select(half, tile.rows, i32.lt_s(left, 2 * tile.rows));
  return i32.select(left, some, i32.lt_s(left, tile.rows + 1));
};

/** Terms summed in registers before they are added to y: shorter chains of additions lose less to rounding. */
const CHUNK = 128;
/** Terms in one round of the innermost loop, so that moving addresses on does not take every fifth instruction. */
const UNROLL = 4;

/** `rows` × `vectors` sums in registers, over one panel of the weight. */
function defineTile(
  module: ModuleBuilder,
  rows: number,
  vectors: number,
  { multiplyAdd }: Arithmetic,
): FunctionReference<null> {
  const columns = Array.from({ length: vectors }, (_, v) => v);
  return module.define(`tile${rows}`, 'iiiiiiii', (fn, y, x, panel, addend, depth, xStride, yStride, addendStride) => {
    const xRows: Local<'i32'>[] = [x];
    for (let r = 1; r < rows; r++) xRows.push(fn.let(i32.add(xRows[r - 1], xStride)));
    const sums = xRows.map(() => columns.map(() => fn.local('v128')));
    const [yRow, addendRow, count] = fn.locals('i32');

    fn.while(depth, () => {
      fn.set(count, i32.min(depth, CHUNK));
      fn.set(depth, i32.sub(depth, count));
      for (const row of sums) for (const sum of row) fn.set(sum, f32x4.const(0));
      fn.repeatUnrolled(
        count,
        UNROLL,
        (copy) => {
          const b = columns.map((v) => fn.let(f32x4.load(panel, 16 * (vectors * copy + v))));
          for (let r = 0; r < rows; r++) {
            const a = fn.let(f32x4.loadSplat(xRows[r], 4 * copy));
            for (const v of columns) fn.set(sums[r][v], multiplyAdd(a, b[v], sums[r][v]));
          }
        },
        () => {
          for (const row of xRows) fn.advance(row, 4 * UNROLL);
          fn.advance(panel, 16 * vectors * UNROLL);
        },
      );

      fn.set(yRow, y);
      fn.set(addendRow, addend);
      for (let r = 0; r < rows; r++) {
        // All loads of a row before its stores: revectorization pairs loads only when no store stands between them.
        const addends = columns.map((v) => fn.let(f32x4.load(addendRow, 16 * v)));
        for (const v of columns) fn.store(f32x4.store(yRow, f32x4.add(sums[r][v], addends[v]), 16 * v));
        fn.advance(yRow, yStride);
        fn.advance(addendRow, addendStride);
      }
      // The next chunk's sums are added to what is there by now.
      fn.set(addend, y);
      fn.set(addendStride, yStride);
    });
  });
}

import type { FunctionReference, ModuleBuilder } from './assembler.ts';
import * as f32 from './instructions/f32.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as i32 from './instructions/i32.ts';
import type { Tile, TileRows } from './linear.ts';
import type { KernelCall } from './runner.ts';

/** Bytes of scratch memory that `queryTerm` and `keyTerm` need for a table of `count` positions. */
export function termScratchBytes(count: number, headSize: number, tile: Tile): number {
  const up = Math.ceil(count / (4 * tile.vectors)) * 4 * tile.vectors;
  return 4 * up * (headSize + tile.rows);
}

/**
 * The terms of DeBERTa's scores for some heads of one sequence: `queryTerm` adds (x[i] · positions[r]) · scale to y[i][j], and
 * `keyTerm` adds (x[j] · positions[r]) · scale, with r = buckets[column of i - column of j]; `buckets` points at the one of 0.
 * Products with all positions are made a tile's rows of tokens at a time; then each pair of tokens fetches its own.
 *
 * x and positions point at the first head's first column, `stride` bytes from one row to the next; y is
 * [heads][length][length], `headStride` bytes from one head to the next.
 */
export function defineTerms(
  module: ModuleBuilder,
  tile: Tile,
  tileRows: TileRows,
  packKeys: FunctionReference<null>,
): void {
  const columnsOfPanel = 4 * tile.vectors;
  const panelBytes = 4 * columnsOfPanel;
  for (const name of ['queryTerm', 'keyTerm']) {
    module.define(name, 'iiiiiiiifiiiii', (fn, ...args) => {
      const [
        y,
        x,
        positions,
        count,
        length,
        headSize,
        stride,
        heads,
        scale,
        buckets,
        columns,
        headStride,
        zeros,
        scratch,
      ] = args;
      const four = (n: typeof count) => i32.shl(n, 2);
      const panels = fn.let(i32.div_u(i32.add(count, columnsOfPanel - 1), columnsOfPanel));
      const termStride = fn.let(i32.mul(panels, panelBytes));
      const terms = fn.let(i32.add(scratch, i32.mul(termStride, headSize)));
      const [row, left, rows, panel, at, own, other, from] = fn.locals('i32');
      const [term, pairs, to, bucket] = fn.locals('i32');
      const isQuery = name === 'queryTerm';
      fn.repeat(heads, () => {
        fn.call(packKeys, scratch, positions, count, headSize, stride);
        fn.set(row, x);
        fn.set(pairs, y);
        fn.set(own, columns);
        fn.set(left, length);
        fn.while(i32.gt_s(left, 0), () => {
          fn.set(rows, i32.min(left, tile.rows));
          fn.set(panel, scratch);
          fn.set(at, terms);
          fn.repeatAtLeastOnce(panels, () => {
            fn.call(tileRows, rows, at, row, panel, zeros, headSize, stride, termStride, 0);
            fn.advance(panel, i32.mul(headSize, panelBytes));
            fn.advance(at, panelBytes);
          });
          fn.set(term, terms);
          fn.repeatAtLeastOnce(rows, () => {
            const column = four(fn.let(i32.load(own)));
            fn.set(bucket, isQuery ? i32.add(buckets, column) : i32.sub(buckets, column));
            fn.set(other, columns);
            fn.set(to, pairs);
            fn.repeatAtLeastOnce(length, () => {
              const distance = four(fn.let(i32.load(other)));
              fn.set(from, i32.load(isQuery ? i32.sub(bucket, distance) : i32.add(bucket, distance)));
              const product = f32.load(i32.add(term, four(from)));
              fn.store(f32.store(to, f32.add(f32.load(to), f32.mul(product, scale))));
              fn.advance(other, 4);
              fn.advance(to, isQuery ? 4 : four(length));
            });
            fn.advance(pairs, isQuery ? four(length) : 4);
            fn.advance(own, 4);
            fn.advance(term, termStride);
          });
          fn.advance(row, i32.mul(rows, stride));
          fn.set(left, i32.sub(left, rows));
        });
        const headBytes = four(headSize);
        for (const pointer of [x, positions]) fn.advance(pointer, headBytes);
        fn.advance(y, headStride);
      });
    });
  }
}

/** Calls of `queryTerm` or `keyTerm` for a packed batch; y, x, table, buckets and columns are addresses. */
export function termCalls(options: {
  name: 'queryTerm' | 'keyTerm';
  y: number;
  x: number;
  table: number;
  count: number;
  buckets: number;
  columns: number;
  offsets: Int32Array;
  heads: number;
  headSize: number;
  scale: number;
  zeros: number;
  divide: (operations: number) => [first: number, last: number][];
}): KernelCall[] {
  const { name, y, x, table, count, buckets, columns, offsets, heads, headSize, scale, zeros, divide } = options;
  const width = heads * headSize;
  const lengths = Array.from(offsets.subarray(1), (end, s) => end - offsets[s]);
  const squares = lengths.reduce((sum, length) => sum + length ** 2, 0);
  let square = 0;
  return lengths.flatMap((length, s) => {
    const pairs = y + 4 * square;
    square += length ** 2;
    const parts = length === 0 ? [] : divide(2 * length * count * width);
    return parts.map(([first, last]): KernelCall => [
      name,
      pairs + 4 * first * squares,
      x + 4 * (offsets[s] * width + first * headSize),
      table + 4 * first * headSize,
      count,
      length,
      headSize,
      4 * width,
      last - first,
      scale,
      buckets,
      columns + 4 * offsets[s],
      4 * squares,
      zeros,
    ]);
  });
}

/**
 * `rotary` where pairs are halves: (a, b) → (a·cos - b·sin, b·cos + a·sin) for `pairs` numbers a of each head and as many b
 * after them; `rest` numbers follow unchanged. Both are multiples of 4. `stride` is the bytes from one row of x to the next.
 */
export function defineRotary(module: ModuleBuilder): void {
  module.define('rotary', 'iiiiiiiii', (fn, y, x, cosines, sines, rows, heads, pairs, rest, stride) => {
    const [from, second, to, angle] = fn.locals('i32');
    const pairBytes = fn.let(i32.shl(pairs, 2));
    const sineOffset = fn.let(i32.sub(sines, cosines));
    fn.repeat(rows, () => {
      fn.set(from, x);
      fn.repeat(heads, () => {
        fn.set(second, i32.add(from, pairBytes));
        fn.set(to, i32.add(y, pairBytes));
        fn.set(angle, cosines);
        fn.repeat(i32.shr_u(pairs, 2), () => {
          const [a, b] = [fn.let(f32x4.load(from)), fn.let(f32x4.load(second))];
          const [cosine, sine] = [fn.let(f32x4.load(angle)), fn.let(f32x4.load(i32.add(angle, sineOffset)))];
          fn.store(f32x4.store(y, f32x4.sub(f32x4.mul(a, cosine), f32x4.mul(b, sine))));
          fn.store(f32x4.store(to, f32x4.add(f32x4.mul(b, cosine), f32x4.mul(a, sine))));
          for (const address of [from, second, y, to, angle]) fn.advance(address, 16);
        });
        fn.set(from, second);
        fn.set(y, to);
        fn.repeat(i32.shr_u(rest, 2), () => {
          fn.store(f32x4.store(y, f32x4.load(from)));
          for (const address of [from, y]) fn.advance(address, 16);
        });
      });
      fn.advance(cosines, pairBytes);
      fn.advance(x, stride);
    });
  });
}

import type { FunctionReference, ModuleBuilder } from './assembler.ts';
import type { Value } from './instructions/encoding.ts';
import * as f32 from './instructions/f32.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as i32 from './instructions/i32.ts';
import * as v128 from './instructions/v128.ts';

/**
 * `transpose`: y[c, r] = x[r, c] for any number of rows and columns, 4 × 4 at a time; strides in bytes. Sixteen rows go
 * together, so that a line of y is written at once.
 */
export function defineTranspose(module: ModuleBuilder): FunctionReference<null> {
  return module.define('transpose', 'iiiiii', (fn, y, x, rows, columns, yStride, xStride) => {
    const [from, to, at, into, left] = fn.locals('i32');
    /** Rows `group` · 4 of x at `from` become columns of y at `to`. */
    const strip = (groups: number) => {
      fn.set(from, x);
      fn.set(to, y);
      fn.repeat(i32.shr_u(columns, 2), () => {
        fn.set(at, from);
        for (let g = 0; g < groups; g++) {
          const quad = [0, 1, 2, 3].map((r) => {
            if (g + r > 0) fn.advance(at, xStride);
            return fn.let(f32x4.load(at));
          });
          const [a, b, c, d] = quad;
          const [low, high] = [
            [fn.let(v128.shuffle(a, b, 0, 4, 1, 5)), fn.let(v128.shuffle(c, d, 0, 4, 1, 5))],
            [fn.let(v128.shuffle(a, b, 2, 6, 3, 7)), fn.let(v128.shuffle(c, d, 2, 6, 3, 7))],
          ];
          fn.set(into, to);
          for (const [ab, cd] of [low, high]) {
            fn.store(f32x4.store(into, v128.shuffle(ab, cd, 0, 1, 4, 5), 16 * g));
            fn.advance(into, yStride);
            fn.store(f32x4.store(into, v128.shuffle(ab, cd, 2, 3, 6, 7), 16 * g));
            fn.advance(into, yStride);
          }
        }
        fn.advance(from, 16);
        fn.advance(to, i32.shl(yStride, 2));
      });
      single(4 * groups);
    };
    /** The columns from `from` on, up to three of them, number by number. */
    const single = (count: number) => {
      fn.repeat(i32.and(columns, 3), () => oneColumn(i32.const(count)));
    };
    const oneColumn = (count: Value<'i32'>) => {
      fn.set(at, from);
      fn.set(into, to);
      fn.repeat(count, () => {
        fn.store(f32.store(into, f32.load(at)));
        fn.advance(at, xStride);
        fn.advance(into, 4);
      });
      fn.advance(from, 4);
      fn.advance(to, yStride);
    };
    fn.set(left, rows);
    for (const groups of [4, 1]) {
      fn.while(i32.ge_s(left, 4 * groups), () => {
        strip(groups);
        fn.advance(x, i32.mul(xStride, 4 * groups));
        fn.advance(y, 16 * groups);
        fn.set(left, i32.sub(left, 4 * groups));
      });
    }
    fn.set(from, x);
    fn.set(to, y);
    fn.if(i32.gt_s(left, 0), () => fn.repeat(columns, () => oneColumn(left)));
  });
}

/**
 * `turnPanel`: a panel of the transposed weight, [outFeatures][columns], from the weight's panels, [inFeatures][columns] each,
 * `step` bytes apart; `from` is its first row that counts. `inputs` of the panel's columns are written.
 */
export function defineTurnPanel(module: ModuleBuilder, columns: number, transpose: FunctionReference<null>): void {
  module.define('turnPanel', 'iiiii', (fn, to, from, inputs, outFeatures, step) => {
    const stride = i32.const(4 * columns);
    const left = fn.let(outFeatures);
    fn.while(i32.gt_s(left, 0), () => {
      fn.call(transpose, to, from, inputs, i32.min(left, columns), stride, stride);
      fn.advance(to, 4 * columns * columns);
      fn.advance(from, step);
      fn.set(left, i32.sub(left, columns));
    });
  });
}

/** `sumPanels`: y = Σ over the rows of each of `count` panels, [rows][columns], in chunks whose sums are added. */
export function defineSumPanels(module: ModuleBuilder, vectors: number): void {
  module.define('sumPanels', 'iiii', (fn, y, panels, rows, count) => {
    const [totals, sums] = [0, 1].map(() => Array.from({ length: vectors }, () => fn.local('v128')));
    const [left, some] = fn.locals('i32');
    fn.repeat(count, () => {
      for (const total of totals) fn.set(total, f32x4.const(0));
      fn.set(left, rows);
      fn.while(left, () => {
        for (const sum of sums) fn.set(sum, f32x4.const(0));
        fn.set(some, i32.min(left, 64));
        fn.set(left, i32.sub(left, some));
        fn.repeatAtLeastOnce(some, () => {
          sums.forEach((sum, v) => fn.set(sum, f32x4.add(sum, f32x4.load(panels, 16 * v))));
          fn.advance(panels, 16 * vectors);
        });
        totals.forEach((total, v) => fn.set(total, f32x4.add(total, sums[v])));
      });
      totals.forEach((total, v) => fn.store(f32x4.store(y, total, 16 * v)));
      fn.advance(y, 16 * vectors);
    });
  });
}

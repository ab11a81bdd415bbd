import type { Arithmetic } from './arithmetic.ts';
import type { ModuleBuilder } from './assembler.ts';
import type { Value } from './instructions/encoding.ts';
import * as f32 from './instructions/f32.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as f64 from './instructions/f64.ts';
import * as f64x2 from './instructions/f64x2.ts';
import * as i32 from './instructions/i32.ts';
import * as v128 from './instructions/v128.ts';
import { forRow } from './rows.ts';

/** Rows that are added before their sum is added to the total: shorter chains of additions lose less to rounding. */
const CHUNK = 16;

/**
 * `poolSum`: y = Σᵣ w[r]·x[r] · factor over `rows` rows of `size` numbers, with the weights 1, 1 + growth, 1 + 2·growth, …;
 * `poolMax`: y = the largest number of each column · factor, NaN where there is one.
 */
export function definePool(module: ModuleBuilder, { multiplyAdd }: Arithmetic): void {
  for (const [name, start, add, join] of [
    ['poolSum', 0, multiplyAdd, f32x4.add],
    ['poolMax', -Infinity, (x, _weight, most) => f32x4.max(x, most), f32x4.max],
  ] as [string, number, Arithmetic['multiplyAdd'], typeof f32x4.add][]) {
    module.define(name, 'iiiiff', (fn, y, x, rows, size, growth, factor) => {
      const stride = fn.let(i32.shl(size, 2));
      const [growths, factors] = [growth, factor].map((number) => fn.let(f32x4.splat(number)));
      const [at, left, count, weight] = [fn.local('i32'), fn.local('i32'), fn.local('i32'), fn.local('v128')];
      const pool = (...columns: Value<'v128'>[]) => {
        const totals = columns.map(() => fn.let(f32x4.const(start)));
        fn.set(at, x);
        fn.set(left, rows);
        fn.set(weight, f32x4.const(1));
        fn.while(left, () => {
          fn.set(count, i32.min(left, CHUNK));
          fn.set(left, i32.sub(left, count));
          const sums = columns.map(() => fn.let(f32x4.const(start)));
          fn.repeatAtLeastOnce(count, () => {
            columns.forEach((column, v) => fn.set(sums[v], add(column, weight, sums[v])));
            fn.set(weight, f32x4.add(weight, growths));
            fn.advance(at, stride);
          });
          totals.forEach((total, v) => fn.set(total, join(total, sums[v])));
        });
        return totals.map((total) => f32x4.mul(total, factors));
      };
      forRow(
        fn,
        size,
        [x, y],
        (numbers) =>
          pool(...numbers.map((v) => f32x4.load(at, 16 * v))).forEach((pooled, v) =>
            fn.store(f32x4.store(y, pooled, 16 * v)),
          ),
        () => fn.store(f32.store(y, f32x4.extract_lane(pool(v128.load32_zero(at))[0], 0))),
      );
    });
  }
}

/** `normalizeRows`: each row divided by its length, 1e-12 at least. The squares are float64, where none overflows. */
export function defineNormalizeRows(module: ModuleBuilder): void {
  module.define('normalizeRows', 'iiii', (fn, y, x, rows, size) => {
    const [at, squares, length] = [fn.local('i32'), fn.local('v128'), fn.local('f32')];
    const add = (numbers: Value<'v128'>) => {
      const two = fn.let(f64x2.promote_low_f32x4(numbers));
      fn.set(squares, f64x2.add(squares, f64x2.mul(two, two)));
    };
    fn.repeat(rows, () => {
      fn.set(squares, f32x4.const(0));
      fn.set(at, x);
      forRow(
        fn,
        size,
        [at],
        (numbers) => numbers.forEach((v) => [0, 8].forEach((half) => add(v128.load64_zero(at, 16 * v + half)))),
        () => add(v128.load32_zero(at)),
      );
      const sum = f64.add(f64x2.extract_lane(squares, 0), f64x2.extract_lane(squares, 1));
      fn.set(length, f32.max(f32.demote_f64(f64.sqrt(sum)), f32.const(1e-12)));
      const lengths = fn.let(f32x4.splat(length));
      forRow(
        fn,
        size,
        [x, y],
        (numbers) =>
          numbers.forEach((v) => fn.store(f32x4.store(y, f32x4.div(f32x4.load(x, 16 * v), lengths), 16 * v))),
        () => fn.store(f32.store(y, f32.div(f32.load(x), length))),
      );
    });
  });
}

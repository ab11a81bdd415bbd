import type { Arithmetic } from './arithmetic.ts';
import { sumLanes, type FunctionBuilder, type FunctionReference, type ModuleBuilder } from './assembler.ts';
import type { Local, Value } from './instructions/encoding.ts';
import * as f32 from './instructions/f32.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as f64 from './instructions/f64.ts';
import * as i32 from './instructions/i32.ts';
import { powerOfTwo } from './math.ts';

type Address = Local<'i32'>;

/** Vectors of a row that are worked on at a time, with a sum for each: short chains of additions lose less to rounding. */
export const AT_A_TIME = [0, 1, 2, 3];

/**
 * Runs `body` for as many of `count` vectors at a time as `atATime`, a power of 2, then for each of those that are left, with their
 * numbers. The addresses are moved on. Loads that come before stores are paired by revectorization.
 */
export function forVectors(
  fn: FunctionBuilder,
  count: Value<'i32'>,
  atATime: number,
  addresses: readonly Address[],
  body: (numbers: readonly number[]) => void,
): void {
  const vectors = fn.let(count);
  for (const [times, numbers] of [
    [i32.shr_u(vectors, Math.log2(atATime)), AT_A_TIME.slice(0, atATime)],
    [i32.and(vectors, atATime - 1), [0]],
  ] as const) {
    fn.repeat(times, () => {
      body(numbers);
      for (const address of addresses) fn.advance(address, 16 * numbers.length);
    });
  }
}

/** `forVectors` for a row of `size` numbers, four vectors at a time, and then `single` for the up to three numbers after them. */
export function forRow(
  fn: FunctionBuilder,
  size: Local<'i32'>,
  addresses: Address[],
  vectors: (numbers: readonly number[]) => void,
  single: () => void,
): void {
  forVectors(fn, i32.shr_u(size, 2), AT_A_TIME.length, addresses, vectors);
  fn.repeat(i32.and(size, 3), () => {
    single();
    for (const address of addresses) fn.advance(address, 4);
  });
}

/**
 * `layerNorm`, and `layerNormResidual` with z = x + residual: y = (z - mean(z)) / √(variance(z) + eps) · weight + bias of
 * each row, in three passes over a row that stays in the nearest cache; z waits in y. Loads come before stores, so that
 * revectorization can pair them.
 */
export function defineLayerNorm(module: ModuleBuilder, { multiplyAdd }: Arithmetic): void {
  for (const hasResidual of [false, true]) {
    const name = hasResidual ? 'layerNormResidual' : 'layerNorm';
    module.define(name, 'iiiiiiif', (fn, y, x, residual, weight, bias, rows, size, eps) => {
      const [to, w, b] = fn.locals('i32');
      const sums = AT_A_TIME.map(() => fn.local('v128'));
      const sum = fn.local('f32'); // of what fills no vector
      const count = fn.let(f64.promote_f32(f32.convert_i32_s(size)));
      /** In float64: what is wrong with it is wrong with the whole row. */
      const meanOfSums = () => {
        const [low, high] = [0, 2].map((v) => fn.let(f32x4.add(sums[v], sums[v + 1])));
        const four = fn.let(f32x4.add(low, high));
        const lane = (i: number) => f64.promote_f32(f32x4.extract_lane(four, i));
        const lanes = f64.add(f64.add(lane(0), lane(2)), f64.add(lane(1), lane(3)));
        return f64.div(f64.add(lanes, f64.promote_f32(sum)), count);
      };
      const pass = (addresses: Address[], vectors: (numbers: readonly number[]) => void, single: () => void) => {
        for (const v of sums) fn.set(v, f32x4.const(0));
        fn.set(sum, f32.const(0));
        fn.set(to, y);
        forRow(fn, size, [to, ...addresses], vectors, single);
      };
      const storeAll = (values: readonly Local<'v128'>[]) =>
        values.forEach((value, v) => fn.store(f32x4.store(to, value, 16 * v)));

      fn.repeat(rows, () => {
        pass(
          hasResidual ? [x, residual] : [x],
          (numbers) => {
            const z = numbers.map((v) => {
              const loaded = f32x4.load(x, 16 * v);
              return fn.let(hasResidual ? f32x4.add(loaded, f32x4.load(residual, 16 * v)) : loaded);
            });
            z.forEach((value, v) => fn.set(sums[v], f32x4.add(sums[v], value)));
            storeAll(z);
          },
          () => {
            const z = fn.let(hasResidual ? f32.add(f32.load(x), f32.load(residual)) : f32.load(x));
            fn.set(sum, f32.add(sum, z));
            fn.store(f32.store(to, z));
          },
        );
        const mean = fn.let(f32.demote_f64(meanOfSums()));
        const means = fn.let(f32x4.splat(mean));

        pass(
          [],
          (numbers) => {
            const d = numbers.map((v) => fn.let(f32x4.sub(f32x4.load(to, 16 * v), means)));
            d.forEach((value, v) => fn.set(sums[v], multiplyAdd(value, value, sums[v])));
          },
          () => {
            const d = fn.let(f32.sub(f32.load(to), mean));
            fn.set(sum, f32.add(sum, f32.mul(d, d)));
          },
        );
        const inverse = fn.let(f32.demote_f64(f64.div(f64.one, f64.sqrt(f64.add(meanOfSums(), f64.promote_f32(eps))))));
        const inverses = fn.let(f32x4.splat(inverse));

        fn.set(w, weight);
        fn.set(b, bias);
        pass(
          [w, b],
          (numbers) => {
            const normed = numbers.map((v) => fn.let(f32x4.mul(f32x4.sub(f32x4.load(to, 16 * v), means), inverses)));
            storeAll(normed.map((n, v) => fn.let(multiplyAdd(n, f32x4.load(w, 16 * v), f32x4.load(b, 16 * v)))));
          },
          () => {
            const normed = f32.mul(f32.sub(f32.load(to), mean), inverse);
            fn.store(f32.store(to, f32.add(f32.mul(normed, f32.load(w)), f32.load(b))));
          },
        );
        fn.set(y, to);
      });
    });
  }
}

/**
 * `softmaxRow`: y = exp((x - max(x)) · scale) over one row of `pairs` · 8 numbers; returns 1 / Σ y, by which the caller
 * multiplies, here or later. Numbers that are not to count must be -∞ in x. Two vectors at a time, loads before stores, so
 * that revectorization can pair them.
 */
export function defineSoftmaxRow(module: ModuleBuilder, arithmetic: Arithmetic): FunctionReference<'f32'> {
  return module.define('softmaxRow', 'iiif', (fn, y, x, pairs, scale) => {
    const at = fn.let(x);
    const largests = [0, 1].map(() => fn.let(f32x4.const(-Infinity)));
    fn.repeatAtLeastOnce(pairs, () => {
      const [low, high] = [0, 16].map((offset) => fn.let(f32x4.load(at, offset)));
      fn.set(largests[0], f32x4.pmax(largests[0], low));
      fn.set(largests[1], f32x4.pmax(largests[1], high));
      fn.advance(at, 32);
    });
    const largest = fn.let(f32x4.pmax(largests[0], largests[1]));
    const lane = (i: number) => f32x4.extract_lane(largest, i);
    const max = fn.let(f32x4.splat(f32.max(f32.max(lane(0), lane(2)), f32.max(lane(1), lane(3)))));
    const scales = fn.let(f32x4.splat(f32.mul(scale, f32.const(Math.LOG2E))));
    const sums = [0, 1].map(() => fn.let(f32x4.const(0)));
    fn.repeatAtLeastOnce(pairs, () => {
      const loaded = [0, 16].map((offset) => fn.let(f32x4.load(x, offset)));
      const e = loaded.map((v) => powerOfTwo(fn, arithmetic, f32x4.mul(f32x4.sub(v, max), scales)));
      e.forEach((v, i) => fn.set(sums[i], f32x4.add(sums[i], v)));
      e.forEach((v, i) => fn.store(f32x4.store(y, v, 16 * i)));
      fn.advance(x, 32);
      fn.advance(y, 32);
    });
    return f32.div(f32.const(1), sumLanes(fn.let(f32x4.add(sums[0], sums[1]))));
  });
}

import { sumLanes, type FunctionBuilder } from './assembler.ts';
import { vectorBinary, vectorUnary, type Local, type Store, type Value } from './instructions/encoding.ts';
import * as f32 from './instructions/f32.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as i16x8 from './instructions/i16x8.ts';
import * as i32 from './instructions/i32.ts';
import * as i32x4 from './instructions/i32x4.ts';
import * as v128 from './instructions/v128.ts';
import type { KernelModule } from './machine.ts';

type Vector = Value<'v128'>;
type Address = Local<'i32'>;

/** A kernel's step: what 16 bytes of rows, or 64 of float32, at `x` add to the sums, given the query's at `q`. */
interface Comparison {
  /** Bytes of a row, and of the query, in one step. */
  bytes: readonly [row: number, query: number];
  sums: number;
  step: (fn: FunctionBuilder, x: Address, q: Address, sums: readonly Local<'v128'>[]) => void;
  store: (fn: FunctionBuilder, y: Address, sums: readonly Local<'v128'>[]) => Store;
}

const sumIntegers = (fn: FunctionBuilder, sum: Vector): Value<'i32'> => {
  const four = fn.let(sum);
  const lane = (i: number) => i32.reinterpret_f32(f32x4.extract_lane(four, i));
  return i32.add(i32.add(lane(0), lane(1)), i32.add(lane(2), lane(3)));
};

/**
 * `dots`, `dotsInt8`, `differingBits`: y[r] = what row r has in common with a query, or, of bits, has not. Rows are float32,
 * int8 (the query int16, the sums int32) or bits; they, and the query, are filled up with zeros to whole steps.
 */
export const defineDots: KernelModule = (module, _tile, { multiplyAdd }) => {
  const countBits = vectorUnary(98); // i8x16.popcnt
  const addPairs8 = vectorUnary(125); // i16x8.extadd_pairwise_i8x16_u
  const addPairs16 = vectorUnary(127); // i32x4.extadd_pairwise_i16x8_u
  const add16 = vectorBinary(142); // i16x8.add
  const comparisons: Record<string, Comparison> = {
    dots: {
      bytes: [64, 64],
      sums: 4,
      step: (fn, x, q, sums) =>
        sums.forEach((sum, v) => fn.set(sum, multiplyAdd(f32x4.load(x, 16 * v), f32x4.load(q, 16 * v), sum))),
      store: (fn, y, [a, b, c, d]) => f32.store(y, sumLanes(fn.let(f32x4.add(f32x4.add(a, b), f32x4.add(c, d))))),
    },
    dotsInt8: {
      bytes: [16, 32],
      sums: 2,
      step: (fn, x, q, sums) =>
        sums.forEach((sum, v) => {
          const products = i32x4.dot_i16x8_s(i16x8.load8x8_s(x, 8 * v), v128.load(q, 16 * v));
          fn.set(sum, i32x4.add(sum, products));
        }),
      store: (fn, y, [a, b]) => i32.store(y, sumIntegers(fn, i32x4.add(a, b))),
    },
    differingBits: {
      bytes: [16, 16],
      sums: 1,
      step: (fn, x, q, [sum]) => fn.set(sum, add16(sum, addPairs8(countBits(v128.xor(v128.load(x), v128.load(q)))))),
      store: (fn, y, [sum]) => i32.store(y, sumIntegers(fn, addPairs16(sum))),
    },
  };
  for (const [name, { bytes, sums: count, step, store }] of Object.entries(comparisons)) {
    module.define(name, 'iiiii', (fn, y, x, query, rows, steps) => {
      const q = fn.local('i32');
      const sums = Array.from({ length: count }, () => fn.local('v128'));
      fn.repeat(rows, () => {
        fn.set(q, query);
        for (const sum of sums) fn.set(sum, f32x4.const(0));
        fn.repeatAtLeastOnce(steps, () => {
          step(fn, x, q, sums);
          fn.advance(x, bytes[0]);
          fn.advance(q, bytes[1]);
        });
        fn.store(store(fn, y, sums));
        fn.advance(y, 4);
      });
    });
  }
};

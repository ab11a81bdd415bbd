import type { FunctionReference, ModuleBuilder } from './assembler.ts';
import type { Value } from './instructions/encoding.ts';
import * as f32 from './instructions/f32.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as i16x8 from './instructions/i16x8.ts';
import * as i32 from './instructions/i32.ts';
import * as i32x4 from './instructions/i32x4.ts';
import * as i8x16 from './instructions/i8x16.ts';
import * as v128 from './instructions/v128.ts';
import { defineTileRowsQ8 } from './int8Tile.ts';
import { forBlocks, type Tile } from './linear.ts';
import { defineSquares, squareScratchBytes, squareSumBytes, SQUARE_ROWS } from './strassen.ts';

/** Activations are rounded to -2047 … 2047: sums with int8 weights stay exact in int32 up to 8259 inputs. */
const LEVELS = 2047;

/**
 * How many numbers of a row are multiplied and added up by one instruction. By twos, a rounded number is an int16. By fours it
 * is two bytes, the digits of 64 · high + low = number + `OFFSET`, which are below 64: the sum with the weights is then
 * 64 · Σ high · w + Σ low · w - `OFFSET` · Σ w, exact as before, as what overflows on the way does so modulo 2³².
 */
export type Group = 2 | 4;

export const OFFSET = 2048;

/** Of a panel of int8 weights, [groups][columns][group]; after fours comes a number for each column. */
export function panelBytesQ8(size: Value<'i32'>, columns: number, group: Group): Value<'i32'> {
  const bytes = i32.and(i32.add(size, group - 1), -group);
  return i32.mul(group === 2 ? bytes : i32.add(bytes, 4), columns);
}

/**
 * `roundRows`: each row of x to 12 bits with one scale, largest / 2047, which `scales` receives. Rows of `rounded` have 2 bytes for
 * each number of all groups: int16, or all high digits and then all low ones. What is left of the last group, where weights
 * are zeros, is not written.
 */
export function defineRoundRows(module: ModuleBuilder, group: Group): void {
  module.define('roundRows', 'iiiii', (fn, rounded, scales, x, rows, size) => {
    const [at, to] = fn.locals('i32');
    const lowDigits = fn.let(i32.and(i32.add(size, group - 1), -group)); // bytes after the high ones
    const sixteens = fn.let(i32.shr_u(size, 4));
    const rest = fn.let(i32.and(size, 15));
    // Added to a number below 2^22, leaves it rounded half to even.
    const round = 1.5 * 2 ** 23;
    const magic = fn.constant(round);
    /** What is taken from the bits of a sum with it to have the whole number. */
    const base = group === 2 ? round : round - OFFSET;
    fn.repeat(rows, () => {
      const largests = fn.let(f32x4.const(0));
      fn.set(at, x);
      fn.repeat(sixteens, () => {
        // The bits of numbers from 0 are in the order of the numbers, with NaN above all, so that one NaN makes the row NaN.
        for (const offset of [0, 16, 32, 48]) {
          fn.set(largests, i32x4.max_s(largests, f32x4.abs(f32x4.load(at, offset))));
        }
        fn.advance(at, 64);
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
      fn.repeat(sixteens, () => {
        const [low, high] = [0, 32].map((begin) => {
          const [four, next] = [begin, begin + 16].map((offset) => {
            const sum = f32x4.add(f32x4.mul(f32x4.load(at, offset), inverses), magic);
            return i32x4.sub(sum, fn.constant(base)); // the difference of the bit patterns is the whole number
          });
          return fn.let(i16x8.narrow_i32x4_s(four, next));
        });
        if (group === 2) {
          fn.store(v128.store(to, low));
          fn.store(v128.store(to, high, 16));
        } else {
          // Signed, so that digits stay digits where NaN has made them large.
          const mask = v128.const(0x003f003f);
          fn.store(v128.store(to, i8x16.narrow_i16x8_s(i16x8.shr_u(low, 6), i16x8.shr_u(high, 6))));
          fn.store(v128.store(i32.add(to, lowDigits), i8x16.narrow_i16x8_s(v128.and(low, mask), v128.and(high, mask))));
        }
        fn.advance(at, 64);
        fn.advance(to, group === 2 ? 32 : 16);
      });
      fn.repeat(rest, () => {
        const sum = f32.add(f32.mul(f32.load(at), inverse), f32.const(round));
        const whole = fn.let(i32.sub(i32.reinterpret_f32(sum), i32.reinterpret_f32(f32.const(base))));
        if (group === 2) fn.store(i32.store16(to, whole));
        else {
          fn.store(i32.store8(to, i32.and(i32.shr_u(whole, 6), 63)));
          fn.store(i32.store8(i32.add(to, lowDigits), i32.and(whole, 63)));
        }
        fn.advance(at, 4);
        fn.advance(to, group === 2 ? 2 : 1);
      });
      if (group === 2) {
        // Where a number is infinite or NaN, its scale makes the row so. Sums with other rows must stay below 2^15.
        fn.if(i32.eq(i32.reinterpret_f32(inverse), 0), () => {
          fn.set(to, rounded);
          fn.repeat(i32.shr_u(lowDigits, 1), () => {
            fn.store(i32.store(to, i32.const(0)));
            fn.advance(to, 4);
          });
        });
      }
      fn.set(x, at);
      fn.advance(rounded, i32.shl(lowDigits, 1));
      fn.advance(scales, 4);
    });
  });
}

/**
 * `linearQ8`: y = activation(x · weightᵀ · scales + bias) on rows rounded by `roundRows` and int8 panels, by tiles of
 * integer sums, in the order of `linear`. `bias` moves on by `biasStep` bytes a panel: 0 when it is one panel of zeros.
 * With `sums`, those of `sumQuadrants` for x, rows by eights and panels by twos take seven multiplications instead of eight.
 */
export function defineLinearQ8(
  module: ModuleBuilder,
  { rows: floatRows, vectors }: Tile,
  group: Group,
  activate: FunctionReference<null>,
): void {
  // Panels are as wide as those of float32. By twos, sums take one more register than fused multiply-add: 4 rows fit.
  const tileRows = defineTileRowsQ8(module, { rows: group === 2 ? 4 : floatRows, vectors }, group);
  const columns = 4 * vectors;
  // By twos alone; by fours the panels are multiplied as they are.
  const byTwos = group === 2 && { widen: defineWiden(module, vectors), squares: defineSquares(module, vectors) };
  module.define('linearQ8', 'iiiiiiiiiiiiii', (fn, ...args) => {
    const [y, x, sums, rowScales, weight, scales, bias, biasStep, rows, groups, panels, yStride, activation, scratch] =
      args;
    const xStride = fn.let(i32.mul(groups, 2 * group));
    const panelBytes = fn.let(panelBytesQ8(i32.mul(groups, group), columns, group));
    const [panel, factors, addend, yPanel, done, left, together, weights] = fn.locals('i32');
    const most = fn.let(i32.select(2, 1, sums)); // panels at a time
    const rowBytes = i32.add(i32.mul(xStride, most), i32.mul(panels, 4 * columns)); // sums are as long as x
    forBlocks(fn, rows, rowBytes, (block) => {
      fn.set(panel, weight);
      fn.set(factors, scales);
      fn.set(addend, bias);
      fn.set(yPanel, y);
      fn.set(left, panels);
      fn.while(left, () => {
        fn.set(together, i32.min(left, most));
        fn.set(done, i32.const(0));
        fn.set(weights, byTwos ? scratch : panel);
        if (byTwos) {
          fn.if(
            i32.eq(together, 2),
            () => {
              const eights = i32.div_u(block, SQUARE_ROWS);
              const numbers = [addend, biasStep, factors, rowScales, groups, yStride, eights];
              fn.call(byTwos.squares, yPanel, x, sums, panel, scratch, ...numbers);
              fn.set(done, i32.and(block, -SQUARE_ROWS));
            },
            () => fn.call(byTwos.widen, scratch, panel, groups),
          );
        }
        fn.set(left, i32.sub(left, together));
        fn.repeat(together, () => {
          fn.call(
            tileRows,
            i32.add(yPanel, i32.mul(done, yStride)),
            i32.add(x, i32.mul(done, xStride)),
            weights,
            addend,
            factors,
            i32.add(rowScales, i32.shl(done, 2)),
            i32.sub(block, done),
            groups,
            yStride,
          );
          fn.if(activation, () => fn.call(activate, activation, yPanel, yPanel, block, vectors, yStride));
          fn.advance(weights, i32.mul(groups, 4 * columns)); // to the second of a pair
          fn.advance(panel, panelBytes);
          fn.advance(factors, 4 * columns);
          fn.advance(addend, biasStep);
          fn.advance(yPanel, 4 * columns);
        });
      });
      fn.advance(x, i32.mul(xStride, block));
      fn.advance(y, i32.mul(yStride, block));
      fn.advance(rowScales, i32.shl(block, 2));
      fn.if(sums, () => fn.advance(sums, i32.mul(i32.div_u(block, SQUARE_ROWS), squareSumBytes(groups))));
    });
  });
}

/** Bytes of scratch memory that `linearQ8` needs. */
export const linearQ8ScratchBytes = (groups: number, { vectors }: Tile, group: Group): number =>
  group === 2 ? squareScratchBytes(groups, vectors) : 0;

/** `widen`: a panel of weights by twos as int16, once for all rows. A tile that did so itself would do it at every eighth step. */
function defineWiden(module: ModuleBuilder, vectors: number): FunctionReference<null> {
  return module.define('widen', 'iii', (fn, wide, panel, groups) => {
    fn.repeat(groups, () => {
      const halves = Array.from({ length: vectors }, (_, v) => fn.let(i16x8.load8x8_s(panel, 8 * v)));
      halves.forEach((half, v) => fn.store(v128.store(wide, half, 16 * v)));
      fn.advance(panel, 8 * vectors);
      fn.advance(wide, 16 * vectors);
    });
  });
}

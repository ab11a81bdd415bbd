import type { FunctionBuilder, ModuleBuilder } from './assembler.ts';
import type { Local, Value } from './instructions/encoding.ts';
import * as f32 from './instructions/f32.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as i32 from './instructions/i32.ts';
import * as i32x4 from './instructions/i32x4.ts';
import * as v128 from './instructions/v128.ts';
import { OFFSET, panelBytesQ8, type Group } from './int8.ts';

/**
 * Rows of a weight into its panels. `packed` is the address of the row's first number; in a panel of float32,
 * [inFeatures][columns], the next one lies a panel's width further, and in int8, [groups][columns][group], groups do. After
 * a panel of fours come -`OFFSET` times the sums of its rows, int32 [columns]. A row may hold 16-bit floats, which are widened
 * on the way.
 */
export function defineMatrixRows(module: ModuleBuilder, columns: number, group: Group): void {
  for (const [name, bytes, bitsAt] of [
    ['packRow', 4, (_fn, row) => i32.load(row)],
    ['packRowBF16', 2, (_fn, row) => i32.shl(i32.load16_u(row), 16)],
    ['packRowF16', 2, widenHalf],
  ] as [string, number, (fn: FunctionBuilder, row: Local<'i32'>) => Value<'i32'>][]) {
    module.define(name, 'iii', (fn, packed, row, size) => {
      fn.repeat(size, () => {
        fn.store(i32.store(packed, bitsAt(fn, row)));
        fn.advance(row, bytes);
        fn.advance(packed, 4 * columns);
      });
    });
  }
  module.define('packRowQ8', 'iii', (fn, packed, row, groups) => {
    const sum = fn.local('v128');
    fn.repeat(groups, () => {
      if (group === 2) fn.store(i32.store16(packed, i32.load16_s(row)));
      else {
        fn.store(i32.store(packed, i32.load(row)));
        fn.set(sum, i32x4.relaxed_dot_i8x16_i7x16_add_s(i32x4.loadSplat(row), v128.const(0x01010101), sum));
      }
      fn.advance(row, group);
      fn.advance(packed, group * columns);
    });
    if (group === 4) fn.store(i32.store(packed, i32.mul(i32x4.extract_lane(sum, 0), -OFFSET)));
  });
}

/**
 * The float32 of the binary16 at an address, as bits. Exponent and mantissa, moved to their places, read as a number that is
 * 2¹¹² times too small, subnormal ones too; those with the highest exponent, infinities and NaNs, get float32's highest.
 */
function widenHalf(fn: FunctionBuilder, row: Local<'i32'>): Value<'i32'> {
  const half = fn.let(i32.load16_u(row));
  const size = fn.let(i32.shl(i32.and(half, 0x7fff), 13));
  const number = i32.reinterpret_f32(f32.mul(f32.reinterpret_i32(size), f32.const(2 ** 112)));
  const special = i32.or(size, 0x7f800000);
  const sign = i32.shl(i32.and(half, 0x8000), 16);
  return i32.or(i32.select(number, special, i32.lt_s(size, 0x7c00 << 13)), sign);
}

/**
 * `gather`, `gatherPacked`, `gatherPackedQ8`: rows of a row-major table, of panels of float32 and of int8, by int32 ids, one
 * after the other in y; with `Add` at the end of the name they are added to what is there.
 */
export function defineGather(module: ModuleBuilder, columns: number, group: Group): void {
  const mask = columns - 1;
  const shift = Math.log2(columns);
  for (const adds of [false, true]) {
    const put = (y: Local<'i32'>, value: Value<'f32'>, offset = 0) =>
      f32.store(y, adds ? f32.add(f32.load(y, offset), value) : value, offset);
    /** For each row, with its id and a pointer for the body to move. */
    const define = (
      name: string,
      body: (fn: FunctionBuilder, args: Record<'y' | 'data' | 'scales' | 'size' | 'id', Local<'i32'>>) => void,
    ) =>
      module.define(adds ? `${name}Add` : name, 'iiiiii', (fn, y, data, ids, scales, rows, size) => {
        const id = fn.local('i32');
        fn.repeat(rows, () => {
          fn.set(id, i32.load(ids));
          body(fn, { y, data, scales, size, id });
          fn.advance(ids, 4);
        });
      });

    define('gather', (fn, { y, data, size, id }) => {
      const from = fn.let(i32.add(data, i32.shl(i32.mul(id, size), 2)));
      fn.repeat(i32.shr_u(size, 2), () => {
        const row = f32x4.load(from);
        fn.store(f32x4.store(y, adds ? f32x4.add(f32x4.load(y), row) : row));
        for (const address of [from, y]) fn.advance(address, 16);
      });
      fn.repeat(i32.and(size, 3), () => {
        fn.store(put(y, f32.load(from)));
        for (const address of [from, y]) fn.advance(address, 4);
      });
    });

    define('gatherPacked', (fn, { y, data, size, id }) => {
      const panel = i32.mul(i32.shr_u(id, shift), i32.mul(size, 4 * columns));
      const from = fn.let(i32.add(data, i32.add(panel, i32.shl(i32.and(id, mask), 2))));
      fn.repeat(size, () => {
        fn.store(put(y, f32.load(from)));
        fn.advance(from, 4 * columns);
        fn.advance(y, 4);
      });
    });

    define('gatherPackedQ8', (fn, { y, data, scales, size, id }) => {
      const panel = i32.mul(i32.shr_u(id, shift), panelBytesQ8(size, columns, group));
      const from = fn.let(i32.add(data, i32.add(panel, i32.mul(i32.and(id, mask), group))));
      const scale = fn.let(f32.load(i32.add(scales, i32.shl(id, 2))));
      const number = (k: number) => f32.mul(f32.convert_i32_s(i32.load8_s(from, k)), scale);
      fn.repeat(i32.div_u(size, group), () => {
        for (let k = 0; k < group; k++) fn.store(put(y, number(k), 4 * k));
        fn.advance(from, group * columns);
        fn.advance(y, 4 * group);
      });
      fn.repeat(i32.and(size, group - 1), () => {
        fn.store(put(y, number(0)));
        fn.advance(from, 1);
        fn.advance(y, 4);
      });
    });
  }
}

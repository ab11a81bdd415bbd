import {
  f32,
  f32x4,
  i32,
  i32x4,
  v128,
  type FunctionBuilder,
  type Local,
  type ModuleBuilder,
  type Value,
} from './assembler.ts';
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
    ['packRowBF16', 2, (_fn, row) => i32.shl(i32.load16_u(row), i32.const(16))],
    ['packRowF16', 2, widenHalf],
  ] as [string, number, (fn: FunctionBuilder, row: Local<'i32'>) => Value<'i32'>][]) {
    module.define(name, { packed: 'i32', row: 'i32', size: 'i32' }, (fn, { packed, row, size }) => {
      fn.repeat(size, () => {
        fn.store(i32.store(packed, bitsAt(fn, row)));
        fn.advance(row, bytes);
        fn.advance(packed, 4 * columns);
      });
    });
  }
  module.define('packRowQ8', { packed: 'i32', row: 'i32', groups: 'i32' }, (fn, { packed, row, groups }) => {
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
    if (group === 4) fn.store(i32.store(packed, i32.mul(i32x4.extract_lane(sum, 0), i32.const(-OFFSET))));
  });
}

/**
 * The float32 of the binary16 at an address, as bits. Exponent and mantissa, moved to their places, read as a number that is
 * 2¹¹² times too small, subnormal ones too; those with the highest exponent, infinities and NaNs, get float32's highest.
 */
function widenHalf(fn: FunctionBuilder, row: Local<'i32'>): Value<'i32'> {
  const half = fn.let(i32.load16_u(row));
  const size = fn.let(i32.shl(i32.and(half, i32.const(0x7fff)), i32.const(13)));
  const number = i32.reinterpret_f32(f32.mul(f32.reinterpret_i32(size), f32.const(2 ** 112)));
  const special = i32.or(size, i32.const(0x7f800000));
  const sign = i32.shl(i32.and(half, i32.const(0x8000)), i32.const(16));
  return i32.or(i32.select(number, special, i32.lt_s(size, i32.const(0x7c00 << 13))), sign);
}

const gatherParameters = {
  y: 'i32',
  data: 'i32',
  ids: 'i32',
  scales: 'i32',
  rows: 'i32',
  size: 'i32',
} as const;

/**
 * `gather`, `gatherPacked`, `gatherPackedQ8`: rows of a row-major table, of panels of float32 and of int8, by int32 ids, one
 * after the other in y; with `Add` at the end of the name they are added to what is there.
 */
export function defineGather(module: ModuleBuilder, columns: number, group: Group): void {
  const mask = i32.const(columns - 1);
  const shift = i32.const(Math.log2(columns));
  for (const adds of [false, true]) {
    const put = (y: Local<'i32'>, value: Value<'f32'>, offset = 0) =>
      f32.store(y, adds ? f32.add(f32.load(y, offset), value) : value, offset);
    /** For each row, with its id and a pointer for the body to move. */
    const define = (
      name: string,
      body: (fn: FunctionBuilder, args: Record<keyof typeof gatherParameters, Local<'i32'>>, id: Local<'i32'>) => void,
    ) =>
      module.define(adds ? `${name}Add` : name, gatherParameters, (fn, args) => {
        const id = fn.local('i32');
        fn.repeat(args.rows, () => {
          fn.set(id, i32.load(args.ids));
          body(fn, args, id);
          fn.advance(args.ids, 4);
        });
      });

    define('gather', (fn, { y, data, size }, id) => {
      const from = fn.let(i32.add(data, i32.shl(i32.mul(id, size), i32.const(2))));
      fn.repeat(i32.shr_u(size, i32.const(2)), () => {
        const row = f32x4.load(from);
        fn.store(f32x4.store(y, adds ? f32x4.add(f32x4.load(y), row) : row));
        for (const address of [from, y]) fn.advance(address, 16);
      });
      fn.repeat(i32.and(size, i32.const(3)), () => {
        fn.store(put(y, f32.load(from)));
        for (const address of [from, y]) fn.advance(address, 4);
      });
    });

    define('gatherPacked', (fn, { y, data, size }, id) => {
      const panel = i32.mul(i32.shr_u(id, shift), i32.mul(size, i32.const(4 * columns)));
      const from = fn.let(i32.add(data, i32.add(panel, i32.shl(i32.and(id, mask), i32.const(2)))));
      fn.repeat(size, () => {
        fn.store(put(y, f32.load(from)));
        fn.advance(from, 4 * columns);
        fn.advance(y, 4);
      });
    });

    define('gatherPackedQ8', (fn, { y, data, scales, size }, id) => {
      const panel = i32.mul(i32.shr_u(id, shift), panelBytesQ8(size, columns, group));
      const from = fn.let(i32.add(data, i32.add(panel, i32.mul(i32.and(id, mask), i32.const(group)))));
      const scale = fn.let(f32.load(i32.add(scales, i32.shl(id, i32.const(2)))));
      const number = (k: number) => f32.mul(f32.convert_i32_s(i32.load8_s(from, k)), scale);
      fn.repeat(i32.div_u(size, i32.const(group)), () => {
        for (let k = 0; k < group; k++) fn.store(put(y, number(k), 4 * k));
        fn.advance(from, group * columns);
        fn.advance(y, 4 * group);
      });
      fn.repeat(i32.and(size, i32.const(group - 1)), () => {
        fn.store(put(y, number(0)));
        fn.advance(from, 1);
        fn.advance(y, 4);
      });
    });
  }
}

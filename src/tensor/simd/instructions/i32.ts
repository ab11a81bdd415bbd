import { integers, loading, storing, unary, valueOf, type Integer, type Value } from './encoding.ts';

export { integer as const } from './encoding.ts';
export const load = loading('i32', 2, [0x28]);
export const load8_s = loading('i32', 0, [0x2c]);
export const load16_s = loading('i32', 1, [0x2e]);
export const load16_u = loading('i32', 1, [0x2f]);
export const reinterpret_f32 = unary<'f32', 'i32'>('i32', [0xbc]);
export const store = storing<'i32'>(2, [0x36]);
export const store8 = storing<'i32'>(0, [0x3a]);
export const store16 = storing<'i32'>(1, [0x3b]);
export const eq = integers(0x46);
export const ne = integers(0x47);
export const lt_s = integers(0x48);
export const ge_u = integers(0x4f);
export const gt_s = integers(0x4a);
export const ge_s = integers(0x4e);
export const add = integers(0x6a);
export const sub = integers(0x6b);
export const mul = integers(0x6c);
export const div_u = integers(0x6e);
export const and = integers(0x71);
export const or = integers(0x72);
export const xor = integers(0x73);
export const shl = integers(0x74);
export const shr_u = integers(0x76);
/** a where the condition holds, else b; both are computed. */
export const select = (a: Integer, b: Integer, condition: Value<'i32'>): Value<'i32'> => ({
  type: 'i32',
  code: [...valueOf(a).code, ...valueOf(b).code, ...condition.code, 0x1b],
});
/** The smaller of two; each is computed twice. */
export const min = (a: Integer, b: Integer): Value<'i32'> => select(a, b, lt_s(a, b));

import { binary, loading, storing, unary, type Value } from './encoding.ts';

const constant = (value: number): Value<'f32'> => ({
  type: 'f32',
  code: [0x43, ...new Uint8Array(Float32Array.of(value).buffer)],
});
export { constant as const };
export const load = loading('f32', 2, [0x2a]);
export const store = storing<'f32'>(2, [0x38]);
export const add = binary<'f32', 'f32'>('f32', [0x92]);
export const sub = binary<'f32', 'f32'>('f32', [0x93]);
export const mul = binary<'f32', 'f32'>('f32', [0x94]);
export const div = binary<'f32', 'f32'>('f32', [0x95]);
export const max = binary<'f32', 'f32'>('f32', [0x97]);
export const sqrt = unary<'f32', 'f32'>('f32', [0x91]);
export const abs = unary<'f32', 'f32'>('f32', [0x8b]);
export const ge = binary<'f32', 'i32'>('i32', [0x60]);
export const convert_i32_s = unary<'i32', 'f32'>('f32', [0xb2]);
export const reinterpret_i32 = unary<'i32', 'f32'>('f32', [0xbe]);
export const demote_f64 = unary<'f64', 'f32'>('f32', [0xb6]);

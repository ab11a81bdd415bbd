import { binary, unary, type Value } from './encoding.ts';

/** 1, the only number that is needed. */
export const one = { type: 'f64', code: [0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f] } as Value<'f64'>;
export const add = binary<'f64', 'f64'>('f64', [0xa0]);
export const div = binary<'f64', 'f64'>('f64', [0xa3]);
export const sqrt = unary<'f64', 'f64'>('f64', [0x9f]);
export const promote_f32 = unary<'f32', 'f64'>('f64', [0xbb]);

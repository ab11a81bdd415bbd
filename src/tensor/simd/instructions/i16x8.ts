import { loading, shifting, simd, vectorBinary } from './encoding.ts';

/** Eight int8 at an address, widened. */
export const load8x8_s = loading('v128', 0, simd(1));
export const narrow_i32x4_s = vectorBinary(133);
export const shr_u = shifting(141);
export const add = vectorBinary(142);
export const sub = vectorBinary(145);

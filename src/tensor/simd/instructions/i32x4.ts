import { extracting, loading, shifting, simd, ternary, unary, vectorBinary } from './encoding.ts';

export { load } from './v128.ts';
export const loadSplat = loading('v128', 2, simd(9));
export const splat = unary<'i32', 'v128'>('v128', simd(17));
export const add = vectorBinary(174);
export const sub = vectorBinary(177);
export const mul = vectorBinary(181);
export const ge_u = vectorBinary(64);
export const max_s = vectorBinary(184);
export const shl = shifting(171);
export const shr_u = shifting(173);
export const extract_lane = extracting('i32', 27);
export const all_true = unary<'v128', 'i32'>('i32', simd(163));
/** Pairs of 16-bit products, added: the integer product's inner step. */
export const dot_i16x8_s = vectorBinary(186);
/** c + fours of 8-bit products, of int8 a and of b from 0 to 127: beyond those machines differ. */
export const relaxed_dot_i8x16_i7x16_add_s = ternary(simd(0x113));

import {
  bitsOf,
  extracting,
  loading,
  simd,
  ternary,
  unary,
  vectorBinary,
  vectorUnary,
  type Value,
} from './encoding.ts';
import * as v128 from './v128.ts';

export { load, store } from './v128.ts';
const constant = (value: number): Value<'v128'> => v128.const(bitsOf(value));
export { constant as const };
export const loadSplat = loading('v128', 2, simd(9));
export const splat = unary<'f32', 'v128'>('v128', simd(19));
export const extract_lane = extracting('f32', 31);
export const add = vectorBinary(228);
export const sub = vectorBinary(229);
export const mul = vectorBinary(230);
export const div = vectorBinary(231);
/** b < a ? b : a, and a < b ? b : a: one instruction each, where min and max take several for their rule about NaN. */
export const pmin = vectorBinary(234);
export const pmax = vectorBinary(235);
export const abs = vectorUnary(224);
export const neg = vectorUnary(225);
/** The larger, NaN where either is. */
export const max = vectorBinary(233);
export const sqrt = vectorUnary(227);
export const lt = vectorBinary(67);
export const ge = vectorBinary(70);
export const convert_i32x4_s = vectorUnary(250);
/** a · b + c, rounded once or twice as the machine likes. */
export const relaxed_madd = ternary(simd(0x105));

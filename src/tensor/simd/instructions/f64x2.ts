import { extracting, vectorBinary, vectorUnary } from './encoding.ts';

export const add = vectorBinary(240);
export const mul = vectorBinary(242);
/** The lower two lanes, widened. */
export const promote_low_f32x4 = vectorUnary(95);
export const extract_lane = extracting('f64', 33);

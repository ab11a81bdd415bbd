import { vectorBinary } from './encoding.ts';

export const narrow_i16x8_s = vectorBinary(101);

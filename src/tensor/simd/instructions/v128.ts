import { loading, simd, storing, ternary, vectorBinary, type Value } from './encoding.ts';

/** Four lanes of one bit pattern. */
const constant = (lane: number): Value<'v128'> => {
  const bytes = [...new Uint8Array(Int32Array.of(lane).buffer)];
  return { type: 'v128', code: [...simd(12), ...bytes, ...bytes, ...bytes, ...bytes] };
};
export { constant as const };
export const load = loading('v128', 2, simd(0));
export const store = storing<'v128'>(2, simd(11));
/** The lower 32, or 64, bits from an address, and zeros above. */
export const load32_zero = loading('v128', 2, simd(92));
export const load64_zero = loading('v128', 2, simd(93));
/** a where the mask is set, else b. */
export const bitselect = ternary(simd(82));
export const and = vectorBinary(78);
export const or = vectorBinary(80);
export const xor = vectorBinary(81);
/** Four lanes of the eight of a and b, by number. */
export const shuffle = (
  a: Value<'v128'>,
  b: Value<'v128'>,
  ...lanes: [number, number, number, number]
): Value<'v128'> => ({
  type: 'v128',
  code: [...a.code, ...b.code, ...simd(13), ...lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte))],
});

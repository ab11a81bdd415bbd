/** A bijection of 32-bit integers in which every input bit moves every output bit: multiply and xor-shift, twice. */
export function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** 2³² / the golden ratio: its multiples spread evenly over 32 bits (Weyl's sequence; Steele et al. 2014, SplitMix). */
export const GOLDEN = 0x9e3779b9 | 0;

/** Draw `column` of row `base` of a mask: 32 random bits. */
export const maskBits = (base: number, column: number): number => mix((base + Math.imul(column, GOLDEN)) | 0);

/** The row of a mask that belongs to `key`, in stream `stream`; see `DropoutMask`. */
export const maskRow = (stream: number, key: number): number => mix(stream ^ key);

/** Draws below this many of 2³² are dropped. */
export const maskThreshold = (probability: number): number => Math.min(Math.round(probability * 2 ** 32), 2 ** 32 - 1);

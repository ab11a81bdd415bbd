import { BITS, type Dtype } from './dtypes.ts';

/** A binary float narrower than float32: sign, exponent, mantissa, from the highest bit down. With no mantissa, no zero. */
interface FloatFormat {
  readonly exponentBits: number;
  readonly mantissaBits: number;
  readonly bias: number;
  /**
   * Which codes are no numbers. `ieee`: those with the highest exponent are infinities and NaNs; `fn`: only all bits
   * set is NaN, there is no infinity; `fnuz`: only what would be -0 is NaN.
   */
  readonly specials: 'ieee' | 'fn' | 'fnuz';
}

/**
 * The dtypes that float32 holds exactly but has no array type for. F16: IEEE 754 binary16. 8 bits: Micikevicius et al.
 * 2022; their FNUZ variants: Noune et al. 2022; E8M0, an exponent alone, without sign: the scale of OCP's MX formats.
 */
const FORMATS = {
  F16: { exponentBits: 5, mantissaBits: 10, bias: 15, specials: 'ieee' },
  BF16: { exponentBits: 8, mantissaBits: 7, bias: 127, specials: 'ieee' },
  F8_E5M2: { exponentBits: 5, mantissaBits: 2, bias: 15, specials: 'ieee' },
  F8_E4M3: { exponentBits: 4, mantissaBits: 3, bias: 7, specials: 'fn' },
  F8_E5M2FNUZ: { exponentBits: 5, mantissaBits: 2, bias: 16, specials: 'fnuz' },
  F8_E4M3FNUZ: { exponentBits: 4, mantissaBits: 3, bias: 8, specials: 'fnuz' },
  F8_E8M0: { exponentBits: 8, mantissaBits: 0, bias: 127, specials: 'fn' },
} as const satisfies Partial<Record<Dtype, FloatFormat>>;

export type NarrowFloat = keyof typeof FORMATS;

export function isNarrowFloat(dtype: string): dtype is NarrowFloat {
  return Object.hasOwn(FORMATS, dtype);
}

const tables = new Map<NarrowFloat, Float32Array>();

/** The value of every code of a dtype: 256 or 65536 of them. A NaN is NaN, whatever its payload. */
export function floatTable(dtype: NarrowFloat): Float32Array {
  let table = tables.get(dtype);
  if (table === undefined) {
    table = Float32Array.from({ length: 2 ** BITS[dtype] }, (_, code) => decode(FORMATS[dtype], code));
    tables.set(dtype, table);
  }
  return table;
}

function decode({ exponentBits, mantissaBits, bias, specials }: FloatFormat, code: number): number {
  const sign = code >> (exponentBits + mantissaBits) ? -1 : 1;
  const exponent = (code >> mantissaBits) & (2 ** exponentBits - 1);
  const mantissa = code & (2 ** mantissaBits - 1);
  const highest = exponent === 2 ** exponentBits - 1;
  if (specials === 'ieee' && highest) return mantissa === 0 ? sign * Infinity : NaN;
  if (specials === 'fn' && highest && mantissa === 2 ** mantissaBits - 1) return NaN;
  if (specials === 'fnuz' && sign < 0 && exponent === 0 && mantissa === 0) return NaN;
  if (exponent === 0 && mantissaBits > 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits);
  return sign * (2 ** mantissaBits + mantissa) * 2 ** (exponent - bias - mantissaBits);
}

/** The bits of the nearest float16 of each value, ties to even. Beyond its range is infinity. */
export function encodeFloat16(values: ArrayLike<number>): Uint16Array {
  return encode(FORMATS.F16, values);
}

/** The bits of the nearest bfloat16 of each value, ties to even. Beyond its range is infinity. */
export function encodeBfloat16(values: ArrayLike<number>): Uint16Array {
  return encode(FORMATS.BF16, values);
}

/** Rounds once, from the double: by way of float32 a value close to a tie could round twice. */
function encode({ exponentBits, mantissaBits, bias }: FloatFormat, values: ArrayLike<number>): Uint16Array {
  const lowest = 1 - bias;
  const infinity = (2 ** exponentBits - 1) << mantissaBits;
  const nan = infinity | (1 << (mantissaBits - 1));
  const unitsPerOne = Float64Array.from({ length: bias - lowest + 1 }, (_, i) => 2 ** (mantissaBits - lowest - i));
  const double = new Float64Array(1);
  const words = new Uint32Array(double.buffer);
  const codes = new Uint16Array(values.length);
  for (let i = 0; i < codes.length; i++) {
    const value = values[i];
    double[0] = value;
    const high = words[1];
    const exponent = Math.max(((high >>> 20) & 0x7ff) - 1023, lowest);
    let code = infinity;
    if (exponent <= bias) {
      // Adding 2^52 leaves no room for a fraction, so the processor rounds to an integer, ties to even.
      const units = Math.abs(value) * unitsPerOne[exponent - lowest] + 2 ** 52 - 2 ** 52;
      // The leading bit of a normal number is in `units` and carries into the exponent; so does rounding up.
      code = ((exponent - lowest) << mantissaBits) + units;
    } else if (Number.isNaN(value)) code = nan;
    codes[i] = ((high >>> 31) << (exponentBits + mantissaBits)) | code;
  }
  return codes;
}

import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { encodeBfloat16, encodeFloat16, toFloat32 } from '../../src/safetensors/index.ts';
import type { NarrowFloat } from '../../src/safetensors/floats.ts';
import { expected } from './files.ts';

/** The float32 value of every code of a dtype, through the public conversion. */
function everyValue(dtype: NarrowFloat): Float32Array {
  const wide = dtype === 'F16' || dtype === 'BF16';
  const codes = wide ? Uint16Array.from({ length: 65536 }, (_, i) => i) : Uint8Array.from({ length: 256 }, (_, i) => i);
  return toFloat32({ name: 'x', dtype, shape: [codes.length], bytes: new Uint8Array(codes.buffer) });
}

function hash(values: Float32Array): string {
  const bits = new Uint32Array(values.slice().buffer);
  values.forEach((value, i) => Number.isNaN(value) && (bits[i] = 0x7fc00000));
  return createHash('sha256').update(bits).digest('hex');
}

const dtypes = Object.keys(expected.decode_sha256) as NarrowFloat[];

describe('decoding', () => {
  test.each(dtypes)('%s: every code is what PyTorch makes of it', (dtype) => {
    expect(hash(everyValue(dtype))).toBe(expected.decode_sha256[dtype]);
  });

  test('the hash tells formats apart, and -0 from 0', () => {
    expect(new Set(dtypes.map((dtype) => hash(everyValue(dtype)))).size).toBe(7);
    const values = everyValue('F16');
    values[0x8000] = 0;
    expect(hash(values)).not.toBe(expected.decode_sha256['F16']);
  });

  test.each([
    ['F16', 0x0001, 2 ** -24],
    ['F16', 0x03ff, 1023 * 2 ** -24],
    ['F16', 0x7bff, 65504],
    ['F16', 0xfc00, -Infinity],
    ['F16', 0x7c01, NaN],
    ['BF16', 0x0001, 2 ** -133],
    ['BF16', 0x7f7f, 255 * 2 ** 120],
    ['BF16', 0x7f80, Infinity],
    ['F8_E4M3', 0x7e, 448],
    ['F8_E4M3', 0x7f, NaN],
    ['F8_E5M2', 0x7b, 57344],
    ['F8_E5M2', 0xfc, -Infinity],
    ['F8_E4M3FNUZ', 0x80, NaN],
    ['F8_E4M3FNUZ', 0x7f, 240],
    ['F8_E5M2FNUZ', 0x80, NaN],
    ['F8_E5M2FNUZ', 0x7f, 57344],
    ['F8_E8M0', 0, 2 ** -127],
    ['F8_E8M0', 255, NaN],
  ] as const)('%s 0x%x is %d', (dtype, code, value) => {
    expect(everyValue(dtype)[code]).toBe(value);
  });
});

describe('encoding', () => {
  const { float32, float16, bfloat16 } = expected.rounding;
  const values = new Float32Array(Uint32Array.from(float32).buffer);

  test('rounds float32 as PyTorch does', () => {
    expect(values.length).toBeGreaterThan(300);
    expect([...encodeFloat16(values)]).toEqual(float16);
    expect([...encodeBfloat16(values)]).toEqual(bfloat16);
  });

  test('the cases contain ties: truncating or rounding them up is found out', () => {
    const truncated = Uint16Array.from(float32, (bits) => bits >>> 16);
    const up = Uint16Array.from(float32, (bits) => (bits + 0x8000) >>> 16);
    expect([...truncated]).not.toEqual(bfloat16);
    expect([...up]).not.toEqual(bfloat16);
  });

  test('rounds a double once', () => {
    const { float64, float16: once } = expected.rounding_from_double;
    expect([...encodeFloat16(float64)]).toEqual(once);
    expect([...encodeFloat16(Float32Array.from(float64))]).not.toEqual(once);
  });

  test.each([
    ['F16', encodeFloat16],
    ['BF16', encodeBfloat16],
  ] as const)('%s: every value comes back as its code', (dtype, encode) => {
    const decoded = everyValue(dtype);
    const codes = encode(decoded);
    const wrong = codes.findIndex((code, i) => code !== i && !Number.isNaN(decoded[i]));
    expect(wrong).toBe(-1);
    decoded.forEach((value, i) => Number.isNaN(value) && expect(everyNan(dtype, codes[i])).toBe(true));
  });

  test.each([
    ['F16', encodeFloat16],
    ['BF16', encodeBfloat16],
  ] as const)(
    '%s: the middle of two neighbours goes to the even one, anything beside it to the nearer',
    (dtype, encode) => {
      const decoded = Float64Array.from(everyValue(dtype));
      const last = dtype === 'F16' ? 0x7bff : 0x7f7f;
      const middles = decoded.subarray(0, last).map((low, code) => (low + decoded[code + 1]) / 2);
      const below = middles.map((middle, code) => middle - (middle - decoded[code]) / 2 ** 20);
      const above = middles.map((middle, code) => middle + (middle - decoded[code]) / 2 ** 20);
      const odd = (code: number): number => code & 1;
      expect(encode(middles).findIndex((got, code) => got !== code + odd(code))).toBe(-1);
      expect(encode(below).findIndex((got, code) => got !== code)).toBe(-1);
      expect(encode(above).findIndex((got, code) => got !== code + 1)).toBe(-1);
      const negative = middles.map((middle) => -middle);
      expect(encode(negative).findIndex((got, code) => got !== 0x8000 + code + odd(code))).toBe(-1);
    },
  );

  test('what is out of range is infinity, NaN is NaN, zero keeps its sign', () => {
    expect([...encodeFloat16([65519.99, 65520, -1e300, NaN, -0, 5e-324])]).toEqual([
      0x7bff, 0x7c00, 0xfc00, 0x7e00, 0x8000, 0,
    ]);
    expect([...encodeBfloat16([3.4e38, Infinity, -Infinity, NaN, -0])]).toEqual([
      0x7f80, 0x7f80, 0xff80, 0x7fc0, 0x8000,
    ]);
  });
});

function everyNan(dtype: NarrowFloat, code: number): boolean {
  return dtype === 'F16' ? (code & 0x7fff) > 0x7c00 : (code & 0x7fff) > 0x7f80;
}

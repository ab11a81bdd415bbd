import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { TensorView } from '../../src/safetensors/index.ts';
import {
  headerSize,
  parseHeader,
  parseSafetensors,
  toBigInt64,
  toFloat32,
  toFloat64,
  toInt32,
  toInt8,
} from '../../src/safetensors/index.ts';
import { expected, fixture, rawFile, refusal } from './files.ts';

const file = parseSafetensors(fixture('safetensors/dtypes.safetensors'), 'dtypes.safetensors');

function view(name: string, from = file): TensorView {
  const found = from.tensors.get(name);
  if (!found) throw new Error(`no ${name}`);
  return found;
}

/** A tensor of its own, at a chosen alignment. */
function viewOf(dtype: TensorView['dtype'], data: ArrayBufferView<ArrayBuffer>, offset = 0): TensorView {
  const bytes = new Uint8Array(data.byteLength + offset).subarray(offset);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return { name: 'x', dtype, shape: [], bytes, file: 'f' };
}

describe('a file that Python wrote', () => {
  test('has its metadata, names and shapes', () => {
    expect([...file.metadata]).toEqual([['format', 'pt']]);
    const shapes = Object.entries(expected.tensors).map(([name, { shape }]) => [name, shape] as const);
    expect(new Map([...file.tensors].map(([name, { shape }]) => [name, shape]))).toEqual(new Map(shapes));
  });

  const floats = Object.entries(expected.tensors).filter(([name]) => /^b?f\d|scalar|empty|name|proto|^\d/.test(name));
  test.each(floats)('%s has the values PyTorch reads, in float64 and in float32', (name, { values }) => {
    const numbers = values!.map(Number);
    expect([...toFloat64(view(name))]).toEqual(numbers);
    expect([...toFloat32(view(name))]).toEqual(numbers.map(Math.fround));
  });

  const integers = Object.entries(expected.tensors).filter(([name]) => /^[iu]\d|bool/.test(name));
  test.each(integers)('%s has the values PyTorch reads, in int64 and in int32', (name, { values }) => {
    const numbers = values!.map((value) => BigInt(value));
    if (name === 'u64')
      expect(() => toBigInt64(view(name))).toThrow(/element 5: expected int64, got 18446744073709551614$/);
    else expect([...toBigInt64(view(name))]).toEqual(numbers);
    if (/64|u32/.test(name)) expect(() => toInt32(view(name))).toThrow(/element \d: expected int32, got -?\d+$/);
    else expect([...toInt32(view(name))]).toEqual(numbers.map(Number));
  });

  test('covers every dtype of the format', () => {
    const narrowest = parseSafetensors(fixture('safetensors/narrowest.safetensors'));
    const seen = [...file.tensors.values(), ...narrowest.tensors.values()].map(({ dtype }) => dtype);
    expect(new Set(seen).size).toBe(22);
    expect([...narrowest.tensors.values()].map(({ dtype, bytes }) => [dtype, bytes.length])).toEqual([
      ['F6_E2M3', 3],
      ['F6_E3M2', 6],
      ['F4', 3],
    ]);
  });

  test('keeps a tensor named __proto__ a tensor', () => {
    expect(toFloat32(view('__proto__'))).toEqual(Float32Array.of(6));
    expect(({} as { dtype?: unknown }).dtype).toBeUndefined();
  });

  test('with no metadata has an empty map of it', () => {
    expect(parseSafetensors(fixture('safetensors/plain.safetensors')).metadata.size).toBe(0);
  });
});

describe('every fixture that Python wrote', () => {
  const root = new URL('../fixtures/', import.meta.url);
  const paths = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.safetensors'),
  );
  test('parses', () => {
    expect(paths.length).toBeGreaterThan(3);
    for (const path of paths) parseSafetensors(fixture(path), path);
  });
});

describe('memory', () => {
  test('aligned data is not copied', () => {
    const bytes = fixture('safetensors/dtypes.safetensors');
    const f32 = view('f32', parseSafetensors(bytes));
    expect(f32.bytes.buffer).toBe(bytes.buffer);
    expect(toFloat32(f32).buffer).toBe(bytes.buffer);
  });

  test('data at an odd offset is copied, and right', () => {
    const bytes = fixture('safetensors/unaligned.safetensors');
    const b = view('b', parseSafetensors(bytes));
    expect(b.bytes.byteOffset % 4).not.toBe(0);
    expect(toFloat32(b)).toEqual(Float32Array.of(1.5, -2.25));
    expect(toFloat32(b).buffer).not.toBe(bytes.buffer);
    for (let offset = 0; offset < 8; offset++) {
      expect(toFloat64(viewOf('F64', Float64Array.of(0.1, -7), offset))).toEqual(Float64Array.of(0.1, -7));
      expect(toFloat32(viewOf('F16', Uint16Array.of(0x3c00, 0xc000), offset))).toEqual(Float32Array.of(1, -2));
      expect(toBigInt64(viewOf('I64', BigInt64Array.of(-3n, 4n), offset))).toEqual(BigInt64Array.of(-3n, 4n));
    }
  });

  test('a Node Buffer is as good, although its slice() does not copy', () => {
    const buffer = Buffer.from(fixture('safetensors/unaligned.safetensors'));
    expect(toFloat32(view('b', parseSafetensors(buffer)))).toEqual(Float32Array.of(1.5, -2.25));
  });

  test('memory shared between threads is as good', () => {
    const bytes = fixture('safetensors/dtypes.safetensors');
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
    shared.set(bytes);
    expect([...toFloat32(view('f32', parseSafetensors(shared)))]).toEqual([...toFloat32(view('f32'))]);
  });
});

describe('the header alone', () => {
  const bytes = fixture('safetensors/dtypes.safetensors');

  test('is enough to find every tensor in a file that is not in memory', () => {
    const size = headerSize(bytes.subarray(0, 8), bytes.length);
    const { tensors } = parseHeader(bytes.subarray(0, size), bytes.length);
    const { begin, end } = tensors.get('f32')!;
    expect(bytes.subarray(begin, end)).toEqual(view('f32').bytes);
  });

  test('must be there whole', () => {
    expect(() => parseHeader(bytes.subarray(0, 20), bytes.length, 'f')).toThrow(
      /^f, header: expected \d+ bytes, got 20$/,
    );
  });

  test('may end in white space and hold no tensor', () => {
    expect(parseSafetensors(rawFile('{}   \n')).tensors.size).toBe(0);
  });
});

describe('conversions that would change values', () => {
  test.each([
    [() => toFloat32(view('i32')), 'a float dtype (F64, F32, F16, BF16, F8), got I32'],
    [() => toFloat64(view('bool')), 'a float dtype (F64, F32, F16, BF16, F8), got BOOL'],
    [() => toFloat32(view('c64')), 'a float dtype (F64, F32, F16, BF16, F8), got C64'],
    [() => toInt32(view('f32')), 'an integer dtype (I64 … U8) or BOOL, got F32'],
    [() => toBigInt64(view('f16')), 'an integer dtype (I64 … U8) or BOOL, got F16'],
    [() => toInt8(view('u8')), 'I8, got U8'],
  ])('are refused: %#', (convert, message) => {
    expect(refusal(convert)).toMatch(/^dtypes.safetensors, tensor "\w+", dtype: expected /);
    expect(refusal(convert).endsWith(`expected ${message}`)).toBe(true);
  });

  test('F4 and F6 are named and measured, not computed with', () => {
    const narrowest = parseSafetensors(fixture('safetensors/narrowest.safetensors'));
    for (const tensor of narrowest.tensors.values()) expect(() => toFloat32(tensor)).toThrow(/got F[46]/);
  });

  test('a BOOL is 0 or 1', () => {
    const wrong = viewOf('BOOL', Uint8Array.of(0, 2));
    expect(refusal(() => toInt32(wrong))).toBe('f, tensor "x", element 1: expected BOOL (0 or 1), got 2');
  });

  test('the bounds of int32 and int64 are exact', () => {
    expect([...toInt32(viewOf('I64', BigInt64Array.of(2n ** 31n - 1n, -(2n ** 31n))))]).toEqual([
      2 ** 31 - 1,
      -(2 ** 31),
    ]);
    expect(() => toInt32(viewOf('I64', BigInt64Array.of(2n ** 31n)))).toThrow(
      'element 0: expected int32, got 2147483648',
    );
    expect(() => toInt32(viewOf('U32', Uint32Array.of(2 ** 31)))).toThrow('element 0: expected int32, got 2147483648');
    expect([...toBigInt64(viewOf('U64', BigUint64Array.of(2n ** 63n - 1n)))]).toEqual([2n ** 63n - 1n]);
    expect(() => toBigInt64(viewOf('U64', BigUint64Array.of(2n ** 63n)))).toThrow('got 9223372036854775808');
    expect(toInt8(view('i8'))).toEqual(Int8Array.of(-128, -127, 0, 1, 2, 126, 127));
  });
});

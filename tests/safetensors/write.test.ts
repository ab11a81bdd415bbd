import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { TensorInput } from '../../src/safetensors/index.ts';
import { parseSafetensors, toFloat32, writeSafetensors } from '../../src/safetensors/index.ts';
import { fixture, refusal } from './files.ts';

function headerOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes.subarray(8, 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true))));
}

const shape = [1];

describe('the bytes', () => {
  const root = new URL('../fixtures/', import.meta.url);
  const paths = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.safetensors'),
  );
  // Files made by hand in another order, to test the reader.
  const byHand = /narrowest|unaligned/;
  test('are those Python wrote, for every fixture read and written again', () => {
    const differing = paths.filter((path) => {
      const { tensors, metadata } = parseSafetensors(fixture(path));
      return !byHand.test(path) && Buffer.compare(writeSafetensors(tensors, metadata), fixture(path)) !== 0;
    });
    expect(differing).toEqual([]);
    expect(paths.filter((path) => byHand.test(path)).length).toBe(2);
  });

  test('do not depend on the order the tensors are given in', () => {
    const { tensors, metadata } = parseSafetensors(fixture('safetensors/dtypes.safetensors'));
    const reversed = new Map([...tensors].reverse());
    expect(writeSafetensors(reversed, metadata)).toEqual(fixture('safetensors/dtypes.safetensors'));
  });

  test('of data at an odd offset are aligned again', () => {
    const { tensors } = parseSafetensors(fixture('safetensors/unaligned.safetensors'));
    const { bytes } = parseSafetensors(writeSafetensors(tensors)).tensors.get('b')!;
    expect(bytes.byteOffset % 8).toBe(0);
  });

  test('keep metadata in its order, also keys that look like numbers', () => {
    const bytes = writeSafetensors({}, new Map(Object.entries({ z: 'ü', a: '"' }).concat([['1', '\n']])));
    expect(headerOf(bytes)).toBe('{"__metadata__":{"z":"ü","a":"\\"","1":"\\n"}}   ');
    expect(bytes.length % 8).toBe(0);
  });

  test('of nothing are an empty header', () => {
    expect(headerOf(writeSafetensors({}))).toBe('{}      ');
  });
});

describe('values', () => {
  const cases: [TensorInput, string, number[]][] = [
    [{ data: Float64Array.of(1), shape }, 'F64', [0, 0, 0, 0, 0, 0, 0xf0, 0x3f]],
    [{ data: Float32Array.of(1), shape }, 'F32', [0, 0, 0x80, 0x3f]],
    [{ data: BigInt64Array.of(-2n), shape }, 'I64', [0xfe, 255, 255, 255, 255, 255, 255, 255]],
    [{ data: BigUint64Array.of(2n), shape }, 'U64', [2, 0, 0, 0, 0, 0, 0, 0]],
    [{ data: Int32Array.of(-2), shape }, 'I32', [0xfe, 255, 255, 255]],
    [{ data: Uint32Array.of(2), shape }, 'U32', [2, 0, 0, 0]],
    [{ data: Int16Array.of(-2), shape }, 'I16', [0xfe, 255]],
    [{ data: Uint16Array.of(2), shape }, 'U16', [2, 0]],
    [{ data: Int8Array.of(-2), shape }, 'I8', [0xfe]],
    [{ data: Uint8Array.of(2), shape }, 'U8', [2]],
    [{ data: Uint8ClampedArray.of(2), shape }, 'U8', [2]],
    [{ data: Uint8Array.of(1), shape, dtype: 'BOOL' }, 'BOOL', [1]],
    [{ data: Float32Array.of(1), shape, dtype: 'F16' }, 'F16', [0, 0x3c]],
    [{ data: Float32Array.of(1), shape, dtype: 'BF16' }, 'BF16', [0x80, 0x3f]],
    [{ data: Float64Array.of(1), shape, dtype: 'F16' }, 'F16', [0, 0x3c]],
    [{ data: Float64Array.of(1), shape, dtype: 'F32' }, 'F32', [0, 0, 0x80, 0x3f]],
    [{ data: Float32Array.of(1), shape, dtype: 'F64' }, 'F64', [0, 0, 0, 0, 0, 0, 0xf0, 0x3f]],
    [{ bytes: Uint8Array.of(0x38), shape, dtype: 'F8_E4M3' }, 'F8_E4M3', [0x38]],
  ];
  test.each(cases)('case %#', (input, dtype, bytes) => {
    const view = parseSafetensors(writeSafetensors({ w: input })).tensors.get('w')!;
    expect([view.dtype, [...view.bytes]]).toEqual([dtype, bytes]);
  });

  test('of a part of a larger array are only that part', () => {
    const data = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
    const written = parseSafetensors(writeSafetensors({ w: { data, shape: [2, 1] } }));
    expect(toFloat32(written.tensors.get('w')!)).toEqual(Float32Array.of(2, 3));
  });

  test('a tensor may be named __proto__', () => {
    const written = writeSafetensors(new Map([['__proto__', { data: Int8Array.of(1), shape }]]));
    expect([...parseSafetensors(written).tensors.keys()]).toEqual(['__proto__']);
  });
});

describe('what does not fit is refused', () => {
  const int8 = Int8Array.of(1, 2);
  const cases: [Record<string, TensorInput>, string][] = [
    [{ w: { data: int8, shape: [3] } }, 'tensor "w", data: expected 3 bytes for I8 [3], got 2'],
    [{ w: { data: int8, shape: [] } }, 'tensor "w", data: expected 1 bytes for I8 [], got 2'],
    [{ w: { data: int8, shape: [-2] } }, 'tensor "w", shape: expected a list of sizes from 0 to 2^53 - 1, got [-2]'],
    [{ w: { data: int8, shape: [1.5] } }, 'tensor "w", shape: expected a list of sizes from 0 to 2^53 - 1, got [1.5]'],
    [{ w: { data: int8, shape: [2], dtype: 'F32' } }, 'tensor "w", data: expected values for F32, got Int8Array'],
    [{ w: { data: int8, shape: [2], dtype: 'U8' } }, 'tensor "w", data: expected values for U8, got Int8Array'],
    [
      { w: { data: Float32Array.of(1), shape, dtype: 'I32' } },
      'tensor "w", data: expected values for I32, got Float32Array',
    ],
    [
      { w: { data: Uint8Array.of(2), shape, dtype: 'BOOL' } },
      'tensor "w", data: expected values for BOOL, got Uint8Array',
    ],
    [
      { w: { bytes: Uint8Array.of(1), shape: [1], dtype: 'F4' } },
      'tensor "w", shape: expected a multiple of F4 elements that fills whole bytes, got [1]',
    ],
    [{ __metadata__: { data: int8, shape: [2] } }, 'tensor "__metadata__", name: expected any other than __metadata__'],
    [{ '\ud800': { data: int8, shape: [2] } }, 'tensor "\\ud800", name: expected Unicode, got half a surrogate pair'],
  ];
  test.each(cases)('case %#', (tensors, message) => {
    expect(refusal(() => writeSafetensors(tensors))).toBe(message);
  });

  test('metadata that is no string', () => {
    const metadata = { epoch: 3 as unknown as string };
    expect(refusal(() => writeSafetensors({}, metadata))).toBe('__metadata__, "epoch": expected a string, got 3');
  });
});

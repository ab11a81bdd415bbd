import { describe, expect, test } from 'vitest';
import { CheckpointError } from '../../src/errors.ts';
import { parseSafetensors, SafetensorsStream, writeSafetensors } from '../../src/safetensors/index.ts';

const numbers = (length: number) => Float32Array.from({ length }, (_, i) => i + 0.5);
const file = writeSafetensors({
  wide: { data: numbers(3 * 700), shape: [3, 700] },
  bytes: { data: Int8Array.from({ length: 35 }, (_, i) => i - 17), shape: [7, 5], dtype: 'I8' },
  scalar: { data: numbers(1), shape: [] },
  none: { data: numbers(0), shape: [0, 5] },
  hollow: { data: numbers(0), shape: [3, 0] },
  many: { data: numbers(3e5), shape: [1e5, 3] }, // more than a piece
});

/** The bytes of a file by chunks, which all lie in one array, as those of a folder do. */
async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(size);
  for (let at = 0; at < bytes.length; at += size) {
    const chunk = buffer.subarray(0, Math.min(size, bytes.length - at));
    chunk.set(bytes.subarray(at, at + size));
    yield chunk;
    buffer.fill(0xee);
    yield new Uint8Array(0);
  }
}

/** All that a stream gives, tensor by tensor. */
async function readAll(bytes: Uint8Array, size: number) {
  const stream = await SafetensorsStream.open({ size: bytes.length, chunks: chunksOf(bytes, size) });
  const read = new Map([...stream.tensors.keys()].map((name) => [name, [] as number[]]));
  const rows = new Map<string, number>();
  for await (const { name, firstRow, view } of stream.rows()) {
    expect(firstRow).toBe(rows.get(name) ?? 0);
    rows.set(name, firstRow + (view.shape[0] ?? 1));
    const all = read.get(name)!;
    for (const byte of view.bytes) all.push(byte);
  }
  return read;
}

describe('a file in chunks', () => {
  test.each([1, 7, 64, 2801, 4096, 2 ** 20, file.length])(
    'of %d bytes has the rows that it has as a whole',
    async (n) => {
      const read = await readAll(file, n);
      for (const [name, { bytes }] of parseSafetensors(file).tensors) {
        expect(Buffer.from(read.get(name)!).equals(Buffer.from(bytes)), name).toBe(true);
      }
    },
  );

  test.each([7, 4096, file.length])('of %d bytes is refused when it ends early or late', async (size) => {
    const chunks = (bytes: Uint8Array) => ({ size: undefined, chunks: chunksOf(bytes, size) });
    for (const bytes of [file.subarray(0, file.length - 1), new Uint8Array([...file, 0])]) {
      const stream = await SafetensorsStream.open(chunks(bytes));
      const all = async () => {
        for await (const _ of stream.rows());
      };
      await expect(all()).rejects.toThrow(CheckpointError);
    }
  });
});

import { readFileSync } from 'node:fs';
import { CheckpointError } from '../../src/errors.ts';

const FIXTURES = new URL('../fixtures/', import.meta.url);

/** A file below tests/fixtures, as an array of its own (so aligned, and no Buffer). */
export function fixture(path: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(path, FIXTURES)));
}

/** What tools/reference/safetensors_fixture.py found in Python. */
export const expected = JSON.parse(new TextDecoder().decode(fixture('safetensors/expected.json'))) as {
  tensors: Record<string, { shape: number[]; values: (number | string)[] | null }>;
  decode_sha256: Record<string, string>;
  rounding: { float32: number[]; float16: number[]; bfloat16: number[] };
  rounding_from_double: { float64: number[]; float16: number[] };
};

/** A file made by hand: header (text or bytes), that many bytes of data, and a header length that may lie. */
export function rawFile(header: string | Uint8Array, dataBytes = 0, length?: bigint): Uint8Array {
  const json = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const file = new Uint8Array(8 + json.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  file.set(json, 8);
  return file;
}

/** The message of the CheckpointError that a call ends in; fails on any other outcome. */
export function refusal(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof CheckpointError) return error.message;
    throw error;
  }
  throw new Error('nothing was thrown');
}

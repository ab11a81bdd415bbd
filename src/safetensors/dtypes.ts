import { CheckpointError, show } from '../errors.ts';

/**
 * Bits per element of every dtype of the format (safetensors 0.8), by rising alignment: a writer puts the last first.
 * F4 and F6 elements are packed without gaps, so a tensor of them may not fill whole bytes; then the format refuses it.
 */
export const BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

/** The name of an element type, as the file has it. */
export type Dtype = keyof typeof BITS;

export function isDtype(value: unknown): value is Dtype {
  return typeof value === 'string' && Object.hasOwn(BITS, value);
}

/** Whether a value, from JSON or a caller, is a list of whole numbers that a double holds exactly: a shape, offsets. */
export function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** @throws CheckpointError unless it is a shape */
export function checkShape(shape: unknown, what: string): asserts shape is readonly number[] {
  if (isSizes(shape)) return;
  throw new CheckpointError({
    what: `${what}, shape`,
    expected: 'a list of sizes from 0 to 2^53 - 1',
    got: show(shape),
  });
}

/**
 * Bytes that a tensor of this dtype and shape takes.
 *
 * @param what names the tensor in errors
 * @throws CheckpointError when that is not a whole number of bytes, or more than a double counts exactly
 */
export function byteLength(dtype: Dtype, shape: readonly number[], what: string): number {
  let elements = 1;
  for (const size of shape) {
    elements *= size;
    if (elements > Number.MAX_SAFE_INTEGER) break;
  }
  const bytes = (elements * BITS[dtype]) / 8;
  if (bytes <= Number.MAX_SAFE_INTEGER && Number.isInteger(bytes)) return bytes;
  throw new CheckpointError({
    what: `${what}, shape`,
    expected: Number.isInteger(bytes)
      ? 'fewer than 2^53 bytes'
      : `a multiple of ${dtype} elements that fills whole bytes`,
    got: `[${shape.join(', ')}]`,
  });
}

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** Files are little-endian, typed arrays have the order of the processor: big-endian ones are refused, not supported. */
export function requireLittleEndian(file: string): void {
  if (LITTLE_ENDIAN) return;
  throw new CheckpointError({ what: file, expected: 'a little-endian processor', got: 'a big-endian one' });
}

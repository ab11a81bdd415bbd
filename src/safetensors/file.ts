import type { Dtype } from './dtypes.ts';
import { requireLittleEndian } from './dtypes.ts';
import { parseHeader } from './header.ts';

/** A tensor as it is stored: little-endian, row-major. */
export interface TensorView {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** A view into the bytes of the file, at any alignment. */
  readonly bytes: Uint8Array;
  /** The file it comes from, for messages. */
  readonly file?: string;
}

export interface SafetensorsFile {
  readonly metadata: ReadonlyMap<string, string>;
  /** In the order of their data. */
  readonly tensors: ReadonlyMap<string, TensorView>;
}

/**
 * Reads a safetensors file. Nothing is copied: the tensors are views into `bytes`.
 *
 * @param file names it in errors
 * @throws CheckpointError when anything in the header is wrong
 */
export function parseSafetensors(bytes: Uint8Array, file = 'safetensors'): SafetensorsFile {
  requireLittleEndian(file);
  const { metadata, tensors } = parseHeader(bytes, bytes?.length, file);
  const views = new Map<string, TensorView>();
  for (const [name, { dtype, shape, begin, end }] of tensors) {
    views.set(name, { name, dtype, shape, bytes: bytes.subarray(begin, end), file });
  }
  return { metadata, tensors: views };
}

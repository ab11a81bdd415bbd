import { CheckpointError, show } from '../errors.ts';
import type { Dtype } from './dtypes.ts';
import { BITS, byteLength, checkShape, requireLittleEndian } from './dtypes.ts';
import { encodeBfloat16, encodeFloat16 } from './floats.ts';
import { LENGTH_BYTES, METADATA, whatTensor } from './header.ts';

/** A tensor to write: values, or bytes that are already encoded (so a `TensorView` is written back unchanged). */
export type TensorInput = TensorValues | TensorBytes;

export interface TensorValues {
  readonly data: TensorArray;
  readonly shape: readonly number[];
  /** By default what `data` is. Floats may be written as any of F64 F32 F16 BF16, a Uint8Array of 0 and 1 as BOOL. */
  readonly dtype?: Dtype;
}

export interface TensorBytes {
  readonly bytes: Uint8Array;
  readonly shape: readonly number[];
  readonly dtype: Dtype;
}

/** The dtype of each array type, by the name it has for itself: instances of another realm count too. */
const DTYPE_OF = {
  Float64Array: 'F64',
  Float32Array: 'F32',
  BigInt64Array: 'I64',
  BigUint64Array: 'U64',
  Int32Array: 'I32',
  Uint32Array: 'U32',
  Int16Array: 'I16',
  Uint16Array: 'U16',
  Int8Array: 'I8',
  Uint8Array: 'U8',
  Uint8ClampedArray: 'U8',
} as const satisfies Record<string, Dtype>;

export type TensorArray =
  | Float64Array
  | Float32Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray;

const ALIGNMENT_ORDER = Object.keys(BITS);

/**
 * A safetensors file. The same tensors and metadata give the same bytes, and those the reference implementation
 * writes: tensors by falling alignment of their dtype, then by name; the header padded with spaces to 8 bytes.
 * Metadata keeps the order given, which the reference implementation leaves to chance.
 *
 * @throws CheckpointError when the data of a tensor does not fit its shape and dtype, or a name cannot be written
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, TensorInput> | Readonly<Record<string, TensorInput>>,
  metadata: ReadonlyMap<string, string> | Readonly<Record<string, string>> = {},
): Uint8Array {
  requireLittleEndian('safetensors');
  const sorted = pairs(tensors)
    .map(([name, tensor]) => ({ name, key: codePoints(name), shape: tensor.shape, ...encode(name, tensor) }))
    .sort((a, b) => rank(b.dtype) - rank(a.dtype) || (a.key < b.key ? -1 : 1));

  let dataSize = 0;
  const entries = sorted.map(({ name, dtype, shape, bytes }): [string, string] => {
    const begin = dataSize;
    dataSize += bytes.length;
    return [name, JSON.stringify({ dtype, shape, data_offsets: [begin, dataSize] })];
  });
  const notes = pairs(metadata).map(([key, value]): [string, string] => [key, JSON.stringify(checkNote(key, value))]);
  if (notes.length > 0) entries.unshift([METADATA, objectOf(notes)]);

  const header = new TextEncoder().encode(objectOf(entries));
  const headerSize = Math.ceil(header.length / 8) * 8;
  const file = new Uint8Array(LENGTH_BYTES + headerSize + dataSize);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerSize), true);
  file.set(header, LENGTH_BYTES);
  file.fill(0x20, LENGTH_BYTES + header.length, LENGTH_BYTES + headerSize);
  let at = LENGTH_BYTES + headerSize;
  for (const { bytes } of sorted) {
    file.set(bytes, at);
    at += bytes.length;
  }
  return file;
}

function checkNote(key: string, value: unknown): string {
  if (typeof value === 'string') return value;
  throw new CheckpointError({ what: `${METADATA}, ${show(key)}`, expected: 'a string', got: show(value) });
}

function pairs<T>(items: ReadonlyMap<string, T> | Readonly<Record<string, T>>): [string, T][] {
  return items instanceof Map ? [...items] : Object.entries(items as Record<string, T>);
}

/** JSON of an object with the keys in this order, where a JavaScript object would put numeric ones first. */
function objectOf(entries: readonly (readonly [string, string])[]): string {
  return `{${entries.map(([key, json]) => `${JSON.stringify(key)}:${json}`).join(',')}}`;
}

function rank(dtype: Dtype): number {
  return ALIGNMENT_ORDER.indexOf(dtype);
}

/** A key that sorts as the UTF-8 bytes of the name do, by code point; its UTF-16 units would put surrogates too low. */
function codePoints(name: string): string {
  return Array.from(name, (character) => character.codePointAt(0)!.toString(16).padStart(6, '0')).join('');
}

function encode(name: string, tensor: TensorInput): { dtype: Dtype; bytes: Uint8Array } {
  const what = whatTensor(undefined, name);
  if (name === METADATA) {
    throw new CheckpointError({ what: `${what}, name`, expected: `any other than ${METADATA}` });
  }
  // Half a surrogate pair has no place in UTF-8; the encoder would write another character for it.
  if (new TextDecoder().decode(new TextEncoder().encode(name)) !== name) {
    throw new CheckpointError({ what: `${what}, name`, expected: 'Unicode', got: 'half a surrogate pair' });
  }
  checkShape(tensor.shape, what);
  const { dtype, bytes } = 'bytes' in tensor ? tensor : encodeValues(tensor, what);
  const size = byteLength(dtype, tensor.shape, what);
  if (bytes.length === size) return { dtype, bytes };
  const expected = `${size} bytes for ${dtype} [${tensor.shape.join(', ')}]`;
  throw new CheckpointError({ what: `${what}, data`, expected, got: String(bytes.length) });
}

function encodeValues({ data, dtype }: TensorValues, what: string): { dtype: Dtype; bytes: Uint8Array } {
  const own = DTYPE_OF[data[Symbol.toStringTag]];
  const target = dtype ?? own;
  const encoded = convert(data, own, target);
  if (encoded) return { dtype: target, bytes: new Uint8Array(encoded.buffer, encoded.byteOffset, encoded.byteLength) };
  throw new CheckpointError({ what: `${what}, data`, expected: `values for ${target}`, got: data[Symbol.toStringTag] });
}

/** The array whose memory holds `data` as elements of `dtype`; `undefined` where that would not keep the meaning. */
function convert(data: TensorArray, own: Dtype, dtype: Dtype): TensorArray | undefined {
  if (dtype === own) return data;
  if (dtype === 'BOOL' && data instanceof Uint8Array && data.every((value) => value <= 1)) return data;
  if (!(data instanceof Float32Array || data instanceof Float64Array)) return undefined;
  if (dtype === 'F16') return encodeFloat16(data);
  if (dtype === 'BF16') return encodeBfloat16(data);
  if (dtype === 'F32') return new Float32Array(data);
  if (dtype === 'F64') return new Float64Array(data);
  return undefined;
}

import { CheckpointError } from '../errors.ts';
import type { Dtype } from './dtypes.ts';
import type { TensorView } from './file.ts';
import { floatTable, isNarrowFloat } from './floats.ts';
import { whatTensor } from './header.ts';

/** The array type that holds the elements of an integer dtype as they are. */
const INTEGERS = {
  BOOL: Uint8Array,
  U8: Uint8Array,
  I8: Int8Array,
  I16: Int16Array,
  U16: Uint16Array,
  I32: Int32Array,
  U32: Uint32Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
} as const satisfies Partial<Record<Dtype, unknown>>;

/**
 * The values of a float tensor as float32: exact for F32, F16, BF16 and F8; F64 is rounded.
 * F32 data that is aligned to 4 bytes is not copied: the result shares memory with the file, so do not write to it.
 *
 * @throws CheckpointError for any other dtype
 */
export function toFloat32(view: TensorView): Float32Array {
  if (view.dtype === 'F32') return elements(view, Float32Array);
  if (view.dtype === 'F64') return new Float32Array(elements(view, Float64Array));
  return narrowFloats(view, Float32Array);
}

/**
 * The values of a float tensor as float64, always exact. Shares memory with the file when that is F64 and aligned.
 *
 * @throws CheckpointError for any other dtype
 */
export function toFloat64(view: TensorView): Float64Array {
  if (view.dtype === 'F64') return elements(view, Float64Array);
  if (view.dtype === 'F32') return new Float64Array(elements(view, Float32Array));
  return narrowFloats(view, Float64Array);
}

/**
 * The values of an I8 tensor, sharing memory with the file.
 *
 * @throws CheckpointError for any other dtype
 */
export function toInt8(view: TensorView): Int8Array {
  if (view.dtype === 'I8') return elements(view, Int8Array);
  throw unsuitable(view, 'I8');
}

/** The bits of the elements of an F16 or BF16 tensor, sharing memory with the file where the alignment allows it. */
export function halfBits(view: TensorView): { format: 'F16' | 'BF16'; bits: Uint16Array } | null {
  const { dtype } = view;
  return dtype === 'F16' || dtype === 'BF16' ? { format: dtype, bits: elements(view, Uint16Array) } : null;
}

/**
 * The values of an integer or BOOL tensor as int32. Shares memory with the file when that is I32 and aligned.
 *
 * @throws CheckpointError for any other dtype, and for a value out of range
 */
export function toInt32(view: TensorView): Int32Array {
  if (view.dtype === 'I32') return elements(view, Int32Array);
  const values = integers(view);
  const result = new Int32Array(values.length);
  for (let i = 0; i < result.length; i++) {
    result[i] = Number(values[i]);
    // Storing a number out of range wraps it around.
    if (result[i] !== Number(values[i])) throw outOfRange(view, i, values[i], 'int32');
  }
  return result;
}

/**
 * The values of an integer or BOOL tensor as int64. Shares memory with the file when that is I64 and aligned.
 *
 * @throws CheckpointError for any other dtype, and for a value out of range
 */
export function toBigInt64(view: TensorView): BigInt64Array {
  if (view.dtype === 'I64') return elements(view, BigInt64Array);
  const values = integers(view);
  const result = new BigInt64Array(values.length);
  for (let i = 0; i < result.length; i++) {
    const value = BigInt(values[i]);
    result[i] = value;
    if (result[i] !== value) throw outOfRange(view, i, value, 'int64');
  }
  return result;
}

interface ArrayType<A> {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): A;
}

/** The bytes seen as elements: in place where the alignment allows it, else a copy. */
function elements<A>({ bytes }: TensorView, Type: ArrayType<A>): A {
  const { buffer, byteOffset } = bytes.byteOffset % Type.BYTES_PER_ELEMENT === 0 ? bytes : new Uint8Array(bytes);
  return new Type(buffer, byteOffset, bytes.length / Type.BYTES_PER_ELEMENT);
}

function narrowFloats<A extends Float32Array | Float64Array>(view: TensorView, Result: new (length: number) => A): A {
  const { dtype } = view;
  if (!isNarrowFloat(dtype)) throw unsuitable(view, 'a float dtype (F64, F32, F16, BF16, F8)');
  const table = floatTable(dtype);
  const codes = table.length === 256 ? view.bytes : elements(view, Uint16Array);
  const values = new Result(codes.length);
  for (let i = 0; i < values.length; i++) values[i] = table[codes[i]]!;
  return values;
}

function integers(view: TensorView): ArrayLike<number | bigint> {
  const { dtype, bytes } = view;
  if (!Object.hasOwn(INTEGERS, dtype)) throw unsuitable(view, 'an integer dtype (I64 … U8) or BOOL');
  const wrong = dtype === 'BOOL' ? bytes.findIndex((byte) => byte > 1) : -1;
  if (wrong >= 0) throw outOfRange(view, wrong, bytes[wrong], 'BOOL (0 or 1)');
  return elements<ArrayLike<number | bigint>>(view, INTEGERS[dtype as keyof typeof INTEGERS]);
}

function unsuitable(view: TensorView, expected: string): CheckpointError {
  return new CheckpointError({ what: `${whatTensor(view.file, view.name)}, dtype`, expected, got: view.dtype });
}

function outOfRange(view: TensorView, index: number, value: number | bigint, expected: string): CheckpointError {
  return new CheckpointError({
    what: `${whatTensor(view.file, view.name)}, element ${index}`,
    expected,
    got: String(value),
  });
}

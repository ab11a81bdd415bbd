import { CheckpointError, show } from '../errors.ts';
import type { Dtype } from './dtypes.ts';
import { BITS, byteLength, checkShape, isDtype, isSizes } from './dtypes.ts';
import { isObject, parseObject } from './json.ts';

/** Where a tensor lies: bytes `begin` to `end` of the file. */
export interface TensorInfo {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly metadata: ReadonlyMap<string, string>;
  /** In the order of their data. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
}

/** A file begins with the length of its header, as a little-endian 64-bit number. */
export const LENGTH_BYTES = 8;

/** The one key of the header that is no tensor: strings for whoever wants them. */
export const METADATA = '__metadata__';

/** The cap of the reference implementation. */
const MAX_HEADER_BYTES = 100_000_000;

const DOWNLOAD = 'download the file again';

/**
 * How many bytes at the start of a file its header takes, the length itself included.
 *
 * @param bytes at least the first 8 of the file
 * @throws CheckpointError when that many cannot be, saying what the file seems to be instead
 */
export function headerSize(bytes: Uint8Array, fileSize: number, file = 'safetensors'): number {
  if (bytes?.[Symbol.toStringTag] !== 'Uint8Array') {
    throw new CheckpointError({ what: file, expected: 'a Uint8Array', got: show(bytes), fix: 'pass its bytes' });
  }
  if (bytes.length < LENGTH_BYTES || fileSize < LENGTH_BYTES) {
    const got = `${Math.min(bytes.length, fileSize)} bytes`;
    throw new CheckpointError({ what: file, expected: `at least ${LENGTH_BYTES} bytes`, got, fix: DOWNLOAD });
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  const limit = Math.min(fileSize - LENGTH_BYTES, MAX_HEADER_BYTES);
  if (length <= BigInt(limit)) return LENGTH_BYTES + Number(length);
  const other = length > BigInt(MAX_HEADER_BYTES) ? otherFormat(bytes) : undefined;
  if (other) throw new CheckpointError({ what: file, expected: 'a safetensors file', ...other });
  const reason = limit === MAX_HEADER_BYTES ? 'the limit of the format' : 'what the file has';
  throw new CheckpointError({
    what: `${file}, header length`,
    expected: `at most ${limit} bytes (${reason})`,
    got: String(length),
    fix: DOWNLOAD,
  });
}

/**
 * The header of a safetensors file, every statement of it checked: the tensors fill the file without gap or overlap,
 * and each has the bytes its shape and dtype call for. Stricter than the reference implementation, which lets pass
 * a key said twice, an unknown field, white space before the header, and metadata that is null.
 *
 * @param bytes    the file, or at least its first `headerSize` bytes
 * @param fileSize Infinity when it is not known
 * @param file     names it in errors
 * @throws CheckpointError naming file, tensor, what was expected and what was found
 * @see https://github.com/huggingface/safetensors#format
 */
export function parseHeader(bytes: Uint8Array, fileSize: number, file = 'safetensors'): SafetensorsHeader {
  const dataStart = headerSize(bytes, fileSize, file);
  const what = `${file}, header`;
  if (bytes.length < dataStart) {
    throw new CheckpointError({ what, expected: `${dataStart} bytes`, got: String(bytes.length) });
  }
  const json = bytes.subarray(LENGTH_BYTES, dataStart);
  if (json[0] !== 0x7b) {
    const got = json.length === 0 ? 'nothing' : `byte 0x${json[0]?.toString(16).padStart(2, '0')}`;
    throw new CheckpointError({ what, expected: '"{" at its start', got, fix: DOWNLOAD });
  }
  const entries = new Map(Object.entries(parseObject(json, what)));
  const metadata = parseMetadata(entries.get(METADATA), file);
  entries.delete(METADATA);
  const tensors = [...entries]
    .map(([name, entry]) => [name, parseEntry(entry, dataStart, whatTensor(file, name))] as const)
    .sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  checkLayout(tensors, dataStart, fileSize, file);
  return { metadata, tensors: new Map(tensors) };
}

/** How errors name a tensor. */
export function whatTensor(file: string | undefined, name: string): string {
  return `${file === undefined ? '' : `${file}, `}tensor ${JSON.stringify(name)}`;
}

function parseEntry(entry: unknown, dataStart: number, what: string): TensorInfo {
  if (!isObject(entry)) {
    throw new CheckpointError({ what, expected: 'an object with dtype, shape and data_offsets', got: show(entry) });
  }
  const fields = Object.keys(entry).sort();
  if (fields.join() !== 'data_offsets,dtype,shape') {
    const got = fields.length === 0 ? 'none' : show(fields);
    throw new CheckpointError({ what, expected: 'the fields dtype, shape and data_offsets', got });
  }
  const { dtype, shape, data_offsets: offsets } = entry;
  if (!isDtype(dtype)) {
    const expected = `one of ${Object.keys(BITS).reverse().join(' ')}`;
    throw new CheckpointError({ what: `${what}, dtype`, expected, got: show(dtype) });
  }
  checkShape(shape, what);
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0] > offsets[1]) {
    const expected = '[begin, end] with 0 <= begin <= end < 2^53';
    throw new CheckpointError({ what: `${what}, data_offsets`, expected, got: show(offsets) });
  }
  const [begin, end] = offsets as [number, number];
  const size = byteLength(dtype, shape, what);
  if (end - begin !== size) {
    const expected = `${size} bytes for ${dtype} [${shape.join(', ')}]`;
    throw new CheckpointError({ what: `${what}, data_offsets`, expected, got: `${end - begin}: ${show(offsets)}` });
  }
  return { dtype, shape, begin: dataStart + begin, end: dataStart + end };
}

/** @param tensors in the order of their data */
function checkLayout(
  tensors: readonly (readonly [string, TensorInfo])[],
  dataStart: number,
  fileSize: number,
  file: string,
): void {
  let end = dataStart;
  let before = 'the header';
  for (const [name, tensor] of tensors) {
    if (tensor.begin !== end) {
      throw new CheckpointError({
        what: `${whatTensor(file, name)}, data_offsets`,
        expected: `a begin of ${end - dataStart}, where ${before} ends`,
        got: `${tensor.begin - dataStart}: ${tensor.begin < end ? 'they overlap' : 'there is a hole between them'}`,
      });
    }
    end = tensor.end;
    before = whatTensor(undefined, name);
  }
  if (end === fileSize || fileSize === Infinity) return;
  throw new CheckpointError({
    what: file,
    expected: `${end} bytes, where ${before} ends`,
    got: `${fileSize}: the file ${fileSize < end ? 'is cut off' : 'goes on'}`,
    fix: DOWNLOAD,
  });
}

function parseMetadata(metadata: unknown, file: string): Map<string, string> {
  if (metadata === undefined) return new Map();
  const what = `${file}, ${METADATA}`;
  if (!isObject(metadata)) throw new CheckpointError({ what, expected: 'an object of strings', got: show(metadata) });
  return new Map(
    Object.entries(metadata).map(([key, value]) => {
      if (typeof value === 'string') return [key, value];
      throw new CheckpointError({ what: `${what}, ${show(key)}`, expected: 'a string', got: show(value) });
    }),
  );
}

/** What people take for a safetensors file, known by its first 8 bytes: a file that is read by pieces shows no more. */
function otherFormat(bytes: Uint8Array): { got: string; fix: string } | undefined {
  const start = String.fromCharCode(...bytes.subarray(0, LENGTH_BYTES));
  if (start === 'version ') {
    return { got: 'a Git LFS pointer', fix: 'run "git lfs pull" in the folder' };
  }
  if (/^\s*</.test(start)) return { got: 'an HTML page', fix: 'download the file itself, not the page about it' };
  if (start.startsWith('PK\x03\x04') || start.startsWith('\x80')) {
    return {
      got: 'a PyTorch pickle',
      fix: 'convert it in Python: model.save_pretrained(folder, safe_serialization=True)',
    };
  }
  return undefined;
}

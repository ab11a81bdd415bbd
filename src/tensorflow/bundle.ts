import { CheckpointError } from '../errors.ts';
import { ByteReader, maskedCrc32c } from './bytes.ts';

/** TensorFlow's number of the dtype (types.proto) that models' tensors have; counters have others. */
const DT_FLOAT = 1;

/** Where a tensor is in the data files. */
export interface BundleEntry {
  /** null for any other. */
  dtype: 'F32' | null;
  shape: readonly number[];
  /** Which of the data files, from 0. */
  shard: number;
  /** In that file, in bytes. */
  offset: number;
  size: number;
}

const FOOTER_BYTES = 48;
const TRAILER_BYTES = 5;
const MAGIC = [0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb];

/**
 * The index of a TensorFlow checkpoint, `….ckpt.index`: a LevelDB table from names to protocol buffers. (The older format,
 * of one file, is not read.)
 *
 * Sources: leveldb's table_format.md; tensorflow/core/protobuf/tensor_bundle.proto.
 *
 * @param file for messages
 * @returns the number of data files, and the tensors by name
 * @throws CheckpointError when it is cut off or corrupt, compressed, big-endian, or holds partitioned tensors
 */
export function parseBundleIndex(
  bytes: Uint8Array,
  file = 'index',
): { shards: number; tensors: Map<string, BundleEntry> } {
  const footer = bytes.subarray(Math.max(0, bytes.length - FOOTER_BYTES));
  if (footer.length < FOOTER_BYTES || MAGIC.some((byte, i) => footer[FOOTER_BYTES - MAGIC.length + i] !== byte)) {
    const expected = 'a table that ends with its magic number';
    throw new CheckpointError({ what: file, expected, got: 'other bytes', fix: 'download the file again' });
  }
  const handles = new ByteReader(footer, `${file}: footer`);
  readHandle(handles); // of an index of indexes, which TensorFlow leaves empty
  let shards = 0;
  const tensors = new Map<string, BundleEntry>();
  for (const [, handle] of blockEntries(readBlock(bytes, handles, file), file)) {
    for (const [key, value] of blockEntries(
      readBlock(bytes, new ByteReader(handle, `${file}: a handle`), file),
      file,
    )) {
      if (key === '') shards = readHeader(value, file);
      else tensors.set(key, readEntry(value, `${file}: tensor ${key}`));
    }
  }
  if (shards < 1) {
    throw new CheckpointError({ what: file, expected: 'a header with a number of data files', got: 'none' });
  }
  return { shards, tensors };
}

function readHandle(reader: ByteReader): [offset: number, size: number] {
  return [reader.varint(), reader.varint()];
}

/** The bytes of the block that a handle points at, once their checksum is right. */
function readBlock(bytes: Uint8Array, handle: ByteReader, file: string): Uint8Array {
  const [offset, size] = readHandle(handle);
  const what = `${file}: block at byte ${offset}`;
  const rest = new ByteReader(bytes.subarray(offset), what);
  const block = rest.take(size);
  const [compression, ...checksum] = rest.take(TRAILER_BYTES);
  const stored = checksum.reduceRight((sum, byte) => sum * 256 + byte, 0);
  if (maskedCrc32c(bytes.subarray(offset, offset + size + 1)) !== stored) {
    rest.refuse('bytes that its checksum fits', 'others');
  }
  if (compression === 0) return block;
  const fix = 'save the checkpoint again with TensorFlow, which does not compress its index';
  throw new CheckpointError({ what, expected: 'no compression', got: `compression ${compression}`, fix });
}

/** A block's keys, each without what it has in common with the one before it, and their values. */
function* blockEntries(block: Uint8Array, file: string): Generator<[key: string, value: Uint8Array]> {
  const what = `${file}: block of ${block.length} bytes`;
  const restarts =
    block.length >= 4 ? new DataView(block.buffer, block.byteOffset + block.length - 4).getUint32(0, true) : 0;
  const end = block.length - 4 * (restarts + 1);
  if (end < 0)
    new ByteReader(block, what).refuse('a block that its list of restarts fits into', `${restarts} restarts`);
  const reader = new ByteReader(block.subarray(0, end), what);
  let key = new Uint8Array(0);
  while (!reader.atEnd) {
    const [shared, added, length] = [reader.varint(), reader.varint(), reader.varint()];
    if (shared > key.length) reader.refuse('a key that shares at most the whole one before', `${shared} bytes`);
    key = Uint8Array.of(...key.subarray(0, shared), ...reader.take(added));
    yield [new TextDecoder().decode(key), reader.take(length)];
  }
}

/** BundleHeaderProto. @returns the number of data files */
function readHeader(bytes: Uint8Array, file: string): number {
  const fields = new Map(new ByteReader(bytes, `${file}: header`).fields());
  if ((fields.get(2) ?? 0) !== 0) {
    throw new CheckpointError({ what: file, expected: 'little-endian numbers', got: 'big-endian ones' });
  }
  return Number(fields.get(1) ?? 0);
}

/** BundleEntryProto. */
function readEntry(bytes: Uint8Array, what: string): BundleEntry {
  const entry: BundleEntry = { dtype: null, shape: [], shard: 0, offset: 0, size: 0 };
  for (const [field, value] of new ByteReader(bytes, what).fields()) {
    if (field === 1) entry.dtype = value === DT_FLOAT ? 'F32' : null;
    if (field === 2 && value instanceof Uint8Array) entry.shape = readShape(value, what);
    if (field === 3) entry.shard = Number(value);
    if (field === 4) entry.offset = Number(value);
    if (field === 5) entry.size = Number(value);
    if (field === 7) {
      const fix = 'save the checkpoint again without partitioned variables';
      throw new CheckpointError({ what, expected: 'a tensor in one piece', got: 'slices', fix });
    }
  }
  return entry;
}

/** TensorShapeProto: a size for each dimension; a size of 0 is left out. */
function readShape(bytes: Uint8Array, what: string): number[] {
  const shape: number[] = [];
  for (const [field, value] of new ByteReader(bytes, what).fields()) {
    if (field !== 2 || !(value instanceof Uint8Array)) continue;
    const size = new Map(new ByteReader(value, what).fields()).get(1) ?? 0;
    shape.push(Number(size));
  }
  return shape;
}

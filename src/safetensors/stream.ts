import { CheckpointError } from '../errors.ts';
import { requireLittleEndian } from './dtypes.ts';
import type { TensorView } from './file.ts';
import { headerSize, LENGTH_BYTES, parseHeader, whatTensor, type TensorInfo } from './header.ts';
import { openTensorFiles, type FileSource } from './load.ts';

/** Bytes that arrive piece by piece, and how many there will be, if that is known. */
export interface ByteStream {
  readonly size: number | undefined;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** A source that can give a file piece by piece. Every `ModelFiles` of bertscript/hub is one. */
export interface StreamSource extends FileSource {
  stream?(path: string): Promise<ByteStream | undefined>;
}

/** What a header says of a tensor, with its name and file. */
export interface StreamedTensor extends TensorInfo {
  readonly name: string;
  readonly file: string;
}

/** Some rows of a tensor: `view` is [count, …rest of its shape], and good until the next piece is asked for. */
export interface TensorRows {
  readonly name: string;
  readonly firstRow: number;
  readonly view: TensorView;
}

/** Rows are handed over by about this many bytes. */
const PIECE_BYTES = 2 ** 20;

/**
 * A safetensors file that is read once, from front to back: first its header, then its tensors by rows, so that it never
 * has to be in memory as a whole.
 */
export class SafetensorsStream {
  readonly metadata: ReadonlyMap<string, string>;
  /** In the order of their data. */
  readonly tensors: ReadonlyMap<string, StreamedTensor>;
  readonly #file: string;
  readonly #reader: ByteReader;

  /** @throws CheckpointError when anything in the header is wrong */
  static async open({ size, chunks }: ByteStream, file = 'safetensors'): Promise<SafetensorsStream> {
    requireLittleEndian(file);
    const reader = new ByteReader(chunks);
    try {
      const start = (await reader.take(LENGTH_BYTES)).slice();
      const header = join([start, await reader.take(headerSize(start, size ?? Infinity, file) - LENGTH_BYTES)]);
      return new SafetensorsStream(header, size, file, reader);
    } catch (error) {
      await reader.close();
      throw error;
    }
  }

  private constructor(header: Uint8Array, size: number | undefined, file: string, reader: ByteReader) {
    const { metadata, tensors } = parseHeader(header, size ?? Infinity, file);
    this.metadata = metadata;
    this.tensors = new Map([...tensors].map(([name, info]) => [name, { ...info, name, file }]));
    this.#file = file;
    this.#reader = reader;
  }

  /** Every tensor, by rows, in the order of the file; to be gone through once. @throws CheckpointError if the file is cut off */
  async *rows(): AsyncGenerator<TensorRows> {
    try {
      for (const { name, dtype, shape, begin, end, file } of this.tensors.values()) {
        const [count = 1, ...rest] = shape;
        const rowBytes = count === 0 ? 0 : (end - begin) / count;
        const step = Math.max(1, Math.floor(PIECE_BYTES / Math.max(1, rowBytes)));
        for (let firstRow = 0, rows; firstRow < count; firstRow += rows) {
          // Those that have arrived: one that lies across two chunks has to be copied, and comes by itself.
          const whole = Math.floor((await this.#reader.arrived()) / Math.max(1, rowBytes));
          rows = Math.min(count - firstRow, step, Math.max(1, whole));
          const bytes = await this.#reader.take(rows * rowBytes);
          if (bytes.length < rows * rowBytes) this.#refuse(`the file is cut off in ${whatTensor(undefined, name)}`);
          yield {
            name,
            firstRow,
            view: { name, dtype, shape: shape.length === 0 ? [] : [rows, ...rest], bytes, file },
          };
        }
      }
      if ((await this.#reader.take(1)).length > 0) this.#refuse('the file goes on after the last tensor');
    } finally {
      await this.close();
    }
  }

  /** Lets go of the file, when it is not read to its end. */
  close(): Promise<void> {
    return this.#reader.close();
  }

  #refuse(got: string): never {
    throw new CheckpointError({
      what: this.#file,
      expected: 'the bytes its header tells of',
      got,
      fix: 'download the file again',
    });
  }
}

/** The files of a model folder as streams, checked as `loadTensors` does. */
export async function openTensorStreams(
  source: StreamSource,
): Promise<{ files: SafetensorsStream[]; tensors: ReadonlyMap<string, StreamedTensor> }> {
  const opened: SafetensorsStream[] = [];
  try {
    return await openTensorFiles<StreamedTensor, SafetensorsStream>(source, async (path, file) => {
      const stream = await streamOf(source, path);
      if (stream === undefined) return undefined;
      const tensors = await SafetensorsStream.open(stream, file);
      opened.push(tensors);
      return tensors;
    });
  } catch (error) {
    for (const stream of opened) await stream.close();
    throw error;
  }
}

async function streamOf(source: StreamSource, path: string): Promise<ByteStream | undefined> {
  if (source.stream) return source.stream(path);
  const bytes = await source.read(path);
  return bytes && { size: bytes.length, chunks: once(bytes) };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Takes runs of bytes of any length from chunks of any length. */
class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  /** What was not taken of the last chunk, which the source may reuse for the next. */
  #rest = new Uint8Array(0) as Uint8Array;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** How many bytes can be taken without a copy; 0 at the end. */
  async arrived(): Promise<number> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#chunks.next();
      if (done) break;
      this.#rest = value;
    }
    return this.#rest.length;
  }

  /** The next bytes, good until more are asked for; fewer at the end. */
  async take(length: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for (let missing = length; missing > 0 && (await this.arrived()) > 0;) {
      const part = this.#rest.subarray(0, missing);
      this.#rest = this.#rest.subarray(part.length);
      missing -= part.length;
      parts.push(missing > 0 ? part.slice() : part);
    }
    return parts.length === 1 ? parts[0] : join(parts);
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

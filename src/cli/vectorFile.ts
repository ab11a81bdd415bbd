import { InputError, UsageError } from '../errors.ts';
import { parseSafetensors, toFloat32, writeSafetensors } from '../safetensors/index.ts';
import type { Io, Write } from './io.ts';
import { npyHeader, parseNpy } from './npy.ts';
import { jsonLine } from './output.ts';

/** One result of `embed`: its line of JSON, of which array files keep the embedding alone. */
export interface EmbeddingRow {
  embedding: number[];
  [field: string]: unknown;
}

type Rows = AsyncIterable<EmbeddingRow>;

const writers: Record<string, (write: Write, rows: Rows, count: number) => Promise<void>> = {
  '.jsonl': async (write, rows) => {
    for await (const row of rows) await write(jsonLine(row));
  },
  '.npy': async (write, rows, count) => {
    let first = true;
    for await (const { embedding } of rows) {
      if (first) await write(npyHeader([count, embedding.length]));
      first = false;
      await write(bytesOf(Float32Array.from(embedding)));
    }
  },
  '.safetensors': async (write, rows, count) => {
    const vectors: number[][] = [];
    for await (const { embedding } of rows) vectors.push(embedding);
    const data = new Float32Array(count * vectors[0].length);
    vectors.forEach((vector, i) => data.set(vector, i * vector.length));
    await write(writeSafetensors({ embeddings: { data, shape: [count, vectors[0].length] } }));
  },
};

/** @throws UsageError unless the name ends as one of the formats does */
export function checkVectorFile(path: string): string {
  if (extensionOf(path) !== undefined) return path;
  throw new UsageError({
    what: '--output',
    expected: `a name ending in ${Object.keys(writers).join(', ')}`,
    got: path,
  });
}

/** Writes the rows, of which there are `count`, in the format that the file's name says. */
export async function writeVectorFile(path: string, rows: Rows, count: number, io: Io): Promise<void> {
  const writer = writers[extensionOf(checkVectorFile(path))!];
  await io.writeFile(path, (write) => writer(write, rows, count));
}

/**
 * The vectors of a file that `writeVectorFile` wrote, or numpy, or safetensors: a matrix, a row for each.
 *
 * @throws UsageError for another kind of file, InputError unless it holds a matrix
 */
export async function readVectorFile(path: string, io: Io): Promise<{ data: Float32Array; dimensions: number }> {
  const extension = /\.(npy|safetensors)$/i.exec(path)?.[1].toLowerCase();
  if (extension === undefined) {
    throw new UsageError({ what: '--index', expected: 'a name ending in .npy or .safetensors', got: path });
  }
  const bytes = await io.readFile(path);
  if (extension === 'npy') return parseNpy(bytes, path);
  const { tensors } = parseSafetensors(bytes, path);
  const name = tensors.has('embeddings') || tensors.size !== 1 ? 'embeddings' : [...tensors.keys()][0];
  const view = tensors.get(name);
  if (view === undefined || view.shape.length !== 2 || view.shape[1] === 0) {
    const got = view ? `[${view.shape.join(', ')}]` : [...tensors.keys()].slice(0, 3).join(', ') || 'no tensor';
    throw new InputError({ what: `${path}: tensor ${name}`, expected: 'a matrix, a row for each vector', got });
  }
  return { data: toFloat32(view), dimensions: view.shape[1] };
}

function extensionOf(path: string): string | undefined {
  return Object.keys(writers).find((extension) => path.toLowerCase().endsWith(extension));
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

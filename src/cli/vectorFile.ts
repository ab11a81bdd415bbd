import { UsageError } from '../errors.ts';
import { writeSafetensors } from '../safetensors/index.ts';
import type { Io, Write } from './io.ts';
import { npyHeader } from './npy.ts';
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

function extensionOf(path: string): string | undefined {
  return Object.keys(writers).find((extension) => path.toLowerCase().endsWith(extension));
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

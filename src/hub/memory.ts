import type { ModelFiles } from './files.ts';
import { insidePath } from './files.ts';

/** Content of a file in memory: bytes, text, or a Blob (a browser's `File` is one), which is read when asked for. */
export type FileContent = Uint8Array | string | Blob;

/** Files the caller already holds: from a file input, inside a single-file binary, made in a test. */
export class MemoryFiles implements ModelFiles {
  readonly location = 'memory';
  readonly #files: ReadonlyMap<string, FileContent>;

  /** @param files path → content */
  constructor(files: ReadonlyMap<string, FileContent> | Readonly<Record<string, FileContent>>) {
    this.#files = files instanceof Map ? files : new Map(Object.entries(files));
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    const content = this.#files.get(insidePath(path));
    if (typeof content === 'string') return new TextEncoder().encode(content);
    if (content instanceof Blob) return new Uint8Array(await content.arrayBuffer());
    return content;
  }
}

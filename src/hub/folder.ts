import type * as fsPromises from 'node:fs/promises';
import type * as nodeUrl from 'node:url';
import { FileError } from '../errors.ts';
import type { FileStream, ModelFiles } from './files.ts';
import { insidePath, nameOf } from './files.ts';

/** One `read` call of the operating system moves less than 2 GiB. */
const LARGEST_READ = 2 ** 30;
/** Bytes of a piece of a stream. */
const CHUNK = 2 ** 20;

/** The files in a folder on disk. Reads nothing before the first `read`. */
export class FolderFiles implements ModelFiles {
  readonly location: string;

  /**
   * @param folder a path, or a `file:` URL
   * @throws FileError where there is no file system, as in a browser
   */
  constructor(folder: string | URL) {
    builtin('node:fs/promises', folder);
    const path = typeof folder === 'string' ? folder : builtin('node:url', folder).fileURLToPath(folder);
    this.location = path.replace(/(?<=.)[/\\]+$/, '') || '.';
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    const opened = await this.#open(path);
    if (opened === undefined) return undefined;
    const { handle, size, file } = opened;
    try {
      return await fill(new Uint8Array(size), handle, file, 0);
    } finally {
      await handle.close();
    }
  }

  async stream(path: string): Promise<FileStream | undefined> {
    const opened = await this.#open(path);
    return opened && { size: opened.size, chunks: chunksOf(opened) };
  }

  async #open(path: string): Promise<OpenFile | undefined> {
    const fs = builtin('node:fs/promises', this.location);
    const file = nameOf(this, insidePath(path));
    try {
      const stat = await fs.stat(file);
      // Asked before opening: a named pipe would wait for a writer.
      if (!stat.isFile()) throw new FileError({ what: file, expected: 'a file', got: 'a folder or device' });
      return { handle: await fs.open(file), size: stat.size, file };
    } catch (cause) {
      if (cause instanceof FileError) throw cause;
      const { code, message } = cause as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ENOTDIR') {
        throw new FileError({ what: file, expected: 'a readable file', got: code ?? message, cause });
      }
      await this.#mustExist(cause);
      return undefined;
    }
  }

  /** A missing file is an answer; a missing folder is a mistake of the caller. */
  async #mustExist(cause: unknown): Promise<void> {
    const stat = await builtin('node:fs/promises', this.location)
      .stat(this.location)
      .catch(() => undefined);
    if (stat?.isDirectory()) return;
    throw new FileError({
      what: this.location,
      expected: 'a folder with a model',
      got: stat ? 'a file' : 'no such folder',
      fix: stat
        ? 'pass the folder that holds it'
        : 'pass an existing folder (Hub ids are not looked up in this version)',
      cause,
    });
  }
}

/** Whether this runtime has a file system: Node, Deno and Bun do, browsers and edge workers do not. */
export function hasFolders(): boolean {
  return globalThis.process?.getBuiltinModule?.('node:fs/promises') !== undefined;
}

type Builtins = { 'node:fs/promises': typeof fsPromises; 'node:url': typeof nodeUrl };

/**
 * A built-in module of Node (20.16 and later), Deno or Bun. Asked for at run time, so that no `node:` import
 * exists that a bundler, a browser or a service worker would trip over.
 */
function builtin<Id extends keyof Builtins>(id: Id, folder: string | URL): Builtins[Id] {
  const found = globalThis.process?.getBuiltinModule?.(id) as Builtins[Id] | undefined;
  if (found) return found;
  throw new FileError({
    what: String(folder),
    expected: 'a runtime with a file system',
    got: 'none',
    fix: 'pass an http(s) address or MemoryFiles; in Node, use 20.16 or later',
  });
}

interface OpenFile {
  handle: fsPromises.FileHandle;
  size: number;
  file: string;
}

/** A file in pieces, all in one array, which each piece overwrites. */
async function* chunksOf({ handle, size, file }: OpenFile): AsyncGenerator<Uint8Array> {
  try {
    const buffer = new Uint8Array(Math.min(CHUNK, size));
    for (let at = 0; at < size; at += CHUNK) yield await fill(buffer.subarray(0, size - at), handle, file, at);
  } finally {
    await handle.close();
  }
}

/** Reads what lies `from` the start of a file into an array, in pieces the operating system accepts. */
async function fill(bytes: Uint8Array, handle: fsPromises.FileHandle, file: string, from: number): Promise<Uint8Array> {
  for (let at = 0; at < bytes.length;) {
    const { bytesRead } = await handle.read(bytes, at, Math.min(LARGEST_READ, bytes.length - at), from + at);
    if (bytesRead === 0) {
      throw new FileError({
        what: file,
        expected: `${bytes.length} bytes`,
        got: `${at}: the file changed while it was read`,
        fix: 'wait until it is written, then load again',
      });
    }
    at += bytesRead;
  }
  return bytes;
}

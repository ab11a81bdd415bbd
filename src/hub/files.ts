import { ConfigError, FileError, show } from '../errors.ts';

/** Where the files of one model come from: a folder, a web server, memory. */
export interface ModelFiles {
  /** The folder or address, for messages. */
  readonly location: string;

  /**
   * The content of one file.
   *
   * @param path relative to `location`, with `/` between its parts: `config.json`, `1_Pooling/config.json`
   * @returns `undefined` when there is no such file
   * @throws FileError on any other failure, naming the file
   */
  read(path: string): Promise<Uint8Array | undefined>;

  /**
   * The same, piece by piece, for files too large to hold twice. A piece is good until the next one is asked for.
   * Without this method, `read` serves.
   */
  stream?(path: string): Promise<FileStream | undefined>;
}

/** A file that arrives in pieces. */
export interface FileStream {
  /** In bytes, if it is known beforehand. */
  readonly size: number | undefined;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** How messages name a file: the location and the path. */
export function nameOf(files: ModelFiles, path: string): string {
  return `${files.location}/${path}`;
}

/** The files of a folder inside a model, as if they were a model of their own. @param folder '' is the model itself */
export function filesBelow(files: ModelFiles, folder: string): ModelFiles {
  if (folder === '') return files;
  const base = insidePath(folder);
  return {
    location: nameOf(files, folder),
    read: (path) => files.read(`${base}/${path}`),
    ...(files.stream && { stream: (path) => files.stream!(`${base}/${path}`) }),
  };
}

/**
 * A text file in UTF-8, without its byte order mark; `undefined` when there is no such file.
 *
 * @throws FileError when the bytes are not UTF-8
 */
export async function readText(files: ModelFiles, path: string): Promise<string | undefined> {
  const bytes = await files.read(path);
  if (bytes === undefined) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new FileError({
      what: nameOf(files, path),
      expected: 'text in UTF-8',
      got: 'bytes that are not UTF-8',
      fix: 'download the file again or convert it to UTF-8',
      cause,
    });
  }
}

/**
 * The value in a JSON file; `undefined` when there is no such file.
 *
 * @throws ConfigError when the text is not JSON, saying what it is instead
 * @throws FileError when the bytes are not UTF-8
 */
export async function readJson(files: ModelFiles, path: string): Promise<unknown> {
  const text = await readText(files, path);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    const { got, fix } = insteadOfJson(text, cause);
    throw new ConfigError({ what: nameOf(files, path), expected: 'JSON', got, fix, cause });
  }
}

/**
 * The object in a JSON file that has to be there.
 *
 * @param what what the file is, for messages
 * @throws FileError when there is no such file; ConfigError when it does not hold a JSON object
 */
export async function readObject(files: ModelFiles, path: string, what: string): Promise<Record<string, unknown>> {
  const object = await readObjectIfAny(files, path);
  if (object !== undefined) return object;
  const fix = 'pass a folder or an address that holds it';
  throw new FileError({ what: nameOf(files, path), expected: what, got: 'no such file', fix });
}

/** The same of a file that need not be there: then `undefined`. */
export async function readObjectIfAny(files: ModelFiles, path: string): Promise<Record<string, unknown> | undefined> {
  const value = await readJson(files, path);
  if (value === undefined) return undefined;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new ConfigError({ what: nameOf(files, path), expected: 'a JSON object', got: show(value) });
}

function insteadOfJson(text: string, cause: unknown): { got: string; fix: string } {
  const start = text.trimStart().slice(0, 40).toLowerCase();
  if (start === '') return { got: 'an empty file', fix: 'download the file again' };
  if (start.startsWith('<')) return { got: 'an HTML page', fix: 'download the file itself, not the page about it' };
  if (start.startsWith('version https://git-lfs')) {
    return { got: 'a Git LFS pointer', fix: 'run "git lfs pull" in the folder' };
  }
  return { got: `broken JSON (${(cause as Error).message})`, fix: 'correct the file or download it again' };
}

/**
 * The path, once it is known to stay inside its location.
 *
 * @throws FileError for an absolute path, a backslash, or a part that is empty, `.` or `..`
 */
export function insidePath(path: string): string {
  const parts = path.split('/');
  if (/[\\\0]|^[a-z]+:/i.test(path) || parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw new FileError({
      what: `path ${JSON.stringify(path)}`,
      expected: 'a relative path inside the model, such as "1_Pooling/config.json"',
      fix: 'correct the file that names this path',
    });
  }
  return path;
}

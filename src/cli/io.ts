import { escapeControls } from './display.ts';
import { inFlags } from './words.ts';

/** Everything the commands know of the world outside. Tests give their own. */
export interface Io {
  readonly stdin: { readonly isTTY: boolean; read(): Promise<Uint8Array> };
  /** Results. */
  readonly stdout: Output;
  /** Progress, notes and errors. */
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly versions: { bertscript: string; node: string; platform: string };
  /** Folder of the model that comes with the package, if it is there. */
  readonly shippedModel: string | undefined;
  /** Folder of the adapters for it, if they are there. */
  readonly shippedAdapters?: string | undefined;

  /** A path as the user wrote it → the absolute one. */
  resolve(path: string): string;
  /** @throws FileError */
  readFile(path: string): Promise<Uint8Array>;
  /**
   * Writes a file that appears under its name only once `body` is done: nothing half-written stays behind, whatever
   * happens on the way. It is opened before `body` runs, so that a bad path shows before any work is done.
   *
   * @throws FileError
   */
  writeFile(path: string, body: (write: Write) => Promise<void>): Promise<void>;
  /**
   * Fills a folder, new or there already, with files that `body` writes under their paths inside it. They appear together
   * once `body` is done; when it fails, none does.
   *
   * @returns what `body` returns
   * @throws FileError
   */
  writeFolder<T>(path: string, body: (write: WriteInside) => Promise<T>): Promise<T>;
  /**
   * Makes a folder, and keeps other processes that ask for it out until what it returns is called, which also takes the
   * folder back when nothing is in it. A process that was killed keeps nobody out.
   *
   * @throws FileError if it cannot be written, or another process has it
   */
  holdFolder(path: string): Promise<() => Promise<void>>;
  /** Removes a file, if it is there. @throws FileError */
  removeFile(path: string): Promise<void>;
  /** Adds to the end of a file, made when it is not there. @throws FileError */
  appendFile(path: string, text: string): Promise<void>;
  /** Removes a folder and all in it, if it is there. @throws FileError */
  removeFolder(path: string): Promise<void>;
  /** Calls back at the first Ctrl-C or SIGTERM in place of ending; the next one ends. @returns what takes that back */
  onInterrupt(callback: () => void): () => void;
  exists(path: string): Promise<boolean>;
  /** Where a path leads once symbolic links are followed; the absolute path when nothing is there. */
  realPath(path: string): Promise<string>;
  /** Shows progress on a terminal; elsewhere does nothing. */
  progress(label: string, total: number): Progress;
}

export interface Output {
  readonly isTTY: boolean;
  readonly columns: number;
  /** Resolves when there is room for more. @throws ClosedPipe when nobody reads any longer */
  write(text: string): Promise<void>;
}

export type Write = (data: string | Uint8Array) => Promise<void>;
export type WriteInside = (path: string, data: string | Uint8Array) => Promise<void>;

export interface Progress {
  /** @param note what else there is to say, such as a loss; `total` may have become known */
  update(done: number, note?: string, total?: number): void;
  stop(): void;
}

/** The reader of an output, such as `head`, has seen enough. No error: the command ends quietly. */
export class ClosedPipe extends Error {}

/** A check was carried out, and failed: exit code 1. The message is one line. */
export class CheckFailed extends Error {}

/** Something the user should know that does not stop the command. */
export async function note(io: Io, text: string): Promise<void> {
  await io.stderr.write(`bertscript: note: ${escapeControls(inFlags(text))}\n`);
}

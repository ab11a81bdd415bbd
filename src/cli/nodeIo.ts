import { existsSync, readFileSync, rmSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FileError } from '../errors.ts';
import { ClosedPipe, type Io, type Output, type Progress, type Write } from './io.ts';
import { progressBar } from './progressBar.ts';

const WEIGHTS_PACKAGE = 'bertscript-all-minilm-l6-v2';

/** @param root folder of the package, with package.json and, in a checkout, weights/ */
export function nodeIo(root: URL): Io {
  const { version } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as { version: string };
  return {
    stdin: { isTTY: process.stdin.isTTY === true, read: readStdin },
    stdout: output('stdout', process.stdout),
    stderr: output('stderr', process.stderr),
    env: process.env,
    versions: { bertscript: version, node: process.version, platform: `${process.platform} ${process.arch}` },
    shippedModel: findShippedModel(root),
    ...nodeFiles(userFolder(root)),
    progress: (label, total): Progress =>
      process.stderr.isTTY ? progressBar(process.stderr, label, total) : { update: () => {}, stop: () => {} },
  };
}

/** The part of an Io that is about files. */
export function nodeFiles(folder: string): Pick<Io, 'resolve' | 'readFile' | 'writeFile' | 'makeFolder' | 'exists'> {
  const at = (path: string) => resolve(folder, path);
  return {
    resolve: at,
    readFile: (path) => fs.readFile(at(path)).catch((cause) => fail(path, 'a readable file', cause)),
    writeFile: (path, body) => writeFile(path, at(path), body),
    makeFolder: async (path) => {
      await fs.mkdir(at(path), { recursive: true }).catch((cause) => fail(path, 'a folder that can be made', cause));
    },
    exists: (path) =>
      fs.stat(at(path)).then(
        () => true,
        () => false,
      ),
  };
}

/** Where the user stands: `npm run` and `npm start` move to the package, and say in INIT_CWD where they were called. */
function userFolder(root: URL): string {
  const moved = resolve(process.cwd()) === resolve(fileURLToPath(root));
  return (moved && process.env.INIT_CWD) || process.cwd();
}

function findShippedModel(root: URL): string | undefined {
  const beside = fileURLToPath(new URL('weights/all-MiniLM-L6-v2', root));
  if (existsSync(join(beside, 'config.json'))) return beside;
  try {
    return dirname(fileURLToPath(import.meta.resolve(`${WEIGHTS_PACKAGE}/package.json`)));
  } catch {
    return undefined; // not installed
  }
}

async function readStdin(): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function output(name: string, stream: NodeJS.WriteStream): Output {
  stream.on('error', () => {}); // the callback of the write tells it too
  return {
    isTTY: stream.isTTY === true,
    columns: stream.columns || 80,
    write: (text) =>
      new Promise((done, failed) => {
        stream.write(text, (error?: NodeJS.ErrnoException | null) => {
          if (error?.code === 'EPIPE') failed(new ClosedPipe());
          else if (error) failed(fault(name, 'an output that can be written', error));
          else done();
        });
      }),
  };
}

async function writeFile(path: string, target: string, body: (write: Write) => Promise<void>): Promise<void> {
  const expected = 'a file that can be written';
  const existing = await fs.stat(target).catch(() => undefined);
  if (existing?.isDirectory()) throw new FileError({ what: path, expected, got: 'a folder' });
  const device = existing !== undefined && !existing.isFile(); // /dev/null and pipes are written to, not replaced
  const temporary = device ? target : `${target}.${process.pid}.tmp`;
  const remove = () => device || rmSync(temporary, { force: true });
  const interrupted = (signal: NodeJS.Signals) => {
    remove();
    process.exit(signal === 'SIGINT' ? 130 : 143); // what the shell would have said
  };

  const handle = await fs.open(temporary, 'w').catch((cause) => fail(path, expected, cause));
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  try {
    await body((data) => handle.appendFile(data).catch((cause) => fail(path, expected, cause)));
    await handle.close();
    if (!device) await fs.rename(temporary, target).catch((cause) => fail(path, expected, cause));
  } catch (error) {
    await handle.close().catch(() => {});
    remove();
    throw error;
  } finally {
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
  }
}

const REASONS: Record<string, string> = {
  ENOENT: 'no such file or folder',
  ENOTDIR: 'a file where a folder should be',
  EISDIR: 'a folder',
  EACCES: 'no permission',
  EPERM: 'no permission',
  EROFS: 'a read-only file system',
  ENOSPC: 'a full disk',
  ENAMETOOLONG: 'a name that is too long',
  EEXIST: 'a file of that name',
};

function fault(path: string, expected: string, cause: NodeJS.ErrnoException): FileError {
  return new FileError({ what: path, expected, got: REASONS[cause.code ?? ''] ?? cause.code ?? cause.message, cause });
}

function fail(path: string, expected: string, cause: NodeJS.ErrnoException): never {
  throw fault(path, expected, cause);
}

import { existsSync, readFileSync, rmSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FileError } from '../errors.ts';
import { ClosedPipe, type Io, type Output, type Progress, type Write, type WriteInside } from './io.ts';
import { progressBar } from './progressBar.ts';
import { REASONS } from './reasons.ts';

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
    shippedModel: findShipped(root, 'weights/all-MiniLM-L6-v2', 'config.json', WEIGHTS_PACKAGE),
    shippedAdapters: findShipped(root, 'weights/adapters', 'package.json', `${WEIGHTS_PACKAGE}-adapters`),
    ...nodeFiles(userFolder(root)),
    progress: (label, total): Progress =>
      process.stderr.isTTY ? progressBar(process.stderr, label, total) : { update: () => {}, stop: () => {} },
  };
}

/** The part of an Io that is about files. */
export function nodeFiles(
  folder: string,
): Pick<
  Io,
  | 'resolve'
  | 'readFile'
  | 'writeFile'
  | 'appendFile'
  | 'writeFolder'
  | 'holdFolder'
  | 'removeFile'
  | 'removeFolder'
  | 'onInterrupt'
  | 'exists'
  | 'realPath'
> {
  const at = (path: string) => resolve(folder, path);
  return {
    resolve: at,
    readFile: (path) => fs.readFile(at(path)).catch((cause) => fail(path, 'a readable file', cause)),
    writeFile: (path, body) => writeFile(path, at(path), body),
    appendFile: (path, text) =>
      fs.appendFile(at(path), text).catch((cause) => fail(path, 'a file that can be written', cause)),
    writeFolder: (path, body) => writeFolder(path, at(path), body),
    holdFolder: (path) => holdFolder(path, at(path)),
    removeFile: (path) =>
      fs.rm(at(path), { force: true }).catch((cause) => fail(path, 'a file that can be removed', cause)),
    removeFolder: (path) =>
      fs
        .rm(at(path), { recursive: true, force: true })
        .catch((cause) => fail(path, 'a folder that can be removed', cause)),
    onInterrupt,
    exists: (path) =>
      fs.stat(at(path)).then(
        () => true,
        () => false,
      ),
    realPath: (path) => realPath(at(path)),
  };
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
/** Callbacks that the first signal is for. */
const waiting = new Set<() => void>();

function onInterrupt(callback: () => void): () => void {
  const first = () => {
    release();
    callback();
  };
  const release = () => {
    waiting.delete(first);
    for (const signal of SIGNALS) process.off(signal, first);
  };
  waiting.add(first);
  for (const signal of SIGNALS) process.on(signal, first);
  return release;
}

/** Where the user stands: `npm run` and `npm start` move to the package, and say in INIT_CWD where they were called. */
function userFolder(root: URL): string {
  const moved = resolve(process.cwd()) === resolve(fileURLToPath(root));
  return (moved && process.env.INIT_CWD) || process.cwd();
}

/** In a checkout, or in a package of its own beside this one. */
function findShipped(root: URL, folder: string, file: string, packageName: string): string | undefined {
  const beside = fileURLToPath(new URL(folder, root));
  if (existsSync(join(beside, file))) return beside;
  try {
    return dirname(fileURLToPath(import.meta.resolve(`${packageName}/package.json`)));
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
  if (existing !== undefined && !existing.isFile()) {
    return write(path, target, body); // /dev/null and pipes are written to, not replaced
  }
  const real = await realPath(target); // nor are links
  const temporary = `${real}.${process.pid}.tmp`;
  await orRemove(temporary, async () => {
    await write(path, temporary, body);
    await fs.rename(temporary, real).catch((cause) => fail(path, expected, cause));
  });
}

async function write(path: string, target: string, body: (write: Write) => Promise<void>): Promise<void> {
  const expected = 'a file that can be written';
  const handle = await fs.open(target, 'w').catch((cause) => fail(path, expected, cause));
  try {
    await body((data) => handle.appendFile(data).catch((cause) => fail(path, expected, cause)));
  } finally {
    await handle.close();
  }
}

async function writeFolder<T>(path: string, target: string, body: (write: WriteInside) => Promise<T>): Promise<T> {
  const existing = await fs.stat(target).catch(() => undefined);
  const refuse = (cause: NodeJS.ErrnoException) => fail(path, 'a folder that can be written', cause);
  const parent = (file: string) => makeFolder(dirname(file)).catch(refuse);
  if (existing && !existing.isDirectory()) refuse(Object.assign(new Error(), { code: 'EEXIST' }));
  // Inside a folder that is there, else beside the new one: on the same disk, so that the end is a rename.
  const temporary = existing ? join(target, `.${process.pid}.tmp`) : `${target}.${process.pid}.tmp`;
  return orRemove(temporary, async () => {
    await makeFolder(temporary).catch(refuse);
    const names = new Set<string>();
    const result = await body(async (name, data) => {
      await parent(join(temporary, name));
      await write(`${path}/${name}`, join(temporary, name), (append) => append(data));
      names.add(name);
    });
    if (!existing) await fs.rename(temporary, target).catch(refuse);
    for (const name of existing ? names : []) {
      await parent(join(target, name));
      await fs.rename(join(temporary, name), join(target, name)).catch(refuse);
    }
    await fs.rm(temporary, { recursive: true, force: true });
    return result;
  });
}

async function holdFolder(path: string, target: string): Promise<() => Promise<void>> {
  const refuse = (cause: NodeJS.ErrnoException) => fail(path, 'a folder that can be written', cause);
  const made = await makeFolder(target).catch(refuse);
  const takeBack = async () => {
    for (const folder of made.reverse()) await fs.rmdir(folder).catch(() => {}); // something is in it
  };
  const lock = join(target, '.bertscript.lock');
  const own = `${process.pid} ${await startOf(process.pid)}`;
  const take = () =>
    fs.writeFile(lock, own, { flag: 'wx' }).then(
      () => true,
      (cause: NodeJS.ErrnoException) => (cause.code === 'EEXIST' ? false : refuse(cause)),
    );
  try {
    while (!(await take())) {
      const holder = await textOf(lock).catch(refuse);
      if (holder !== undefined && (await isRunning(holder))) {
        const got = `one that process ${holder.split(' ')[0]} is writing`;
        const fix = 'wait until that is done, or pass another folder';
        throw new FileError({ what: path, expected: 'a folder that can be written', got, fix });
      }
      if (holder !== undefined) await removeLock(lock, holder).catch(refuse);
    }
  } catch (error) {
    await takeBack();
    throw error;
  }
  return async () => {
    await fs.rm(lock, { force: true });
    await takeBack();
  };
}

/** Undefined when there is no such file. */
async function textOf(path: string): Promise<string | undefined> {
  return fs.readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined;
    throw cause;
  });
}

/** Removes the lock of a process that is gone: aside first, as another one may have put its own there by now. */
async function removeLock(lock: string, holder: string): Promise<void> {
  const aside = `${lock}.${process.pid}`;
  await fs.rename(lock, aside).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw cause;
  });
  const moved = await textOf(aside);
  if (moved !== undefined && moved !== holder) await fs.link(aside, lock);
  await fs.rm(aside, { force: true });
}

/** @param holder number and start of a process */
async function isRunning(holder: string): Promise<boolean> {
  const [pid, start] = holder.split(' ');
  if (!/^[1-9]\d*$/.test(pid)) return false; // killed before it wrote
  try {
    process.kill(Number(pid), 0); // asks only
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return (await startOf(Number(pid))) === start;
}

/** When a process started, where that can be known: numbers of processes are used again. */
async function startOf(pid: number): Promise<string> {
  const stat = await fs.readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return state === 'Z' ? 'ended' : (fields[18] ?? '');
}

/**
 * Makes a folder, and those above it. Node's own `recursive` never ends where there is a folder in which none can be made,
 * as /proc.
 *
 * @returns those that were not there, the outermost first
 */
async function makeFolder(target: string): Promise<string[]> {
  const isFolder = () => fs.stat(target).then((found) => found.isDirectory());
  const isThere = await isFolder().catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return false;
    throw cause;
  });
  if (isThere) return [];
  const above = dirname(target) === target ? [] : await makeFolder(dirname(target));
  try {
    await fs.mkdir(target);
  } catch (cause) {
    if (await isFolder().catch(() => false)) return above; // somebody else was faster
    throw cause;
  }
  return [...above, target];
}

/** Removes a file or folder when what makes it fails, or is interrupted. */
async function orRemove<T>(temporary: string, make: () => Promise<T>): Promise<T> {
  const remove = () => {
    try {
      rmSync(temporary, { recursive: true, force: true });
    } catch {
      // where nothing could be made, as under a file, nothing is left either
    }
  };
  const interrupted = (signal: NodeJS.Signals) => {
    if (waiting.size > 0) return; // a training ends in its own way, and this write with it
    remove();
    process.exit(signal === 'SIGINT' ? 130 : 143); // what the shell would have said
  };
  for (const signal of SIGNALS) process.prependListener(signal, interrupted); // before those that wait are called
  try {
    return await make();
  } catch (error) {
    remove();
    throw error;
  } finally {
    for (const signal of SIGNALS) process.off(signal, interrupted);
  }
}

/** Links followed, also one to a file that is yet to be made. */
async function realPath(path: string): Promise<string> {
  const beyond = async () => resolve(dirname(path), await fs.readlink(path));
  return fs.realpath(path).catch(() => beyond().catch(() => path));
}

function fault(path: string, expected: string, cause: NodeJS.ErrnoException): FileError {
  return new FileError({ what: path, expected, got: REASONS[cause.code ?? ''] ?? cause.code ?? cause.message, cause });
}

function fail(path: string, expected: string, cause: NodeJS.ErrnoException): never {
  throw fault(path, expected, cause);
}

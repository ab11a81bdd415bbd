import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { nodeFiles } from '../../src/cli/nodeIo.ts';
import { temporaryFolder } from './harness.ts';

const folder = await temporaryFolder();
const io = nodeFiles(folder);

describe('writeFolder', () => {
  const write = (path: string) => io.writeFolder(path, (inside) => inside('a/b.txt', 'text'));

  test('makes the folders above', async () => {
    await write('new/deep');
    expect(await readdir(join(folder, 'new/deep/a'))).toEqual(['b.txt']);
  });

  test.runIf(existsSync('/proc/self'))('refuses a place where no folder can be made, and does not wait', async () => {
    await expect(write('/proc/nope')).rejects.toThrow('/proc/nope: expected a folder that can be written');
    await expect(write('/proc/nope/deep')).rejects.toThrow('/proc/nope/deep: expected a folder that can be written');
  });

  test('refuses a place under a file', async () => {
    await writeFile(join(folder, 'file'), '');
    await expect(write('file/deep')).rejects.toThrow('got a file where a folder should be');
    await expect(write('file')).rejects.toThrow('got a file of that name');
  });
});

describe('holdFolder', () => {
  const lock = join(folder, 'held/.bertscript.lock');

  test('keeps others out until it is released, and leaves nothing', async () => {
    const release = await io.holdFolder('held/deep');
    await expect(io.holdFolder('held/deep')).rejects.toThrow(`got one that process ${process.pid} is writing`);
    await release();
    expect(existsSync(join(folder, 'held'))).toBe(false);
  });

  test('keeps what is in the folder', async () => {
    const release = await io.holdFolder('held');
    await writeFile(join(folder, 'held/file'), '');
    await release();
    expect(await readdir(join(folder, 'held'))).toEqual(['file']);
  });

  test('of a process that was killed, keeps nobody out: gone, its number used again, or killed before it wrote', async () => {
    await mkdir(join(folder, 'held'), { recursive: true });
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    const reused = existsSync('/proc/self/stat') ? [`${process.ppid} 1`] : []; // no such process began at that moment
    for (const holder of [`${child.pid} 5`, ...reused, '']) {
      await writeFile(lock, holder);
      const release = await io.holdFolder('held');
      expect(await readFile(lock, 'utf8')).toMatch(new RegExp(`^${process.pid} `));
      await release();
    }
    expect((await readdir(join(folder, 'held'))).filter((name) => name.startsWith('.'))).toEqual([]);
  });
});

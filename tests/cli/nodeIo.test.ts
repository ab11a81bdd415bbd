import { existsSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
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

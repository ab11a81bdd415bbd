import { mkdtemp, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { FolderFiles, openFiles, readText } from '../../src/hub/index.ts';
import { refusal } from './refusal.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hub ü '));
  await mkdir(join(folder, '1_Pooling'));
  await mkdir(join(folder, 'blobs'));
  await writeFile(join(folder, 'config.json'), '{}');
  await writeFile(join(folder, 'empty'), '');
  await writeFile(join(folder, '1_Pooling', 'config.json'), '{"pooling":1}');
  await writeFile(join(folder, 'blobs', 'abc'), 'weights');
  // So does Python's cache keep its files.
  await symlink(join('blobs', 'abc'), join(folder, 'model.safetensors'));
});

afterAll(() => rm(folder, { recursive: true }));

describe('a folder', () => {
  test('gives its files, those in folders of it, and through links', async () => {
    const files = new FolderFiles(folder);
    expect(await readText(files, 'config.json')).toBe('{}');
    expect(await readText(files, '1_Pooling/config.json')).toBe('{"pooling":1}');
    expect(await readText(files, 'model.safetensors')).toBe('weights');
    expect(await files.read('empty')).toEqual(new Uint8Array());
  });

  test('gives memory that belongs to the caller alone', async () => {
    const bytes = await new FolderFiles(folder).read('config.json');
    expect(bytes?.constructor).toBe(Uint8Array);
    expect(bytes?.buffer.byteLength).toBe(2);
  });

  test('may be named with a slash at its end, or by a URL', async () => {
    for (const location of [`${folder}/`, pathToFileURL(folder), String(pathToFileURL(folder))]) {
      const files = openFiles(location);
      expect(files).toBeInstanceOf(FolderFiles);
      expect(files.location).toBe(folder);
      expect(await readText(files, 'config.json')).toBe('{}');
    }
  });

  test('answers undefined for a file it has not', async () => {
    expect(await new FolderFiles(folder).read('vocab.txt')).toBeUndefined();
    expect(await new FolderFiles(folder).read('2_Dense/config.json')).toBeUndefined();
    expect(await new FolderFiles(folder).read('config.json/x')).toBeUndefined();
  });
});

describe('a folder is refused', () => {
  test('when it does not exist', async () => {
    expect(await refusal(() => openFiles(`${folder}/no`).read('config.json'))).toBe(
      `FileError: ${folder}/no: expected a folder with a model, got no such folder; pass an existing folder (Hub ids are not looked up in this version)`,
    );
  });

  test('when it is a file', async () => {
    expect(await refusal(() => openFiles(`${folder}/config.json`).read('config.json'))).toBe(
      `FileError: ${folder}/config.json: expected a folder with a model, got a file; pass the folder that holds it`,
    );
  });

  test('when a folder is read as a file', async () => {
    expect(await refusal(() => openFiles(folder).read('1_Pooling'))).toBe(
      `FileError: ${folder}/1_Pooling: expected a file, got a folder or device`,
    );
  });

  test('when a file cannot be opened', async () => {
    expect(await refusal(() => openFiles(folder).read('x'.repeat(300)))).toBe(
      `FileError: ${folder}/${'x'.repeat(300)}: expected a readable file, got ENAMETOOLONG`,
    );
  });

  test('when the location is empty', async () => {
    expect(await refusal(() => openFiles(''))).toBe(
      'FileError: model location: expected a folder or an address, got an empty string',
    );
  });

  test.each([undefined, null, 5, {}, ['a']])('when the location is %j', async (location) => {
    expect(await refusal(() => openFiles(location as unknown as string))).toMatch(
      /^FileError: model location: expected a folder or an address, got (undefined|null|5|\{\}|\["a"\])$/,
    );
  });

  test('where there is no file system, as in a browser', async () => {
    vi.stubGlobal('process', undefined);
    const message = await refusal(() => new FolderFiles('model'));
    const inBrowser = openFiles('models/minilm');
    vi.unstubAllGlobals();
    expect(message).toBe(
      'FileError: model: expected a runtime with a file system, got none; pass an http(s) address or MemoryFiles; in Node, use 20.16 or later',
    );
    expect(inBrowser.constructor.name).toBe('UrlFiles');
    expect(inBrowser.location).toBe('models/minilm');
  });
});

describe('a path that leads out of the model', () => {
  const escapes = [
    '',
    '.',
    '..',
    '../x',
    'a/../../x',
    'a/./b',
    '/etc/passwd',
    'a//b',
    'a/',
    '..\\x',
    'C:/x',
    'file:x',
    'a\0b',
  ];
  test.each(escapes)('%j is refused', async (path) => {
    expect(await refusal(() => openFiles(folder).read(path))).toBe(
      `FileError: path ${JSON.stringify(path)}: expected a relative path inside the model, such as "1_Pooling/config.json"; correct the file that names this path`,
    );
  });

  test('dots within a name are fine', async () => {
    expect(await openFiles(folder).read('..a..b')).toBeUndefined();
  });
});

import { describe, expect, test } from 'vitest';
import {
  filesBelow,
  MemoryFiles,
  openFiles,
  readJson,
  readObject,
  readObjectIfAny,
  readText,
} from '../../src/hub/index.ts';
import { refusal } from './refusal.ts';

describe('memory', () => {
  test('holds bytes, text and blobs, in a record or a map', async () => {
    const content = { 'a.bin': Uint8Array.of(1, 2), 'b.txt': 'ü', 'sub/c': new Blob(['blob']) };
    for (const files of [new MemoryFiles(content), new MemoryFiles(new Map(Object.entries(content)))]) {
      expect(await files.read('a.bin')).toEqual(Uint8Array.of(1, 2));
      expect(await files.read('b.txt')).toEqual(Uint8Array.of(0xc3, 0xbc));
      expect(await readText(files, 'sub/c')).toBe('blob');
      expect(await files.read('d')).toBeUndefined();
      expect(await files.read('constructor')).toBeUndefined();
    }
  });

  test('is opened as it is', () => {
    const files = new MemoryFiles({});
    expect(openFiles(files)).toBe(files);
  });
});

describe('the files of a folder inside a model', () => {
  test('are read by their names there, whole or in pieces', async () => {
    const model = new MemoryFiles({ '1/a': 'one', a: 'zero' });
    const below = filesBelow(model, '1');
    expect(await readText(below, 'a')).toBe('one');
    expect(await below.read('b')).toBeUndefined();
    expect([below.location, below.stream]).toEqual(['memory/1', undefined]);
    expect(filesBelow(model, '')).toBe(model);
    const stream = async () => undefined;
    expect('stream' in filesBelow({ location: 'x', read: stream, stream }, '1')).toBe(true);
  });

  test.each(['..', '/etc', 'a//b', 'a\\b'])('are not those of %j', async (folder) => {
    const source = { location: 'x', read: async () => new Uint8Array(0) };
    expect(await refusal(async () => filesBelow(source, folder).read('a'))).toMatch(/^FileError: path /);
  });
});

describe('text', () => {
  test('loses its byte order mark and nothing else', async () => {
    const files = new MemoryFiles({ bom: '\ufeffa\r\n', plain: ' a\ufeff' });
    expect(await readText(files, 'bom')).toBe('a\r\n');
    expect(await readText(files, 'plain')).toBe(' a\ufeff');
    expect(await readText(files, 'none')).toBeUndefined();
  });

  test('that is not UTF-8 is refused', async () => {
    const files = new MemoryFiles({ 'vocab.txt': Uint8Array.of(0x66, 0xfc, 0x72) });
    expect(await refusal(() => readText(files, 'vocab.txt'))).toBe(
      'FileError: memory/vocab.txt: expected text in UTF-8, got bytes that are not UTF-8; download the file again or convert it to UTF-8',
    );
  });
});

describe('JSON', () => {
  test('that is nested deeper than the stack is refused like any other', async () => {
    const deep = '['.repeat(100_000) + ']'.repeat(100_000);
    const files = new MemoryFiles({ 'config.json': deep });
    expect(await refusal(() => readObject(files, 'config.json', 'a config'))).toBe(
      'ConfigError: memory/config.json: expected a JSON object, got [...]',
    );
  });

  test('that need not be there is an object if it is', async () => {
    const files = new MemoryFiles({ object: '{"a":1}', list: '[]', number: '3' });
    expect(await readObjectIfAny(files, 'object')).toEqual({ a: 1 });
    expect(await readObjectIfAny(files, 'none')).toBeUndefined();
    for (const path of ['list', 'number']) {
      expect(await refusal(() => readObjectIfAny(files, path))).toContain(`memory/${path}: expected a JSON object`);
    }
  });

  test('may have a byte order mark, and be any value', async () => {
    const files = new MemoryFiles({ object: '\ufeff{"a":[1]}', null: 'null' });
    expect(await readJson(files, 'object')).toEqual({ a: [1] });
    expect(await readJson(files, 'null')).toBeNull();
    expect(await readJson(files, 'none')).toBeUndefined();
  });

  test.each([
    ['', 'an empty file; download the file again'],
    [' \n', 'an empty file; download the file again'],
    ['<!DOCTYPE html><p>404', 'an HTML page; download the file itself, not the page about it'],
    ['version https://git-lfs.github.com/spec/v1\n', 'a Git LFS pointer; run "git lfs pull" in the folder'],
  ])('%j is refused', async (text, got) => {
    const message = await refusal(() => readJson(new MemoryFiles({ 'config.json': text }), 'config.json'));
    expect(message).toBe(`ConfigError: memory/config.json: expected JSON, got ${got}`);
  });

  test.each(['{', '{"a":1,}', '{"a":NaN}', "{'a':1}", '{"a":1}\n\n{"b":2}'])(
    '%j is refused, with where',
    async (text) => {
      const message = await refusal(() => readJson(new MemoryFiles({ 'config.json': text }), 'config.json'));
      expect(message).toMatch(
        /^ConfigError: memory\/config.json: expected JSON, got broken JSON \(.+\); correct the file or download it again$/,
      );
      expect(message).not.toContain('\n');
    },
  );
});

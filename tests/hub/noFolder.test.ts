import { describe, expect, it } from 'vitest';
import { FileError } from '../../src/errors.ts';
import * as folder from '../../src/hub/folder.ts';
import * as noFolder from '../../src/hub/noFolder.ts';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../support/paths.ts';

describe('what bundles for browsers have in the place of folders', () => {
  it('has the same names', () => {
    expect(Object.keys(noFolder).sort()).toEqual(Object.keys(folder).sort());
  });

  it('is named by package.json', () => {
    const { browser } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { browser: unknown };
    expect(browser).toEqual({ './dist/hub/folder.js': './dist/hub/noFolder.js' });
  });

  it('refuses', () => {
    expect(noFolder.hasFolders()).toBe(false);
    expect(() => new noFolder.FolderFiles('models/mini')).toThrow(FileError);
    expect(() => new noFolder.FolderFiles('models/mini')).toThrow(
      'models/mini: expected a runtime with a file system, got a bundle for browsers; ' +
        'pass an http(s) address or MemoryFiles; bundle for Node to read folders',
    );
  });
});

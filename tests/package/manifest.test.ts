import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from '../support/paths.ts';

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  dependencies?: unknown;
  peerDependencies?: unknown;
  optionalDependencies?: unknown;
  bundledDependencies?: unknown;
  type: string;
  sideEffects: boolean;
  types: string;
  bin: Record<string, string>;
  exports: Record<string, string | { types: string; node: string; default: string }>;
};

/** The source that a built file is made of. */
const sourceOf = (built: string) => built.replace('./dist/', 'src/').replace(/\.js$/, '.ts');

describe('package.json', () => {
  it('has no dependencies of any kind', () => {
    const { dependencies, peerDependencies, optionalDependencies, bundledDependencies } = manifest;
    expect([dependencies, peerDependencies, optionalDependencies, bundledDependencies]).toEqual(
      Array(4).fill(undefined),
    );
  });

  it('is an ES module without side effects', () => {
    expect([manifest.type, manifest.sideEffects]).toEqual(['module', false]);
  });

  const entries = Object.entries(manifest.exports).filter(([name]) => name !== './package.json');

  it.each(entries)('exports %s from a source that exists, with its types', (_, entry) => {
    const { types, node, default: built } = entry as { types: string; node: string; default: string };
    expect(Object.keys(entry)).toEqual(['types', 'node', 'default']); // the first that holds is taken
    expect(built).toMatch(/^\.\/dist\/.*\.js$/);
    expect(node).toBe(built.replace('./dist/', './dist/node/'));
    expect(types).toBe(built.replace(/\.js$/, '.d.ts'));
    expect(existsSync(join(root, sourceOf(built)))).toBe(true);
  });

  it('has its command and its main types', () => {
    for (const built of Object.values(manifest.bin)) expect(existsSync(join(root, sourceOf(built)))).toBe(true);
    expect(manifest.types).toBe((manifest.exports['.'] as { types: string }).types);
  });

  it('exports every folder of src that is a library by itself', () => {
    const names = entries.map(([name]) => name);
    for (const folder of ['tensor', 'layers', 'bert', 'tokenizer', 'safetensors', 'hub', 'tasks', 'parity']) {
      expect(names).toContain(`./${folder}`);
    }
    expect(names).toContain('./embed');
  });
});

describe('importing the library', () => {
  it('touches nothing: no global is added or changed', async () => {
    const globals = () => Object.entries(Object.getOwnPropertyDescriptors(globalThis));
    const before = new Map(globals().map(([name, { value }]) => [name, value as unknown]));
    const library = await import('../../src/index.ts');
    const changed = globals().filter(([name, { value }]) => !before.has(name) || !Object.is(before.get(name), value));
    expect(changed.map(([name]) => name)).toEqual([]);
    expect(Object.keys(library)).toEqual(
      expect.arrayContaining(['BertModel', 'BertConfig', 'BertTokenizer', 'Engine']),
    );
  });
});

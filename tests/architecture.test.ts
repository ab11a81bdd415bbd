import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { describe, expect, it } from 'vitest';
import { codeLines } from '../tools/size.mjs';
import { importFaults, importsOf } from './support/imports.ts';
import { root } from './support/paths.ts';

const sources = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
  .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
  .sort();
const read = (path: string) => readFileSync(join(root, path), 'utf8');

describe('who may import whom', () => {
  it('holds for every file', () => {
    expect(sources.length).toBeGreaterThan(50);
    expect(sources.flatMap((path) => importFaults(path, read(path)))).toEqual([]);
  });

  const faults: [path: string, text: string, fault: string][] = [
    [
      'src/errors.ts',
      "import { x } from './tensor/index.ts';",
      'imports src/tensor/index.ts, which this folder may not',
    ],
    ['src/tensor/tensor.ts', "import { x } from '../layers/index.ts';", 'imports src/layers/index.ts, which this'],
    ['src/tensor/kernels/a.ts', "import { x } from '../shape.ts';", 'kernels know arrays and sizes, nothing else'],
    ['src/layers/a.ts', "import type { X } from '../bert/index.ts';", 'imports src/bert/index.ts, which this'],
    ['src/layers/a.ts', "import { x } from '../tensor/ops/linear.ts';", "rather than the folder's index.ts"],
    ['src/safetensors/a.ts', "export * from '../hub/index.ts';", 'imports src/hub/index.ts, which this'],
    ['src/bert/a.ts', "const x = await import('../tasks/index.ts');", 'imports src/tasks/index.ts, which this'],
    ['src/bert/a.ts', "type X = import('../tokenizer/index.ts').X;", 'imports src/tokenizer/index.ts, which this'],
    ['src/tokenizer/a.ts', "import { x } from '../tensor/index.ts';", 'imports src/tensor/index.ts, which this'],
    ['src/training/a.ts', "import { x } from '../bert/index.ts';", 'imports src/bert/index.ts, which this'],
    ['src/tasks/a.ts', "import { x } from '../cli/main.ts';", 'imports src/cli/main.ts, which this'],
    ['src/tasks/a.ts', "import { readFileSync } from 'node:fs';", 'imports node:fs, which only src/cli/bin.ts,'],
    ['src/hub/folder.ts', "import fs from 'node:fs/promises';", 'imports node:fs/promises, which only'],
    ['src/hub/url.ts', "import type fs from 'node:fs';", 'imports node:fs, which only'],
    ['src/tensor/a.ts', "import 'fs';", 'imports fs, a package or a computed name'],
    ['src/bert/a.ts', "import { Command } from 'commander';", 'imports commander, a package or a computed name'],
    ['src/cli/a.ts', "import chalk from 'chalk';", 'imports chalk, a package or a computed name'],
    ['src/bert/a.ts', 'await import(name);', 'imports (computed) name, a package or a computed name'],
    ['src/bert/a.ts', "import { x } from './config';", 'imports ./config without its ending, .ts'],
    ['src/cli/a.ts', "import { x } from '../../tools/size.ts';", 'imports tools/size.ts, outside src'],
    ['src/novelty/a.ts', '', 'no rule says what it may import'],
  ];
  it.each(faults)('is broken in %s by %s', (path, text, fault) => {
    expect(importFaults(path, `// a comment\n${text}`)).toEqual([expect.stringContaining(fault)]);
  });

  it('lets pass what is allowed', () => {
    const allowed: [path: string, text: string][] = [
      ['src/tensor/ops/a.ts', "import { x } from '../engine.ts'; import { E } from '../../errors.ts';"],
      ['src/bert/a.ts', "import { x } from '../hub/index.ts'; export * from './config.ts';"],
      ['src/training/recipes/a.ts', "import { x } from '../../bert/index.ts'; import { y } from '../trainer.ts';"],
      ['src/hub/folder.ts', "import type fs from 'node:fs';"],
      ['src/cli/nodeIo.ts', "import fs from 'node:fs';"],
      ['src/cli/a.ts', "import { Command } from 'commander'; import { parse } from 'csv-parse/browser/esm/sync';"],
      ['src/layers/a.ts', "/** import { x } from 'react'; */ const text = \"import 'react'\";"],
    ];
    for (const [path, text] of allowed) expect(importFaults(path, text)).toEqual([]);
  });

  it('is read from every form of import', () => {
    const text =
      "import a from 'a';\nimport type b from 'b';\nexport * from 'c';\nexport type { d } from 'd';\nimport 'e';\nimport('f');";
    expect(importsOf(text).map(({ specifier, typeOnly, line }) => `${line}${specifier}${typeOnly ? '?' : ''}`)).toEqual(
      ['1a', '2b?', '3c', '4d?', '5e', '6f'],
    );
  });
});

describe('sizes', () => {
  it('count lines with code, not comments or blank lines', () => {
    const text = [
      '/** A comment', //           no
      ' * of three lines.', //      no
      ' */', //                     no
      'export function f(', //      1
      '  x: number, // trailing', // 2
      '): number {', //             3
      '', //                        no
      '  // a line of comment', //  no
      '  return x; /* and', //      4
      '  more of it */', //         no
      '}', //                       5
      'const text = `a', //         6
      '// not a comment`;', //      7
      'const pattern = /\\/\\*/;', // 8
    ];
    expect(codeLines(text.join('\n'))).toBe(8);
    expect(codeLines('')).toBe(0);
  });

  const size = (...options: string[]) =>
    spawnSync(process.execPath, ['tools/size.mjs', ...options], { cwd: root, encoding: 'utf8' });

  it('are printed per folder, within limits that are wide enough', () => {
    const { status, stdout, stderr } = size(
      '--lines',
      '99999',
      '--file-lines',
      '9999',
      '--kilobytes',
      '9999',
      '--embed-kilobytes',
      '9999',
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^\* src\/bert +\d+ files +\d+ lines$/m);
    expect(stdout).toMatch(/^\* to be read in an afternoon: \d+ lines of 99999$/m);
  });

  it('over a limit are an error', () => {
    const { status, stderr } = size(
      '--lines',
      '10',
      '--file-lines',
      '100',
      '--kilobytes',
      '1',
      '--embed-kilobytes',
      '1',
    );
    expect(status).toBe(1);
    expect(stderr).toMatch(/^over budget: \d+ code lines in src\/tensor\/kernels, .*, at most 10$/m);
    expect(stderr).toMatch(/^over budget: src\/\S+: \d+ code lines, at most 100$/m);
    expect(stderr).toMatch(/^over budget: bundle of src\/index.ts: [\d.]+ kB gzip, at most 1$/m);
    expect(stderr).toMatch(/^over budget: bundle of src\/embed.ts: [\d.]+ kB gzip, at most 1$/m);
  });
});

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { commands } from '../../src/cli/commands/index.ts';
import type { Io } from '../../src/cli/io.ts';
import { root, run, temporaryFolder } from './harness.ts';

// What the README shows is what there is.
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const folder = await temporaryFolder();

/** The content of the first block of code that holds a text. */
function blockWith(text: string): string {
  const block = readme.split(/^```\w*\n/m).find((part) => part.includes(text));
  if (block === undefined) throw new Error(`README.md has no block with ${text}`);
  return block;
}

test('its table is what the demo prints', async () => {
  const { stdout } = await run(['demo'], { folder, shippedModel: join(root, 'weights/all-MiniLM-L6-v2') });
  const cells = (table: string) =>
    table
      .split('\n')
      .filter((line) => /^\d [A-Z]/.test(line))
      .slice(0, 8)
      .map((line) => ({
        text: line.slice(0, 30),
        scores: line
          .slice(30)
          .match(/-?\d?\.\d+/g)!
          .map(Number),
      }));
  const [shown, printed] = [cells(blockWith('A cat sleeps')), cells(stdout)];
  expect(shown.map(({ text }) => text)).toEqual(printed.map(({ text }) => text));
  expect(shown.map(({ scores }) => scores.length)).toEqual(Array(8).fill(8));
  shown.forEach(({ scores }, a) => {
    // Other arithmetic may turn the fourth digit, and by that the second.
    scores.forEach((score, b) => expect(Math.abs(score - printed[a].scores[b])).toBeLessThan(0.011));
  });
});

test('its ten lines run, and print what they say', async () => {
  const snippet = blockWith("from 'bertscript'");
  const source = pathToFileURL(join(root, 'src/index.ts')).href;
  const file = join(folder, 'snippet.mts');
  await writeFile(file, snippet.split('```')[0].replace("'bertscript'", `'${source}'`));
  const { stdout } = await promisify(execFile)(join(root, 'node_modules/.bin/tsx'), [file], { cwd: root });
  const [first, shapes] = stdout.trim().split('\n');
  expect(first).toMatch(/^0\.\d+ 9 false$/);
  expect(first.slice(0, 4)).toBe(/\/\/ (0\.\d\d) 9 false/.exec(snippet)![1]);
  expect(shapes.replace(/ +/g, ' ')).toBe('[ 10, 384 ] [ 2, 5, 384 ]');
});

test('its commands are those there are', () => {
  const listed = blockless()
    .match(/^\| (`[^|]+)\|/gm)!
    .join(' ');
  for (const command of commands) expect(listed).toMatch(new RegExp(`\`${command({} as Io).name()}\\b`));
});

/** The text without its blocks of code. */
function blockless(): string {
  return readme.replace(/^```[^]*?^```/gm, '');
}

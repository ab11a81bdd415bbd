import { describe, expect, test } from 'vitest';
import { clean, displayWidth, escapeControls, fit } from '../../src/cli/display.ts';
import { shadedMatrix, shortScore } from '../../src/cli/matrix.ts';
import type { Io } from '../../src/cli/io.ts';
import { megabytes, table } from '../../src/cli/output.ts';

test.each([
  ['cat', 3],
  ['猫がいる', 8],
  ['한국어', 6],
  ['😺', 2],
  ['👨‍👩‍👧', 2],
  ['e\u0301', 1],
  ['❤️', 2],
  ['ｆｕｌｌ', 8],
])('%s takes %i columns', (text, width) => expect(displayWidth(text)).toBe(width));

test('fit fills or cuts, by columns and whole characters', () => {
  expect(fit('cat', 5)).toBe('cat  ');
  expect(fit('cat', 5, true)).toBe('  cat');
  expect(fit('a cat sat', 5)).toBe('a ca…');
  expect(fit('猫がいる', 6)).toBe('猫が… ');
  expect(fit('cafe\u0301s', 5)).toBe('cafe\u0301s');
});

test('texts cannot steer the terminal', () => {
  expect(clean('a\nb\x1b[31mc\u202ed')).toBe('a b [31mc d');
  expect(escapeControls('a\x1b[31m\x07\u202eb')).toBe('a\\u001b[31m\\u0007\\u202eb');
});

test.each([true, false])('a matrix can show that a score is no number (terminal: %s)', (isTTY) => {
  const io = { stdout: { isTTY, columns: 80 }, env: {} } as unknown as Io;
  expect(shadedMatrix(['a', 'b'], (a, b) => (a === b ? 1 : NaN), io)!.match(/NaN/g)).toHaveLength(2);
});

test('tables align by display width, numbers to the right', () => {
  const output = { isTTY: false, columns: 80, write: async () => {} };
  expect(table(['n', 'text'], [[1, '猫'], [10, 'cat\n']], output)).toBe(' n  text\n 1  猫\n10  cat\n'); // prettier-ignore
  expect(table(['n', 'text'], [[1, 'a long text']], { ...output, isTTY: true, columns: 13 })).toBe(
    'n  text\n1  a long te…\n',
  );
});

describe('numbers', () => {
  test.each([
    [1, '1.0'],
    [0.9951, '1.0'],
    [0.437, '.44'],
    [0, '.00'],
    [-0.001, '.00'],
    [-0.05, '-.05'],
    [-1, '-1.00'],
  ])('score %d', (score, text) => expect(shortScore(score)).toBe(text));

  test('sizes', () => expect([12, 1234567, 2.5e9].map(megabytes)).toEqual(['0.0 kB', '1.2 MB', '2.50 GB']));
});

/** The table against a search without one, on entries so many and short that their hashes share places. */
import { describe, expect, test } from 'vitest';
import { TokenTable } from '../../src/tokenizer/tokenTable.ts';

const ALPHABET = ['a', 'b', 'c', 'é', 'я', '中', '\u{1f600}'];

/** All strings of up to five letters, every third of them, in two parts: entries, and others. */
const strings = allStrings(5).filter((_, i) => i % 3 === 0);
const entries = new Map(strings.map((text, i) => [text, i]));

describe('longestPrefix', () => {
  test('finds the longest entry, and where it ends', () => {
    expect(wrongAnswers(new TokenTable(entries))).toBe(0);
  });

  test('finds other ones when a single entry is missing', () => {
    const fewer = new Map(entries);
    fewer.delete('cé');
    expect(entries.size - fewer.size).toBe(1);
    expect(wrongAnswers(new TokenTable(fewer))).toBeGreaterThan(0);
  });

  test('finds nothing in an empty table, nor before the end of the text', () => {
    const codes = codesOf('cé');
    expect(new TokenTable(new Map()).longestPrefix(codes, 0, 2)).toBe(-1);
    expect(new TokenTable(new Map([['céa', 7]])).longestPrefix(codes, 0, 2)).toBe(-1);
  });
});

/** On every text of six letters, of 7^6 every eleventh. */
function wrongAnswers(table: TokenTable): number {
  let wrong = 0;
  for (let number = 0; number < ALPHABET.length ** 6; number += 11) {
    const letters = Array.from({ length: 6 }, (_, i) => ALPHABET[Math.floor(number / ALPHABET.length ** i) % 7]);
    const codes = codesOf(letters.join(''));
    let length = 5;
    while (length > 0 && !entries.has(letters.slice(0, length).join(''))) length--;
    const id = table.longestPrefix(codes, 0, 6);
    const expected = length > 0 ? entries.get(letters.slice(0, length).join('')) : -1;
    if (id !== expected || (length > 0 && table.matchEnd !== length)) wrong++;
  }
  return wrong;
}

function allStrings(longest: number): string[] {
  let level = [''];
  const all: string[] = [];
  for (let length = 1; length <= longest; length++) {
    level = level.flatMap((text) => ALPHABET.map((letter) => text + letter));
    all.push(...level);
  }
  return all;
}

function codesOf(text: string): Int32Array {
  return Int32Array.from(text, (character) => character.codePointAt(0)!);
}

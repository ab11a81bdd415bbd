/** Every code point against the Rust tokenizers: a digest of ids and offsets for each 4096 of them. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { BertTokenizer, oracleVersion } from '../../src/tokenizer/index.ts';
import { CHINESE, unicode, WORD_CHARACTER } from '../../src/tokenizer/unicode.ts';
import { readFixture, tokenizerJson } from './support.ts';

const { oracle, characters, configs } = readFixture<{
  oracle: string;
  characters: string;
  configs: Record<string, { normalizer: Record<string, unknown>; hashes: string }>;
}>('digests.json');

const CHUNK = 0x1000;

/** A tokenizer that knows every character which a normalizer makes of another. */
function characterTokenizer(normalizer: Record<string, unknown>): BertTokenizer {
  const json = tokenizerJson();
  const tokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'b', '##a', '##b', ...characters];
  for (const character of characters) tokens.push('##' + character);
  return BertTokenizer.fromJSON({
    ...json,
    normalizer: { ...json.normalizer, ...normalizer },
    post_processor: null,
    model: { ...json.model, vocab: Object.fromEntries(tokens.map((token, id) => [token, id])) },
  });
}

function digest(tokenizer: BertTokenizer, first: number): string {
  const hash = createHash('sha256');
  for (let start = first; start < first + CHUNK; start += 64) {
    let text = '';
    for (let code = start; code < start + 64; code++) {
      const isSurrogate = code >= 0xd800 && code <= 0xdfff;
      if (!isSurrogate) text += `a${String.fromCodePoint(code)}b ${String.fromCodePoint(code)} `;
    }
    const encoding = tokenizer.encode(text);
    hash.update(encoding.inputIds);
    hash.update(Int32Array.from(encoding.codePointOffsets.flat()));
  }
  return hash.digest('hex').slice(0, 8);
}

test('tables and digests come from one oracle', () => {
  expect(oracle).toBe(oracleVersion);
});

describe('all code points', () => {
  test.each(Object.keys(configs))('%s', (name) => {
    const { normalizer, hashes } = configs[name];
    const tokenizer = characterTokenizer(normalizer);
    const wrong = hashes.split(' ').flatMap((expected, index) => {
      const first = index * CHUNK;
      return digest(tokenizer, first) === expected ? [] : [`U+${first.toString(16)}…`];
    });
    expect(wrong).toEqual([]);
  });

  test('one wrong end of a Chinese range is noticed', () => {
    const { normalizer, hashes } = configs['uncased'];
    const { classes } = unicode();
    const first = 0x2b820 - (0x2b820 % CHUNK);
    const expected = hashes.split(' ')[first / CHUNK];
    expect(digest(characterTokenizer(normalizer), first)).toBe(expected);
    classes[0x2b820] ^= CHINESE; // Rust leaves U+2B820 … U+2B91F out
    expect(digest(characterTokenizer(normalizer), first)).not.toBe(expected);
    classes[0x2b820] ^= CHINESE;
  });
});

test('the JavaScript engine, whose Unicode version varies, is asked only for normalization, of code points from a fixed list', () => {
  const folder = new URL('../../src/tokenizer/', import.meta.url);
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  const code = names.map((name) =>
    readFileSync(new URL(name.replaceAll('\\', '/'), folder), 'utf8').replace(/\/\*\*.*?\*\//gs, ''),
  );
  const all = code.join('\n');
  // `'\\s'` in a string names a class of patterns that are not left to JavaScript.
  expect(all).not.toMatch(/\\p\{|\.to(Locale)?(Lower|Upper)Case|localeCompare|\.trim\w*\(|(?<!\\)\\[sw]/);
  expect(all.match(/normalize\('/g)).toHaveLength(1); // in unicode.ts
});

test('word characters are those of the regex crate', () => {
  const inside = [...'aZ09_é中ßİ\u0301\u200d\u20dd‿𐐀'];
  const outside = [...' -.\u00a0\u200b😀²\u{10ffff}'];
  const isOfWord = (character: string) => (unicode().classes[character.codePointAt(0)!] & WORD_CHARACTER) !== 0;
  expect(inside.filter((character) => !isOfWord(character))).toEqual([]);
  expect(outside.filter(isOfWord)).toEqual([]);
});

/** The nasty strings against the Rust tokenizers, by fixtures of tools/tokenizer/goldens.py. */
import { describe, expect, test } from 'vitest';
import { BertTokenizer } from '../../src/tokenizer/index.ts';
import { compact, nasty, readFixture, tokenizerWith, vocabText } from './support.ts';

interface Goldens {
  oracle: string;
  configs: Record<
    string,
    {
      normalizer: Record<string, unknown>;
      encodings: unknown[];
      tokens?: string[];
      decoded?: string[];
      decodedWithoutSpecial?: string[];
    }
  >;
}

const goldens = readFixture<Goldens>('goldens.json');

/** Indices of the nasty strings that come out differently. */
function differences(tokenizer: BertTokenizer, expected: unknown[]): number[] {
  const actual = tokenizer.encodeBatch(nasty).encodings.map((encoding) => JSON.stringify(compact(encoding)));
  return nasty.map((_, index) => index).filter((index) => actual[index] !== JSON.stringify(expected[index]));
}

describe(`as ${goldens.oracle}: ids, offsets in both units, word ids`, () => {
  for (const [name, { normalizer, encodings }] of Object.entries(goldens.configs)) {
    test(name, () => {
      expect(nasty.length).toBeGreaterThan(150);
      const tokenizer = tokenizerWith(normalizer);
      expect(differences(tokenizer, encodings).map((index) => nasty[index])).toEqual([]);
    });
  }

  test('tokens and decoded text', () => {
    const { tokens, decoded, decodedWithoutSpecial } = goldens.configs['uncased'];
    const tokenizer = tokenizerWith();
    const { encodings, inputIds } = tokenizer.encodeBatch(nasty);
    expect(encodings.map((encoding) => encoding.tokens.join(' '))).toEqual(tokens);
    expect(tokenizer.decodeBatch(inputIds)).toEqual(decoded);
    expect(tokenizer.decodeBatch(inputIds, { skipSpecialTokens: true })).toEqual(decodedWithoutSpecial);
  });

  test('a bare vocab.txt gives the same', () => {
    const tokenizer = BertTokenizer.fromVocab(vocabText);
    expect(differences(tokenizer, goldens.configs['uncased'].encodings)).toEqual([]);
    const cased = BertTokenizer.fromVocab(vocabText, { do_lower_case: false, strip_accents: true });
    expect(differences(cased, goldens.configs['cased, accents stripped'].encodings)).toEqual([]);
  });
});

describe('every setting shows in the goldens', () => {
  const names = Object.keys(goldens.configs);
  test.each(names)('%s', (name) => {
    const tokenizer = tokenizerWith(goldens.configs[name].normalizer);
    for (const other of names.filter((candidate) => candidate !== name)) {
      expect(differences(tokenizer, goldens.configs[other].encodings)).not.toEqual([]);
    }
  });
});

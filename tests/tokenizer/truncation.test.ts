import { describe, expect, test } from 'vitest';
import type { EncodeOptions, TextInput } from '../../src/tokenizer/index.ts';
import { keptLengths, windowsOf } from '../../src/tokenizer/truncation.ts';
import { readFixture, refusalOf, tokenizerWith } from './support.ts';

interface Golden {
  text: TextInput;
  options: EncodeOptions;
  expected: null | {
    ids: number[];
    typeIds: number[];
    attentionMask: number[];
    specialTokensMask: number[];
    sequenceIds: (number | null)[];
    windows: number[][];
  };
}

const tokenizer = tokenizerWith();

describe('against the Rust tokenizers', () => {
  const { cases } = readFixture<{ cases: Golden[] }>('truncation.json');

  test(`${cases.length} texts and pairs: strategies, sides, strides, padding, overflow windows`, async () => {
    for (const { text, options, expected } of cases) {
      const label = JSON.stringify({ text, options });
      if (expected === null) {
        await refusalOf(() => tokenizer.encode(text, options));
        continue;
      }
      const encoding = tokenizer.encode(text, options);
      expect([...encoding.inputIds], label).toEqual(expected.ids);
      expect([...encoding.tokenTypeIds], label).toEqual(expected.typeIds);
      expect([...encoding.attentionMask], label).toEqual(expected.attentionMask);
      expect([...encoding.specialTokensMask], label).toEqual(expected.specialTokensMask);
      expect(encoding.sequenceIds, label).toEqual(expected.sequenceIds);
      const windows = encoding.overflowing.map((window) => [...window.inputIds]);
      expect(windows, label).toEqual(expected.windows);
    }
  });
});

describe('lengths kept', () => {
  test('the longer of a pair gives way, then both', () => {
    expect(keptLengths([3, 9], 10, 'longest_first')).toEqual([3, 7]);
    expect(keptLengths([9, 3], 10, 'longest_first')).toEqual([7, 3]);
    expect(keptLengths([9, 8], 11, 'longest_first')).toEqual([6, 5]);
    expect(keptLengths([8, 9], 11, 'longest_first')).toEqual([5, 6]);
    expect(keptLengths([3, 9], 12, 'longest_first')).toEqual([3, 9]);
  });

  test('only one gives way', () => {
    expect(keptLengths([6, 9], 10, 'only_first')).toEqual([1, 9]);
    expect(keptLengths([3, 9], 10, 'only_second')).toEqual([3, 7]);
  });
});

describe('windows', () => {
  test('overlap by the stride and end at the end', () => {
    expect(windowsOf(7, 3, 1, 'right')).toEqual([
      [0, 3],
      [2, 5],
      [4, 7],
    ]);
    expect(windowsOf(7, 3, 0, 'left')).toEqual([
      [4, 7],
      [1, 4],
      [0, 1],
    ]);
  });

  test('cover every token of a long text', () => {
    const text = 'how are you '.repeat(20);
    const whole = tokenizer.encode(text, { addSpecialTokens: false });
    const first = tokenizer.encode(text, { maxLength: 12, stride: 3 });
    const covered = [first, ...first.overflowing].flatMap(({ inputIds }, index) =>
      [...inputIds.subarray(1, -1)].slice(index === 0 ? 0 : 3),
    );
    expect(covered).toEqual([...whole.inputIds]);
  });
});

describe('what an encoding says of itself', () => {
  test('the number of tokens without truncation and padding', () => {
    const whole = tokenizer.encode('how are you today');
    expect(whole.truncated).toBe(false);
    expect(whole.tokenCount).toBe(whole.length);
    const cut = tokenizer.encode('how are you today', { maxLength: 4 });
    expect([cut.length, cut.truncated, cut.tokenCount]).toEqual([4, true, whole.length]);
    const padded = tokenizer.encode('how are you today', { padding: 'max_length', maxLength: 30 });
    expect([padded.length, padded.truncated, padded.tokenCount]).toEqual([30, false, whole.length]);
  });

  test('special tokens keep their place at both ends', () => {
    for (let maxLength = 3; maxLength < 9; maxLength++) {
      for (const truncationSide of ['left', 'right'] as const) {
        const { tokens } = tokenizer.encode(['how are you', 'a b c d e'], { maxLength, truncationSide });
        expect(tokens[0]).toBe('[CLS]');
        expect(tokens.at(-1)).toBe('[SEP]');
        expect(tokens.filter((token) => token === '[SEP]')).toHaveLength(2);
        expect(tokens.length).toBe(maxLength);
      }
    }
  });

  test('the limit counts special tokens: at, below and above it', () => {
    for (const [words, truncated] of [
      [509, false],
      [510, false],
      [511, true],
    ] as const) {
      const encoding = tokenizer.encode(Array(words).fill('a').join(' '), { maxLength: 512 });
      expect([encoding.length, encoding.truncated]).toEqual([Math.min(words + 2, 512), truncated]);
    }
  });
});

describe('when', () => {
  test('nothing is truncated or padded unless asked, whatever tokenizer.json says', () => {
    const { inputIds } = tokenizer.encodeBatch(['a '.repeat(40), 'a']);
    expect(inputIds.map((ids) => ids.length)).toEqual([42, 3]);
  });

  test('maxLength alone truncates; with padding it does not', () => {
    expect(tokenizer.encode('a b c d', { maxLength: 4 }).length).toBe(4);
    expect(tokenizer.encode('a b c d', { maxLength: 4, padding: 'max_length' }).length).toBe(6);
    expect(tokenizer.encode('a b c d', { maxLength: 4, padding: true, truncation: true }).length).toBe(4);
    expect(tokenizer.encode('a b c d', { maxLength: 4, truncation: false }).length).toBe(6);
  });

  test('a batch is padded to its longest', () => {
    const batch = tokenizer.encodeBatch(['a', 'a b c'], { padding: 'longest' });
    expect(batch.inputIds.map((ids) => ids.length)).toEqual([5, 5]);
    expect([...batch.attentionMask[0]]).toEqual([1, 1, 1, 0, 0]);
    expect(batch.encodings[0].tokens.slice(3)).toEqual(['[PAD]', '[PAD]']);
    const left = tokenizer.encodeBatch(['a', 'a b c'], { padding: true, paddingSide: 'left', padToMultipleOf: 4 });
    expect([...left.attentionMask[0]]).toEqual([0, 0, 0, 0, 0, 1, 1, 1]);
    expect(left.encodings[0].offsets.slice(4)).toEqual([
      [0, 0],
      [0, 0],
      [0, 1],
      [0, 0],
    ]);
  });
});

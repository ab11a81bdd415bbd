/** What must hold for any text: random ones, from a seed. */
import { describe, expect, test } from 'vitest';
import { BertTokenizer } from '../../src/tokenizer/index.ts';
import { compact, nasty, tokenizerJson, tokenizerWith } from './support.ts';

const tokenizer = tokenizerWith();

/** Marks that survive but may change places with others; Rust gives each the origin of its new place, and so do we. */
const MOVING_MARKS = /[\u302e\u302f\u{16ff0}\u{16ff1}\u{1d165}-\u{1d172}]/u;

/** mulberry32: small, and the same everywhere. */
function randomFrom(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Any UTF-16 units at all, lone surrogates included, with letters and spaces between. */
function randomText(random: () => number): string {
  const pick = (n: number) => Math.floor(random() * n);
  let text = '';
  for (let length = pick(40); length > 0; length--) {
    const kind = pick(4);
    if (kind === 0) text += 'abc xyz.'[pick(8)];
    else if (kind === 1) text += String.fromCharCode(pick(0x10000));
    else if (kind === 2) text += String.fromCodePoint(0x10000 + pick(0x100000));
    else text += nasty[pick(nasty.length)].slice(0, 8);
  }
  return text;
}

const random = randomFrom(1);
const texts = [...nasty, ...Array.from({ length: 5000 }, () => randomText(random))];
const { encodings } = tokenizer.encodeBatch(texts, { addSpecialTokens: false });

describe('offsets', () => {
  test('lie within the text, in order, none empty', () => {
    texts.forEach((text, i) => {
      let before = 0;
      for (const [start, end] of encodings[i].offsets) {
        // Parts of one character share its range, so starts may repeat but never go back.
        expect(start < end && start >= before && end <= text.length, JSON.stringify(text)).toBe(true);
        before = start;
      }
    });
  });

  test('never split a surrogate pair, and count the same characters in both units', () => {
    texts.forEach((text, i) => {
      const { offsets, codePointOffsets } = encodings[i];
      const codePoints = Array.from(text);
      offsets.forEach(([start, end], token) => {
        const [first, last] = codePointOffsets[token];
        expect(text.slice(start, end)).toBe(codePoints.slice(first, last).join(''));
      });
    });
  });

  test('of a whole word read the word again', () => {
    let words = 0;
    texts.forEach((text, i) => {
      if (MOVING_MARKS.test(text)) return;
      const { offsets, tokens, wordIds } = encodings[i];
      tokens.forEach((token, k) => {
        const isWhole = wordIds[k] !== wordIds[k - 1] && wordIds[k] !== wordIds[k + 1];
        if (!isWhole || token.startsWith('[')) return;
        words++;
        const [start, end] = offsets[k];
        expect(tokenizer.tokenize(text.slice(start, end)), JSON.stringify(text)).toEqual([token]);
      });
    });
    expect(words).toBeGreaterThan(5000);
  });
});

describe('texts', () => {
  test('give the same in a batch, alone, and in any order', () => {
    const reversed = tokenizer.encodeBatch([...texts].reverse(), { addSpecialTokens: false }).encodings.reverse();
    texts.forEach((text, i) => {
      expect(reversed[i].inputIds).toEqual(encodings[i].inputIds);
      if (i % 50 === 0) expect(tokenizer.encode(text, { addSpecialTokens: false }).tokens).toEqual(encodings[i].tokens);
    });
  });

  test('keep what encodings of them said before: arrays are their own', () => {
    const first = tokenizer.encode('how are you [MASK]');
    const before = JSON.stringify([first.tokens, first.offsets, [...first.inputIds]]);
    tokenizer.encodeBatch(texts);
    expect(JSON.stringify([first.tokens, first.offsets, [...first.inputIds]])).toBe(before);
  });

  test('in half pairs of surrogates read as U+FFFD', () => {
    for (const text of nasty.filter((candidate) => /[\ud800-\udfff]/.test(candidate))) {
      const wellFormed = text.replace(
        /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g,
        '\ufffd',
      );
      expect(tokenizer.encode(text).inputIds).toEqual(tokenizer.encode(wellFormed).inputIds);
    }
  });
});

describe('one pass over the text', () => {
  /** The same tokenizer, made to go through its stages by a normalized token that no text here has. */
  function byStages(normalizer: Record<string, unknown>): BertTokenizer {
    const json = tokenizerJson();
    const rare = { content: 'qqzzqqzz', single_word: false, lstrip: false, rstrip: false, special: false };
    return BertTokenizer.fromJSON({
      ...json,
      normalizer: { ...json.normalizer, ...normalizer },
      added_tokens: [...json.added_tokens, { ...rare, id: Object.keys(json.model.vocab).length, normalized: true }],
    });
  }

  const words = texts.flatMap((text) => [text, text.replaceAll(' ', '').repeat(3), `${text}[MASK]${text}\ud800`]);

  test.each([
    {},
    { lowercase: false },
    { strip_accents: false },
    { lowercase: false, strip_accents: true },
    { clean_text: false },
    { handle_chinese_chars: false },
  ])('gives what the stages give: %j', (normalizer) => {
    const quick = tokenizerWith(normalizer).encodeBatch(words).encodings.map(compact);
    const slow = byStages(normalizer).encodeBatch(words).encodings.map(compact);
    expect(quick).toEqual(slow);
  });

  test('the other way is another one', () => {
    const text = 'qqzzqqzz';
    expect(byStages({}).tokenize(text)).not.toEqual(tokenizerWith().tokenize(text));
  });

  test('starts and ends are the offsets', () => {
    for (const { starts, ends, offsets } of encodings) {
      expect([...starts].map((start, i) => [start, ends[i]])).toEqual(offsets);
    }
  });
});

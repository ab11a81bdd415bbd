/** BPE of all kinds against the Rust tokenizers, by fixtures of tools/tokenizer/goldens_bpe.py. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { MemoryFiles } from '../../src/hub/index.ts';
import {
  AutoTokenizer,
  DebertaTokenizer,
  type Encoding,
  type EncodeOptions,
  oracleVersion,
  RobertaTokenizer,
  type Tokenizer,
} from '../../src/tokenizer/index.ts';
import { compact, nasty, readFixture, refusalOf } from './support.ts';

interface BpeJson {
  model: { vocab: Record<string, number>; merges: [string, string][] } & Record<string, unknown>;
  added_tokens: Record<string, unknown>[];
  [key: string]: unknown;
}

const goldens = readFixture<{
  oracle: string;
  texts: string[];
  options: EncodeOptions;
  encodings: [tokens: string, ...rest: unknown[]][];
  variants: Record<string, { changes: { model?: object }; hashes: string }>;
  characters: Record<string, { json: BpeJson; hashes: string }>;
  deberta: string;
  digests: Record<string, string>;
}>('bpe/goldens.json');

/** A tokenizer.json as the oracle saved it; a new copy on each call. */
const bpeJson = () => readFixture<BpeJson>('bpe/tokenizer.json');
const texts = [...nasty.map((text) => text.replace(/\p{Surrogate}/gu, '\ufffd')), ...goldens.texts];

function tokenizerOf(name: string): Promise<Tokenizer> {
  const base = bpeJson();
  const { changes } = goldens.variants[name];
  const model: Record<string, unknown> = { ...base.model, ...changes.model };
  if (name === 'merges in their old form') model['merges'] = base.model.merges.map((pair) => pair.join(' '));
  const json = JSON.stringify({ ...base, ...changes, model });
  return AutoTokenizer.fromPretrained(new MemoryFiles({ 'tokenizer.json': json }));
}

function hashOf(...parts: (string | Uint8Array | Int32Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex').slice(0, 8);
}

/** All that an encoding tells. */
function everything(encoding: Encoding): unknown[] {
  const { tokens, offsets, codePointOffsets, wordIds, sequenceIds } = encoding;
  const { inputIds, tokenTypeIds, attentionMask, specialTokensMask } = encoding;
  const [ids, typeIds, mask, special] = [inputIds, tokenTypeIds, attentionMask, specialTokensMask].map((a) => [...a]);
  return [ids, tokens, typeIds, mask, special, offsets, codePointOffsets, wordIds, sequenceIds];
}

/** The texts that come out differently in any respect: as one, as the first of a pair, in windows, decoded. */
function differences(tokenizer: Tokenizer, hashes: string): string[] {
  const expected = hashes.split(' ');
  expect(expected.length).toBe(texts.length);
  return texts.filter((text, index) => {
    const whole = tokenizer.encode(text);
    const next = texts[(index + 1) % texts.length];
    const pair = tokenizer.encode([text, next], { addSpecialTokens: false });
    const window = tokenizer.encode(text, goldens.options);
    const decoded = tokenizer.decode(whole.inputIds);
    const decodedWithoutSpecial = tokenizer.decode(whole.inputIds, { skipSpecialTokens: true });
    const all = [whole, pair, window, ...window.overflowing].map(everything);
    return hashOf(JSON.stringify([...all, decoded, decodedWithoutSpecial])) !== expected[index];
  });
}

test('tables and goldens come from one oracle', () => {
  expect(goldens.oracle).toBe(oracleVersion);
});

describe('byte-level, in the ways of the families', () => {
  test.each(Object.keys(goldens.variants))('%s', async (name) => {
    expect(differences(await tokenizerOf(name), goldens.variants[name].hashes)).toEqual([]);
  });

  test('every way differs from the plain one, so that none passes for another', async () => {
    const tokenizer = await tokenizerOf('as RoBERTa');
    const same = ["GPT-2's pattern as Split", 'merges in their old form', 'as RoBERTa'];
    for (const [name, { hashes }] of Object.entries(goldens.variants)) {
      const found = differences(tokenizer, hashes);
      expect(found.length > 0, name).toBe(!same.includes(name));
    }
  });

  test('as RoBERTa, spelled out', async () => {
    const tokenizer = await tokenizerOf('as RoBERTa');
    const found = tokenizer.encodeBatch(goldens.texts).encodings.map((encoding) => {
      return [encoding.tokens.join(' '), ...compact(encoding), tokenizer.decode(encoding.inputIds)];
    });
    expect(found).toEqual(goldens.encodings);
  });
});

describe('on characters: unknown ones dropped, fused, as bytes; prefixes and suffixes', () => {
  test.each(Object.keys(goldens.characters))('%s', (name) => {
    const { json, hashes } = goldens.characters[name];
    expect(differences(RobertaTokenizer.fromJSON(json), hashes)).toEqual([]);
  });
});

describe('all code points', () => {
  test.each(Object.keys(goldens.digests))('%s', async (name) => {
    const tokenizer = await tokenizerOf(name);
    const wrong = goldens.digests[name].split(' ').flatMap((expected, chunk) => {
      const parts: Int32Array[] = [];
      for (let start = chunk * 0x1000; start < (chunk + 1) * 0x1000; start += 32) {
        const characters = Array.from({ length: 32 }, (_, i) => start + i).filter((c) => c < 0xd800 || c > 0xdfff);
        const text = characters.map((code) => String.fromCodePoint(code)).map((c) => `a${c}1${c} ${c}`);
        const encoding = tokenizer.encode(text.join(''), { addSpecialTokens: false });
        parts.push(encoding.inputIds, Int32Array.from(encoding.codePointOffsets.flat()));
      }
      return hashOf(...parts) === expected ? [] : [`U+${(chunk * 0x1000).toString(16)}…`];
    });
    expect(wrong).toEqual([]);
  });
});

describe('vocab.json and merges.txt', () => {
  const { model } = bpeJson();
  const vocab = { ...model.vocab, '<mask>': Object.keys(model.vocab).length };
  const merges = ['#version: 0.2', ...model.merges.map((pair) => pair.join(' '))].join('\n') + '\n';

  test('give what the tokenizer.json gives', () => {
    expect(differences(RobertaTokenizer.fromVocab(vocab, merges), goldens.variants['as RoBERTa'].hashes)).toEqual([]);
    const spaced = RobertaTokenizer.fromVocab(vocab, merges.replaceAll('\n', '\r\n'), { add_prefix_space: true });
    expect(differences(spaced, goldens.variants['space put before'].hashes)).toEqual([]);
  });

  test('from files, with the special tokens of the config', async () => {
    const files = { 'vocab.json': JSON.stringify(vocab), 'merges.txt': merges };
    const config = { mask_token: { content: '<mask>', lstrip: false }, model_max_length: 512, add_prefix_space: true };
    const plain = await RobertaTokenizer.fromPretrained(new MemoryFiles(files));
    const other = await RobertaTokenizer.fromPretrained(
      new MemoryFiles({ ...files, 'tokenizer_config.json': JSON.stringify(config) }),
    );
    expect(plain.encode('a <mask>').tokens).toEqual(['<s>', 'a', ' <mask>', '</s>']);
    expect(other.encode('a <mask>').tokens).toEqual(['<s>', 'Ġa', 'Ġ', '<mask>', '</s>']);
    expect([plain.modelMaxLength, other.modelMaxLength]).toEqual([Infinity, 512]);
    expect([plain.clsTokenId, plain.padTokenId, plain.sepTokenId, plain.unkTokenId]).toEqual([0, 1, 2, 3]);
    expect(plain.maskTokenId).toBe(vocab['<mask>']);
    const whole = await RobertaTokenizer.fromPretrained(
      new MemoryFiles({ 'tokenizer.json': JSON.stringify(bpeJson()) }),
    );
    expect(whole.encode('a <mask>').tokens).toEqual(plain.encode('a <mask>').tokens);
  });

  test('of a DeBERTa, by its class or the type of its model, give what transformers makes of them', async () => {
    const names: Record<string, string> = { '<s>': '[CLS]', '<pad>': '[PAD]', '</s>': '[SEP]', '<unk>': '[UNK]' };
    const renamed = Object.entries(model.vocab).map(([token, id]) => [names[token] ?? token, id]);
    const own: Record<string, number> = { ...Object.fromEntries(renamed), '[MASK]': renamed.length };
    for (const [file, json] of Object.entries({
      'tokenizer_config.json': { tokenizer_class: 'DebertaTokenizer' },
      'config.json': { model_type: 'deberta' },
    })) {
      const files = { 'vocab.json': JSON.stringify(own), 'merges.txt': merges, [file]: JSON.stringify(json) };
      const tokenizer = await AutoTokenizer.fromPretrained(new MemoryFiles(files));
      expect(tokenizer).toBeInstanceOf(DebertaTokenizer);
      expect(differences(tokenizer, goldens.deberta)).toEqual([]);
      expect([tokenizer.clsTokenId, tokenizer.sepTokenId, tokenizer.maskTokenId]).toEqual([0, 2, renamed.length]);
      const pair = tokenizer.encode(['a', 'b [MASK]']);
      expect(pair.tokens).toEqual(['[CLS]', 'a', '[SEP]', '[SEP]', 'b', 'Ġ', '[MASK]', '[SEP]']);
      expect([...pair.tokenTypeIds]).toEqual(Array(8).fill(0));
    }
    const spaced = DebertaTokenizer.fromVocab(own, merges, { add_prefix_space: true });
    expect(differences(spaced, goldens.deberta).length).toBeGreaterThan(0);
    expect(differences(RobertaTokenizer.fromVocab(vocab, merges), goldens.deberta).length).toBeGreaterThan(0);
    expect((await refusalOf(() => DebertaTokenizer.fromVocab(vocab, merges))).message).toMatch(
      /^vocab\.json: .*expected the special token "\[CLS\]" among its tokens.*; check that it is the vocabulary of a DeBERTa$/,
    );
  });

  test('that are not right are named', async () => {
    const refusal = async (action: () => unknown) => (await refusalOf(action)).message;
    expect(await refusal(() => RobertaTokenizer.fromPretrained(new MemoryFiles({ 'vocab.json': '{}' })))).toBe(
      'memory: expected a tokenizer.json or a vocab.json and a merges.txt, got neither; give the folder that holds the tokenizer of the model',
    );
    expect(await refusal(() => RobertaTokenizer.fromVocab(vocab, 'a b c\n'))).toMatch(
      /^merges\.txt: line 1: expected two tokens with a space between, got "a b c"/,
    );
    expect(await refusal(() => RobertaTokenizer.fromVocab(vocab, 'Z Ġ\n'))).toMatch(
      /^merges\.txt: "Z Ġ": expected both tokens and what they join to in the vocabulary, got none that is "ZĠ"; check/,
    );
    expect(await refusal(() => RobertaTokenizer.fromVocab({ a: 0 }, ''))).toMatch(
      /^vocab\.json: the file: expected the special token "<s>" among its tokens/,
    );
    expect(await refusal(() => RobertaTokenizer.fromVocab({ a: 0, b: 0 }, ''))).toMatch(/one token for each id/);
    expect(await refusal(() => RobertaTokenizer.fromVocab({ a: '0' }, ''))).toMatch(/a: expected a token id, got "0"/);
  });
});

describe('tokenizer.json with', () => {
  const split = (Regex: string) => (json: BpeJson) => ({
    ...json,
    pre_tokenizer: { type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false },
  });
  test.each<[string, (json: BpeJson) => unknown, RegExp]>([
    [
      'dropout',
      (json) => ({ ...json, model: { ...json.model, dropout: 0.1 } }),
      /model\.dropout: expected null, got 0\.1/,
    ],
    [
      'a merge of one',
      (json) => ({ ...json, model: { ...json.model, merges: [['a']] } }),
      /merges\[0\]: expected a pair/,
    ],
    [
      'merges of both forms',
      (json) => ({ ...json, model: { ...json.model, merges: ['Ġ t', ['h', 'e']] } }),
      /merges\[0\]/,
    ],
    [
      'merges by one string',
      (json) => ({ ...json, model: { ...json.model, merges: ['Ġt'] } }),
      /two tokens with a space/,
    ],
    [
      'another model',
      (json) => ({ ...json, model: { type: 'Unigram' } }),
      /model\.type: expected one of BPE, got "Unigram"/,
    ],
    ['an unknown behavior', (json) => ({ ...json, pre_tokenizer: { type: 'Punctuation', behavior: 'x' } }), /behavior/],
    ['two templates', twoTemplates, /post_processor\.processors: expected at most one that adds special tokens/],
    [
      'a delimiter of two',
      (json) => ({ ...json, pre_tokenizer: { type: 'CharDelimiterSplit', delimiter: 'ab' } }),
      /one character/,
    ],
    ['look-behind', split('(?<=a)b'), /Regex: expected a pattern without look-behind/],
    ['anchors', split('^a'), /a pattern without anchors/],
    ['possessive quantifiers', split('a++'), /a pattern without possessive quantifiers/],
    ['other classes', split('\\p{Han}'), /no classes but those of letters/],
    ['\\w', split('\\w+'), /a pattern without \\/],
    ['classes in classes', split('[a[b]]'), /a pattern without classes in classes/],
    ['ligatures where case is ignored', split('(?i:ss)'), /where case is ignored/],
    ['a pattern that is none', split('(a'), /expected a regular expression/],
  ])('%s', async (_, change, message) => {
    const refusal = await refusalOf(() => RobertaTokenizer.fromJSON(change(bpeJson())));
    expect(refusal.message).toMatch(message);
    expect(refusal.name).toBe('TokenizerError');
  });

  test('an unknown token that is not there, only when one is needed', async () => {
    const { json } = goldens.characters['unknown'];
    const tokenizer = RobertaTokenizer.fromJSON({ ...json, model: { ...json.model, unk_token: '?!' } });
    expect(tokenizer.tokenize('the')).not.toEqual([]);
    const { message } = await refusalOf(() => tokenizer.tokenize('\u{10ffff}'));
    expect(message).toMatch(/model\.vocab: expected the unknown token "\?!" among its \d+ tokens/);
  });
});

function twoTemplates(json: BpeJson): unknown {
  const roberta = json['post_processor'];
  return { ...json, post_processor: { type: 'Sequence', processors: [roberta, roberta] } };
}

describe('long and many words', () => {
  test('a word of a million letters takes no square of that time', async () => {
    const tokenizer = await tokenizerOf('as RoBERTa');
    const { inputIds, offsets } = tokenizer.encode('ab'.repeat(500_000), { addSpecialTokens: false });
    expect(tokenizer.decode(inputIds)).toBe('ab'.repeat(500_000));
    expect(offsets.at(-1)![1]).toBe(1_000_000);
  });

  test('more words than the cache holds come out as without it', async () => {
    const fresh = await tokenizerOf('as RoBERTa');
    const tokenizer = await tokenizerOf('as RoBERTa');
    const word = (i: number) => `w${i.toString(36)}`;
    const before = tokenizer.encode(word(7)).tokens;
    for (let i = 0; i < 80_000; i++) tokenizer.encode(word(i));
    for (let i = 0; i < 80_000; i += 997) {
      expect(tokenizer.encode(word(i)).tokens).toEqual(fresh.encode(word(i)).tokens);
    }
    expect(tokenizer.encode(word(7)).tokens).toEqual(before);
  });
});

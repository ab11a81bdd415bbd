import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { MemoryFiles } from '../../src/hub/index.ts';
import { BertTokenizer, Tokenizer } from '../../src/tokenizer/index.ts';
import { FIXTURES, tokenizerJson, tokenizerWith, vocabText } from './support.ts';

/** A vocabulary to follow by eye. */
const VOCAB = [
  '[PAD]',
  '[UNK]',
  '[CLS]',
  '[SEP]',
  '[MASK]',
  'un',
  '##aff',
  '##able',
  '##a',
  'hello',
  'cafe',
  '!',
  '中',
];
const tokenizer = BertTokenizer.fromVocab(VOCAB, { model_max_length: 512 });

describe('a worked example', () => {
  test('one text', () => {
    const text = 'Héllo, unaffable 中!';
    const encoding = tokenizer.encode(text);
    expect(encoding.tokens).toEqual(['[CLS]', 'hello', '[UNK]', 'un', '##aff', '##able', '中', '!', '[SEP]']);
    expect([...encoding.inputIds]).toEqual([2, 9, 1, 5, 6, 7, 12, 11, 3]);
    expect([...encoding.tokenTypeIds]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect([...encoding.attentionMask]).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 1]);
    expect([...encoding.specialTokensMask]).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 1]);
    expect(encoding.wordIds).toEqual([null, 0, 1, 2, 2, 2, 3, 4, null]);
    expect(encoding.offsets.slice(1, -1).map(([start, end]) => text.slice(start, end))).toEqual([
      'Héllo',
      ',',
      'un',
      'aff',
      'able',
      '中',
      '!',
    ]);
    expect(tokenizer.decode(encoding.inputIds)).toBe('[CLS] hello [UNK] unaffable 中! [SEP]');
    expect(tokenizer.decode(encoding.inputIds, { skipSpecialTokens: true })).toBe('hello unaffable 中!');
  });

  test('a pair', () => {
    const encoding = tokenizer.encode(['hello', 'un!']);
    expect(encoding.tokens).toEqual(['[CLS]', 'hello', '[SEP]', 'un', '!', '[SEP]']);
    expect([...encoding.tokenTypeIds]).toEqual([0, 0, 0, 1, 1, 1]);
    expect(encoding.sequenceIds).toEqual([null, 0, null, 1, 1, null]);
    expect(encoding.offsets).toEqual([
      [0, 0],
      [0, 5],
      [0, 0],
      [0, 2],
      [2, 3],
      [0, 0],
    ]);
  });

  test('an emoji before a word: two UTF-16 units, one code point', () => {
    const encoding = tokenizer.encode('😀 cafe\u0301!', { addSpecialTokens: false });
    expect(encoding.tokens).toEqual(['[UNK]', 'cafe', '!']);
    expect(encoding.offsets).toEqual([
      [0, 2],
      [3, 7],
      [8, 9],
    ]);
    expect(encoding.codePointOffsets).toEqual([
      [0, 1],
      [2, 6],
      [7, 8],
    ]);
  });

  test('special tokens in the text are read as such, but are not in the mask', () => {
    const encoding = tokenizer.encode('un[MASK]able');
    expect(encoding.tokens).toEqual(['[CLS]', 'un', '[MASK]', '[UNK]', '[SEP]']);
    expect([...encoding.specialTokensMask]).toEqual([1, 0, 0, 0, 1]);
  });

  test('a word is unknown as a whole, and so is one that is too long', () => {
    expect(tokenizer.tokenize('unaffablex')).toEqual(['[UNK]']);
    const longest = 'un' + 'a'.repeat(98);
    expect(tokenizer.tokenize(longest)).toHaveLength(99);
    expect(tokenizer.tokenize(longest + 'a')).toEqual(['[UNK]']);
    expect(tokenizer.tokenize(longest + '\u0301')).toHaveLength(99); // it is the normalized length that counts
    const long = longest + '\u{1f600}'.repeat(70);
    expect(tokenizer.encode(`\u0301${long}\u0301 un`, { addSpecialTokens: false }).offsets).toEqual([
      [1, 241],
      [243, 245],
    ]);
  });
});

test('the arrays of a batch are as those of each text alone, which have buffers of their own', () => {
  const texts = ['unaffable', '', 'hello unaffable '.repeat(3000), 'caf\u00e9'];
  const { encodings } = tokenizer.encodeBatch(texts, {
    padding: 'longest',
    truncation: 'longest_first',
    maxLength: 5000,
  });
  const longest = encodings[2].length;
  texts.forEach((text, i) => {
    const alone = tokenizer.encode(text, { truncation: 'longest_first', maxLength: 5000 });
    for (const name of ['inputIds', 'starts', 'ends'] as const) {
      const padding = new Array<number>(longest - alone.length).fill(name === 'inputIds' ? tokenizer.padTokenId! : 0);
      expect([...encodings[i][name]]).toEqual([...alone[name], ...padding]);
      expect(alone[name].buffer.byteLength).toBe(4 * alone.length);
    }
  });
});

describe('must differ', () => {
  test('without lower-casing', () => {
    const cased = BertTokenizer.fromVocab(VOCAB, { do_lower_case: false });
    expect(cased.tokenize('Hello')).toEqual(['[UNK]']);
    expect(tokenizer.tokenize('Hello')).toEqual(['hello']);
  });

  test('with accents kept', () => {
    const accented = BertTokenizer.fromVocab(VOCAB, { strip_accents: false });
    expect(accented.tokenize('café')).toEqual(['[UNK]']);
    expect(tokenizer.tokenize('café')).toEqual(['cafe']);
  });

  test('without spaces around Chinese characters', () => {
    const joined = BertTokenizer.fromVocab(VOCAB, { tokenize_chinese_chars: false });
    expect(joined.tokenize('中中')).toEqual(['[UNK]']);
    expect(tokenizer.tokenize('中中')).toEqual(['中', '中']);
  });
});

describe('batches', () => {
  test('are ragged, their arrays side by side', () => {
    const batch = tokenizer.encodeBatch(['hello', ['un', 'hello !'], '']);
    expect(batch.encodings).toHaveLength(3);
    expect(batch.inputIds.map((ids) => [...ids])).toEqual([
      [2, 9, 3],
      [2, 5, 3, 9, 11, 3],
      [2, 3],
    ]);
    expect([...batch.tokenTypeIds[1]]).toEqual([0, 0, 0, 1, 1, 1]);
    expect([...batch.attentionMask[2]]).toEqual([1, 1]);
  });

  test('may be empty', () => {
    expect(tokenizer.encodeBatch([])).toEqual({ encodings: [], inputIds: [], attentionMask: [], tokenTypeIds: [] });
    expect(tokenizer.encodeBatch([], { padding: true }).inputIds).toEqual([]);
  });

  test('decode together', () => {
    expect(tokenizer.decodeBatch([[9, 11], Int32Array.of(5, 6, 7)])).toEqual(['hello!', 'unaffable']);
  });
});

describe('the vocabulary', () => {
  test('by token and by id', () => {
    expect(tokenizer.vocabSize).toBe(13);
    expect(tokenizer.tokenToId('##able')).toBe(7);
    expect(tokenizer.idToToken(7)).toBe('##able');
    expect(tokenizer.tokenToId('nothing')).toBeUndefined();
    expect(tokenizer.idToToken(13)).toBeUndefined();
  });

  test('special tokens and the maximum length', () => {
    const { clsTokenId, sepTokenId, padTokenId, unkTokenId, maskTokenId, modelMaxLength } = tokenizer;
    expect([clsTokenId, sepTokenId, padTokenId, unkTokenId, maskTokenId]).toEqual([2, 3, 0, 1, 4]);
    expect(modelMaxLength).toBe(512);
    expect(BertTokenizer.fromVocab(VOCAB, { model_max_length: 1e30 }).modelMaxLength).toBe(Infinity);
    expect(BertTokenizer.fromVocab(VOCAB).modelMaxLength).toBe(Infinity);
  });

  test('special tokens of other names, as strings or as objects', () => {
    const vocab = ['<pad>', '<unk>', '<s>', '</s>', '<m>', 'hello'];
    const config = {
      pad_token: '<pad>',
      unk_token: '<unk>',
      cls_token: { content: '<s>', lstrip: false },
      sep_token: '</s>',
      mask_token: '<m>',
    };
    const other = BertTokenizer.fromVocab(vocab, config);
    expect(other.encode('hello <m>').tokens).toEqual(['<s>', 'hello', '<m>', '</s>']);
    expect(other.maskTokenId).toBe(4);
  });

  test('of a token given twice, the last counts', () => {
    const twice = BertTokenizer.fromVocab([...VOCAB, 'hello']);
    expect(twice.tokenToId('hello')).toBe(13);
    expect(twice.idToToken(9)).toBeUndefined();
  });
});

describe('added tokens', () => {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false };
  const withAdded = (...tokens: (Partial<typeof flags> & { content: string })[]) => {
    const json = tokenizerJson();
    const ids = Object.keys(json.model.vocab).length;
    const added = tokens.map((token, index) => ({ ...flags, id: ids + index, ...token }));
    return BertTokenizer.fromJSON({ ...json, added_tokens: [...json.added_tokens, ...added] });
  };
  const read = (loaded: BertTokenizer, text: string) => loaded.encode(text, { addSpecialTokens: false }).tokens;

  test('match in the raw text, or normalized in the normalized text', () => {
    const loaded = withAdded({ content: 'Ab' }, { content: 'Xý', normalized: true });
    expect(read(loaded, 'Ab ab')).toEqual(['Ab', ...read(tokenizerWith(), 'ab')]);
    expect(read(loaded, 'XÝ xy')).toEqual(['xy', 'xy']);
    expect(loaded.vocabSize).toBe(tokenizerWith().vocabSize + 2);
  });

  test('take spaces along, and only whole words', () => {
    const loaded = withAdded({ content: '<l>', lstrip: true, rstrip: true }, { content: '<w>', single_word: true });
    const encoding = loaded.encode('a  <l> a<w> <w>', { addSpecialTokens: false });
    expect(encoding.tokens).toEqual(['a', '  <l> ', 'a', '<', 'w', '>', '<w>']);
    expect(encoding.offsets[1]).toEqual([1, 7]);
    expect(loaded.decode(encoding.inputIds)).toContain('<l>');
  });

  test('the longest at the leftmost place wins', () => {
    const loaded = withAdded({ content: '<a' }, { content: '<a><b' }, { content: 'a><b><c' });
    expect(read(loaded, '<a><b><c>')[0]).toBe('<a><b');
  });
});

describe('fromPretrained', () => {
  test('reads a folder', async () => {
    const loaded = await BertTokenizer.fromPretrained(fileURLToPath(FIXTURES));
    expect(loaded).toBeInstanceOf(BertTokenizer);
    expect(loaded).toBeInstanceOf(Tokenizer);
    expect(loaded.encode('Hello world!').tokens).toEqual(['[CLS]', 'hello', 'world', '!', '[SEP]']);
  });

  test('prefers tokenizer.json, else takes vocab.txt; the config goes with either', async () => {
    const config = '{"model_max_length": 77, "do_lower_case": false}';
    const json = readFileSync(new URL('tokenizer.json', FIXTURES));
    const both = { 'tokenizer.json': json, 'vocab.txt': vocabText, 'tokenizer_config.json': config };
    const fromJson = await BertTokenizer.fromPretrained(new MemoryFiles(both));
    const bare = { 'vocab.txt': vocabText.replaceAll('\n', '\r\n'), 'tokenizer_config.json': config };
    const fromVocab = await BertTokenizer.fromPretrained(new MemoryFiles(bare));
    expect([fromJson.modelMaxLength, fromVocab.modelMaxLength]).toEqual([77, 77]);
    expect(fromJson.tokenize('HELLO')).toEqual(['hello']);
    expect(fromVocab.tokenize('HELLO')).not.toEqual(['hello']);
    expect(fromVocab.tokenize('hello')).toEqual(['hello']);
  });

  test('padding and truncation sides come from the config', async () => {
    const config = { padding_side: 'left', truncation_side: 'left', model_max_length: 4 };
    const loaded = BertTokenizer.fromVocab(VOCAB, config);
    expect(loaded.encode('hello', { padding: 'max_length' }).tokens).toEqual(['[PAD]', '[CLS]', 'hello', '[SEP]']);
    expect(loaded.encode('hello ! un', { truncation: true }).tokens).toEqual(['[CLS]', '!', 'un', '[SEP]']);
  });
});

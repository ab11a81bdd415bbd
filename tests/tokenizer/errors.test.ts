/** Bad input: each gives one clear line that names what is wrong. */
import { describe, expect, test } from 'vitest';
import { MemoryFiles } from '../../src/hub/index.ts';
import { AutoTokenizer, BertTokenizer } from '../../src/tokenizer/index.ts';
import { refusalOf, tokenizerJson, tokenizerWith, vocabText } from './support.ts';

type Json = ReturnType<typeof tokenizerJson>;

const BROKEN_JSON: [string, (json: Json) => unknown, RegExp][] = [
  ['not an object', () => [1], /^tokenizer\.json: the file: expected an object, got \[1\]/],
  ['null', () => null, /the file: expected an object/],
  ['no model', (json) => ({ ...json, model: undefined }), /tokenizer\.json: model: expected an object, got nothing/],
  ['an unknown version', (json) => ({ ...json, version: '2.0' }), /version: expected "1\.0", got "2\.0"/],
  [
    'an unsupported model',
    (json) => ({ ...json, model: { ...json.model, type: 'BPE' } }),
    /model\.type: expected one of WordPiece, got "BPE"/,
  ],
  [
    'an unsupported normalizer',
    (json) => ({ ...json, normalizer: { type: 'Precompiled' } }),
    /normalizer\.type: expected one of BertNormalizer, .*got "Precompiled"/,
  ],
  [
    'an unsupported normalizer in a sequence',
    (json) => ({ ...json, normalizer: { type: 'Sequence', normalizers: [{ type: 'NFD' }, { type: 'NFKC' }] } }),
    /normalizer\.normalizers\[1\]\.type: .*got "NFKC"/,
  ],
  [
    'an unsupported pre-tokenizer',
    (json) => ({ ...json, pre_tokenizer: { type: 'ByteLevel' } }),
    /pre_tokenizer\.type: .*got "ByteLevel"/,
  ],
  ['an unsupported decoder', (json) => ({ ...json, decoder: { type: 'Metaspace' } }), /decoder\.type: .*"Metaspace"/],
  [
    'an unsupported post-processor',
    (json) => ({ ...json, post_processor: { type: 'RobertaProcessing' } }),
    /post_processor\.type: .*"RobertaProcessing"/,
  ],
  ['a name of Object.prototype as a type', (json) => ({ ...json, decoder: { type: 'toString' } }), /decoder\.type/],
  [
    'a flag that is a string',
    (json) => ({ ...json, normalizer: { ...json.normalizer, lowercase: 'yes' } }),
    /normalizer\.lowercase: expected true or false, got "yes"/,
  ],
  [
    'a missing field',
    (json) => ({ ...json, normalizer: { ...json.normalizer, clean_text: undefined } }),
    /normalizer\.clean_text: expected true or false, got nothing/,
  ],
  [
    'a negative limit',
    (json) => ({ ...json, model: { ...json.model, max_input_chars_per_word: -1 } }),
    /model\.max_input_chars_per_word: expected a whole number, 0 or more, got -1/,
  ],
  [
    'an id that is no number',
    (json) => ({ ...json, model: { ...json.model, vocab: { ...json.model.vocab, the: '5' } } }),
    /model\.vocab\.the: expected a token id, got "5"/,
  ],
  [
    'an id used twice',
    (json) => ({ ...json, model: { ...json.model, vocab: { ...json.model.vocab, again: 7 } } }),
    /model\.vocab: expected one token for each id, got id 7 for both .* and "again"/,
  ],
  [
    'an unknown token that is not in the vocabulary',
    (json) => ({ ...json, model: { ...json.model, unk_token: '<unk>' } }),
    /model\.vocab: expected the unknown token "<unk>" among its \d+ tokens/,
  ],
  ['added tokens that are no list', (json) => ({ ...json, added_tokens: {} }), /added_tokens: expected an array/],
  [
    'an added token without content',
    (json) => ({ ...json, added_tokens: [{ ...json.added_tokens[0], content: 5 }] }),
    /added_tokens\[0\]\.content: expected a string, got 5/,
  ],
  [
    'an added token with the id of another',
    (json) => ({ ...json, added_tokens: [{ ...json.added_tokens[0], id: 3 }] }),
    /added_tokens\[0\]\.id: expected 0, the id of "\[PAD\]", got 3/,
  ],
  [
    'a template of neither kind',
    (json) => ({ ...json, post_processor: { type: 'TemplateProcessing', single: [{}], pair: [], special_tokens: {} } }),
    /post_processor\.single\[0\]: expected a Sequence or a SpecialToken/,
  ],
  [
    'a template with an unknown special token',
    (json) => ({
      ...json,
      post_processor: {
        type: 'TemplateProcessing',
        single: [{ SpecialToken: { id: '<s>', type_id: 0 } }],
        pair: [],
        special_tokens: {},
      },
    }),
    /single\[0\]\.SpecialToken\.id: expected one of post_processor\.special_tokens, got "<s>"/,
  ],
];

describe('tokenizer.json with', () => {
  test.each(BROKEN_JSON)('%s', async (_, change, message) => {
    const refusal = await refusalOf(() => BertTokenizer.fromJSON(change(tokenizerJson())));
    expect(refusal.message).toMatch(message);
    expect(refusal.name).toBe('TokenizerError');
  });
});

describe('vocab.txt', () => {
  test('of another model: no special tokens', async () => {
    const { message } = await refusalOf(() => BertTokenizer.fromVocab('<s>\n<pad>\n</s>\n<unk>\n'));
    expect(message).toMatch(/vocabulary: expected the special token "\[PAD\]" among its 4 tokens; check/);
  });

  test('without one special token', async () => {
    const without = vocabText.replace('[SEP]\n', '');
    const { message } = await refusalOf(() => BertTokenizer.fromVocab(without));
    expect(message).toContain('the special token "[SEP]"');
  });

  test('that is none', async () => {
    for (const vocab of [undefined, null, 5, { '[PAD]': 0 }, ['[PAD]', 1]] as unknown[]) {
      const { name, message } = await refusalOf(() => BertTokenizer.fromVocab(vocab as string));
      expect(`${name}: ${message}`).toMatch(/^TokenizerError: vocabulary: expected text, or a list of tokens, got /);
    }
  });

  test('empty', async () => {
    expect((await refusalOf(() => BertTokenizer.fromVocab(''))).message).toContain('among its 0 tokens');
  });

  test('without a mask is allowed: not all models have one', () => {
    const tokenizer = BertTokenizer.fromVocab(vocabText.replace('[MASK]\n', ''));
    expect(tokenizer.maskTokenId).toBeUndefined();
    expect(tokenizer.clsTokenId).toBe(2);
  });

  test('with a config of wrong types', async () => {
    for (const [config, message] of [
      [{ do_lower_case: 1 }, /tokenizer_config\.json: do_lower_case: expected true or false, got 1/],
      [{ strip_accents: 'no' }, /strip_accents: expected true or false/],
      [{ model_max_length: '512' }, /model_max_length: expected a whole number/],
      [{ cls_token: 5 }, /cls_token: expected an object/],
      [{ padding_side: 'top' }, /padding_side: expected "left" or "right", got "top"/],
      ['text', /the file: expected an object, got "text"/],
    ] as const) {
      expect((await refusalOf(() => BertTokenizer.fromVocab(vocabText, config))).message).toMatch(message);
    }
  });
});

describe('files', () => {
  test('none at all', async () => {
    const refusal = await refusalOf(() => BertTokenizer.fromPretrained(new MemoryFiles({})));
    expect(refusal.message).toBe(
      'memory: expected a tokenizer.json or a vocab.txt, got neither; give the folder that holds the tokenizer of the model',
    );
  });

  test('a tokenizer.json that is cut off', async () => {
    const text = JSON.stringify(tokenizerJson()).slice(0, 1000);
    const refusal = await refusalOf(() => BertTokenizer.fromPretrained(new MemoryFiles({ 'tokenizer.json': text })));
    expect(refusal.message).toMatch(/^memory\/tokenizer\.json: expected JSON, got broken JSON/);
  });

  test('a malformed field is named with its file', async () => {
    const text = JSON.stringify({ ...tokenizerJson(), decoder: { type: 'Fuse' } });
    const refusal = await refusalOf(() => BertTokenizer.fromPretrained(new MemoryFiles({ 'tokenizer.json': text })));
    expect(refusal.message).toMatch(/^memory\/tokenizer\.json: decoder\.type: expected one of WordPiece, got "Fuse"/);
  });
});

describe('texts', () => {
  const tokenizer = tokenizerWith();

  test.each([
    ['undefined', undefined],
    ['null', null],
    ['a number', 5],
    ['a triple', ['a', 'b', 'c']],
    ['a pair with a hole', ['a', undefined]],
    ['an object', { text: 'a' }],
  ] as [string, unknown][])('%s', async (_, text) => {
    const one = await refusalOf(() => tokenizer.encode(text as string));
    expect(one.name).toBe('InputError');
    expect(one.message).toMatch(/^text: expected a string or a pair of strings, got/);
    const inBatch = await refusalOf(() => tokenizer.encodeBatch(['fine', text as string]));
    expect(inBatch.message).toMatch(/^texts\[1\]: expected/);
  });

  test('a hole in a batch', async () => {
    const sparse: string[] = ['a'];
    sparse[2] = 'c';
    expect((await refusalOf(() => tokenizer.encodeBatch(sparse))).message).toMatch(/^texts\[1\]/);
  });

  test('one string for a batch, second texts for options', async () => {
    const batch = tokenizer.encodeBatch as (texts: unknown) => unknown;
    expect((await refusalOf(() => batch.call(tokenizer, 'a'))).message).toMatch(/^texts: expected an array/);
    const encode = tokenizer.encode as (text: string, options: unknown) => unknown;
    for (const second of ['b', ['b'], null]) {
      const inOne = await refusalOf(() => encode.call(tokenizer, 'a', second));
      const inBatch = await refusalOf(() => tokenizer.encodeBatch(['a'], second as object));
      expect([inOne.message, inBatch.message]).toEqual(Array(2).fill(expect.stringContaining('[first, second]')));
    }
  });
});

describe('ids', () => {
  const tokenizer = tokenizerWith();

  test.each([tokenizer.vocabSize, -1, 1.5, NaN, 1e12])('%d', async (id) => {
    const refusal = await refusalOf(() => tokenizer.decode([5, id]));
    expect(refusal.name).toBe('InputError');
    expect(refusal.message).toMatch(/^ids\[1\]: expected the id of one of \d+ tokens, got/);
  });
});

test('ids that are no array', async () => {
  const tokenizer = tokenizerWith();
  for (const ids of [undefined, null, 5, {}, '12'] as unknown[]) {
    const refusal = await refusalOf(() => tokenizer.decode(ids as number[]));
    expect(refusal.message).toMatch(/^ids: expected an array of token ids, got/);
  }
  for (const batch of [undefined, 5, {}] as unknown[]) {
    const refusal = await refusalOf(() => tokenizer.decodeBatch(batch as number[][]));
    expect(refusal.message).toMatch(/^batch: expected an array, got/);
  }
  for (const options of [null, 'skip', { skip_special_tokens: true }] as object[]) {
    const refusal = await refusalOf(() => tokenizer.decode([5], options));
    expect(refusal.message).toMatch(/^options of decode: /);
  }
});

describe('options', () => {
  const tokenizer = tokenizerWith();
  const words = 'how are you today my friend';

  test.each([
    [
      'less room than the special tokens',
      { maxLength: 1 },
      /^maxLength: expected at least 2, for the special tokens, got 1/,
    ],
    ['no room at all', { maxLength: 0 }, /^maxLength: expected at least 2/],
    ['half a token', { maxLength: 4.5 }, /^maxLength: expected a whole number, 0 or more, got 4\.5/],
    ['a stride as long as the room', { maxLength: 5, stride: 3 }, /^stride: expected less than the 3 tokens .*got 3/],
    ['a negative stride', { maxLength: 5, stride: -1 }, /^stride: expected a whole number, 0 or more, got -1/],
    ['an unknown strategy', { truncation: 'shortest' }, /^truncation: expected one of longest_first, .*got "shortest"/],
    ['an unknown padding', { padding: 'all' }, /^padding: expected one of longest, max_length, got "all"/],
    ['an unknown side', { paddingSide: 'top' }, /^paddingSide: expected one of left, right, got "top"/],
    ['a multiple of 0', { padding: true, padToMultipleOf: 0 }, /^padToMultipleOf: expected a whole number, 1 or more/],
    ['truncation without a limit', { truncation: true }, /^truncation: expected a maximum length; give maxLength/],
    ['padding without a limit', { padding: 'max_length' }, /^padding "max_length": expected a maximum length/],
  ])('%s', async (_, options, message) => {
    expect((await refusalOf(() => tokenizer.encode(words, options as object))).message).toMatch(message);
  });

  test('padding by a tokenizer.json alone, which does not say what token pads', async () => {
    const files = { 'tokenizer.json': JSON.stringify(tokenizerJson()) };
    const bare = await AutoTokenizer.fromPretrained(new MemoryFiles(files));
    const { message } = await refusalOf(() => bare.encode('a', { padding: 'max_length', maxLength: 8 }));
    expect(message).toMatch(/^padding: expected a padding token, got none; name its pad_token in tokenizer_config/);
    const config = { 'tokenizer_config.json': JSON.stringify({ pad_token: '[PAD]' }) };
    const named = await AutoTokenizer.fromPretrained(new MemoryFiles({ ...files, ...config }));
    expect(named.encode('a', { padding: 'max_length', maxLength: 8 })).toHaveLength(8);
  });

  test('a second text that is not there', async () => {
    const { message } = await refusalOf(() => tokenizer.encode(words, { maxLength: 4, truncation: 'only_second' }));
    expect(message).toMatch(/^truncation "only_second": expected a pair of texts, got one text; use/);
  });

  test('a text too short to give way for the other', async () => {
    const { message } = await refusalOf(() =>
      tokenizer.encode(['a', words], { maxLength: 6, truncation: 'only_first' }),
    );
    expect(message).toMatch(/^truncation "only_first": expected room for at least one token of the first text, got/);
  });

  test('a stride that only the shorter window of a pair cannot hold', async () => {
    const { message } = await refusalOf(() => tokenizer.encode([words, words], { maxLength: 9, stride: 3 }));
    expect(message).toMatch(/^stride: expected less than the 3 tokens/);
  });
});

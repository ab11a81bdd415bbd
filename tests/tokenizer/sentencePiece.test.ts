/** Unigram tokenizers against the Rust tokenizers, by fixtures of tools/tokenizer/goldens_sentencepiece.py. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { MemoryFiles } from '../../src/hub/index.ts';
import {
  AlbertTokenizer,
  AutoTokenizer,
  BertTokenizer,
  CamembertTokenizer,
  DebertaV2Tokenizer,
  DistilBertTokenizer,
  ElectraTokenizer,
  type Encoding,
  type EncodeOptions,
  MPNetTokenizer,
  oracleVersion,
  RobertaTokenizer,
  type TextInput,
  Tokenizer,
  XLMRobertaTokenizer,
} from '../../src/tokenizer/index.ts';
import { FIXTURES, nasty, readFixture, refusalOf, tokenizerJson, vocabText } from './support.ts';

const goldens = readFixture<{
  oracle: string;
  pairOptions: EncodeOptions;
  kinds: Record<string, { vocabSize: number; texts: string; pairs: string }>;
  normalizers: Record<string, { normalizer: Record<string, unknown>; hashes: string }>;
}>('sentencepiece/goldens.json');

const KINDS = {
  albert: { tokenizerClass: AlbertTokenizer, file: 'spiece.model' },
  'xlm-roberta': { tokenizerClass: XLMRobertaTokenizer, file: 'sentencepiece.bpe.model' },
  camembert: { tokenizerClass: CamembertTokenizer, file: 'sentencepiece.bpe.model' },
  'deberta-v2': { tokenizerClass: DebertaV2Tokenizer, file: 'spm.model' },
};
type Kind = keyof typeof KINDS;
const kinds = Object.keys(KINDS) as Kind[];

const modelOf = (kind: Kind) => new Uint8Array(readFileSync(new URL(`sentencepiece/${kind}.model`, FIXTURES)));
const filesOf = (kind: Kind, bytes: Uint8Array<ArrayBuffer> = modelOf(kind)) =>
  new MemoryFiles({ [KINDS[kind].file]: bytes });
const load = (kind: Kind): Promise<Tokenizer> => KINDS[kind].tokenizerClass.fromPretrained(filesOf(kind));
const converted = () =>
  readFixture<Record<string, unknown> & { model: Record<string, unknown> }>('sentencepiece/tokenizer.json');

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 8);
}

function digestsOf(tokenizer: Tokenizer, inputs: TextInput[], options: EncodeOptions = {}): string[] {
  return tokenizer.encodeBatch(inputs, options).encodings.map((encoding) => digest(fields(encoding, tokenizer)));
}

function fields(encoding: Encoding, tokenizer: Tokenizer): unknown[] {
  return [
    [...encoding.inputIds],
    encoding.tokens,
    [...encoding.tokenTypeIds],
    [...encoding.attentionMask],
    encoding.offsets,
    encoding.codePointOffsets,
    encoding.wordIds,
    tokenizer.decode(encoding.inputIds),
    tokenizer.decode(encoding.inputIds, { skipSpecialTokens: true }),
    encoding.overflowing.map((window) => [...window.inputIds]),
  ];
}

/** Those that come out differently. */
function differences(tokenizer: Tokenizer, kind: Kind): TextInput[] {
  const { texts, pairs } = goldens.kinds[kind];
  const nastyPairs = nasty.slice(1).map((text, index): [string, string] => [nasty[index], text]);
  const actual = [...digestsOf(tokenizer, nasty), ...digestsOf(tokenizer, nastyPairs, goldens.pairOptions)];
  const expected = `${texts} ${pairs}`.split(' ');
  expect(actual.length).toBe(expected.length);
  return [...nasty, ...nastyPairs].filter((_, index) => actual[index] !== expected[index]);
}

test('the goldens come from the oracle of the tables', () => {
  expect(goldens.oracle).toBe(oracleVersion);
});

describe('.model files', () => {
  test.each(kinds)('%s: all fields, windows of pairs, decoding', async (kind) => {
    const tokenizer = await load(kind);
    expect(tokenizer.vocabSize).toBe(goldens.kinds[kind].vocabSize);
    expect(differences(tokenizer, kind)).toEqual([]);
    for (const other of kinds) if (other !== kind) expect(differences(tokenizer, other)).not.toEqual([]);
  });

  test('a tokenizer.json gives the same, and goes first', async () => {
    expect(differences(XLMRobertaTokenizer.fromJSON(converted()), 'xlm-roberta')).toEqual([]);
    const both = new MemoryFiles({
      'tokenizer.json': JSON.stringify(converted()),
      'sentencepiece.bpe.model': 'broken',
    });
    expect(differences(await XLMRobertaTokenizer.fromPretrained(both), 'xlm-roberta')).toEqual([]);
  });

  test('scores and the charsmap count', () => {
    const { model, normalizer } = converted();
    const vocab = model['vocab'] as [string, number][];
    const broken = (change: Record<string, unknown>) =>
      differences(XLMRobertaTokenizer.fromJSON({ ...converted(), ...change }), 'xlm-roberta');
    const level = vocab.map(([token]) => [token, -5]);
    expect(broken({ model: { ...model, vocab: level } })).not.toEqual([]);
    expect(broken({ normalizer: null })).not.toEqual([]);
    expect(broken({ normalizer: { type: 'NFKC' } })).not.toEqual([]);
    expect(broken({ normalizer: { type: 'Sequence', normalizers: [normalizer] } })).toEqual([]);
  });
});

describe('every code point', () => {
  const CHUNK = 0x1000;
  const chunks = [...Array.from({ length: 0x32 }, (_, index) => index * CHUNK), 0xe0000];

  function hashes(normalizer: unknown): string[] {
    const tokenizer = XLMRobertaTokenizer.fromJSON({
      normalizer,
      pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
      model: { type: 'Unigram', unk_id: 0, vocab: [['<unk>', 0], ['▁', -2]] }, // prettier-ignore
    });
    return chunks.map((first) => {
      const words: unknown[] = [];
      for (let start = first; start < first + CHUNK; start += 64) {
        let text = '';
        for (let code = start; code < start + 64; code++) {
          const character = String.fromCodePoint(code);
          if (code < 0xd800 || code > 0xdfff) text += `a${character}\u0301\u0323b ${character} `;
        }
        const { tokens, codePointOffsets } = tokenizer.encode(text);
        words.push([tokens, codePointOffsets]);
      }
      return digest(words);
    });
  }

  test.each(Object.keys(goldens.normalizers))('%s', (name) => {
    const { normalizer, hashes: expected } = goldens.normalizers[name];
    const wanted = expected.split(' ');
    const wrong = hashes(normalizer).flatMap((hash, index) =>
      hash === wanted[index] ? [] : [`U+${chunks[index].toString(16)}…`],
    );
    expect(wrong).toEqual([]);
  });

  test('one normal form is not another', () => {
    const wanted = goldens.normalizers['NFC'].hashes.split(' ');
    expect(hashes({ type: 'NFD' }).filter((hash, chunk) => hash !== wanted[chunk]).length).toBeGreaterThan(5);
  });
});

describe('AutoTokenizer', () => {
  const json = (value: unknown) => JSON.stringify(value);

  test.each(kinds)('%s, by model_type or tokenizer_class', async (kind) => {
    const files = { [KINDS[kind].file]: modelOf(kind) };
    const byType = await AutoTokenizer.fromPretrained(
      new MemoryFiles({ ...files, 'config.json': json({ model_type: kind }) }),
    );
    expect(byType).toBeInstanceOf(KINDS[kind].tokenizerClass);
    expect(differences(byType, kind)).toEqual([]);
    const name = `${KINDS[kind].tokenizerClass.name}Fast`;
    const config = {
      'tokenizer_config.json': json({ tokenizer_class: name }),
      'config.json': json({ model_type: 'bert' }),
    };
    expect(await AutoTokenizer.fromPretrained(new MemoryFiles({ ...files, ...config }))).toBeInstanceOf(
      KINDS[kind].tokenizerClass,
    );
  });

  test('by the files alone', async () => {
    const classOf = async (files: Record<string, Uint8Array | string>) =>
      (await AutoTokenizer.fromPretrained(new MemoryFiles(files))).constructor;
    expect(await classOf({ 'vocab.txt': vocabText })).toBe(BertTokenizer);
    expect(await classOf({ 'spm.model': modelOf('deberta-v2') })).toBe(DebertaV2Tokenizer);
    expect(await classOf({ 'spiece.model': modelOf('albert') })).toBe(AlbertTokenizer);
    expect(await classOf({ 'sentencepiece.bpe.model': modelOf('xlm-roberta') })).toBe(XLMRobertaTokenizer);
    expect(await classOf({ 'tokenizer.json': json(converted()) })).toBe(Tokenizer);
    const vocab = Object.fromEntries(['<s>', '<pad>', '</s>', '<unk>', '<mask>', 'a'].map((token, id) => [token, id]));
    expect(await classOf({ 'vocab.json': json(vocab), 'merges.txt': '' })).toBe(RobertaTokenizer);
  });

  test('none, or one that is not there', async () => {
    const { name, message } = await refusalOf(() => AutoTokenizer.fromPretrained(new MemoryFiles({})));
    expect(name).toBe('FileError');
    expect(message).toContain('expected a tokenizer.json or a vocabulary, such as a vocab.txt, got neither');
    const files = new MemoryFiles({ 'config.json': json({ model_type: 'albert' }), 'vocab.txt': vocabText });
    expect((await refusalOf(() => AutoTokenizer.fromPretrained(files))).message).toContain(
      'a tokenizer.json or a spiece.model',
    );
  });
});

describe('WordPiece relatives', () => {
  test('DistilBERT and ELECTRA have the tokenizer of BERT', () => {
    const expected = BertTokenizer.fromVocab(vocabText).encodeBatch(nasty).inputIds;
    for (const tokenizerClass of [DistilBertTokenizer, ElectraTokenizer]) {
      const tokenizer = tokenizerClass.fromVocab(vocabText);
      expect(tokenizer).toBeInstanceOf(tokenizerClass);
      expect(tokenizer.encodeBatch(nasty).inputIds).toEqual(expected);
      expect(tokenizerClass.fromJSON(tokenizerJson()).encodeBatch(nasty).inputIds).toEqual(expected);
    }
  });

  test('MPNet: two </s> between texts, types 0, spaces before the mask', async () => {
    const vocab = ['<s>', '<pad>', '</s>', '[UNK]', 'a', 'b', '<mask>'].join('\n');
    const tokenizer = await AutoTokenizer.fromPretrained(
      new MemoryFiles({ 'vocab.txt': vocab, 'config.json': '{"model_type":"mpnet"}' }),
    );
    expect(tokenizer).toBeInstanceOf(MPNetTokenizer);
    const encoding = tokenizer.encode(['A  <mask>', 'b']);
    expect([...encoding.inputIds]).toEqual([0, 4, 6, 2, 2, 5, 2]);
    expect([...encoding.tokenTypeIds]).toEqual([0, 0, 0, 0, 0, 0, 0]);
    expect(encoding.offsets[2]).toEqual([3, 9]);
    expect([tokenizer.padTokenId, tokenizer.maskTokenId, tokenizer.unkTokenId]).toEqual([1, 6, 3]);
  });
});

describe('stages', () => {
  const base = { vocab: [['<unk>', 0], ['▁', -3], ['a', -1], ['b', -1], ['ab', -2], ['▁a', -2]] as [string, number][] }; // prettier-ignore
  const unigram = (change: Record<string, unknown> = {}, stages: Record<string, unknown> = {}) =>
    XLMRobertaTokenizer.fromJSON({ ...stages, model: { type: 'Unigram', unk_id: 0, ...base, ...change } });

  test('of two ways alike, the first found stays: the longer last token', () => {
    expect(unigram().tokenize('ab')).toEqual(['ab']);
    expect(unigram().tokenize('xyab zz')).toEqual(['xy', 'ab', ' zz']);
    expect([...unigram().encode('xy ').inputIds]).toEqual([0]);
  });

  test('scores of a tokenizer.json lose their last bit in Rust, those of a .model do not', async () => {
    // As oracle: Tokenizer.from_str gives hh, h; models.Unigram on the same numbers h, hh. Both sum to the same, but for rounding.
    const vocab: [string, number][] = [['[UNK]', 0], ['▁wa', -7.6578216552734375], ['h', -6.3560333251953125], ['hh', -9.931070327758789]]; // prettier-ignore
    expect(unigram({ vocab }).tokenize('▁wahhh')).toEqual(['▁wa', 'hh', 'h']);
    const bytes = vocab.flatMap(([token, score]) => {
      const text = new TextEncoder().encode(token);
      const float = new Uint8Array(Float32Array.of(score).buffer);
      return [10, text.length + 7, 10, text.length, ...text, 21, ...float];
    });
    const exact = await DebertaV2Tokenizer.fromPretrained(filesOf('deberta-v2', Uint8Array.from(bytes)));
    expect(exact.tokenize('wahhh')).toEqual(['▁wa', 'h', 'hh']);
  });

  test('unknown text in bytes, where they are all there', () => {
    const bytes = Array.from({ length: 256 }, (_, byte): [string, number] => [
      `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
      -9,
    ]);
    const spelled = unigram({ vocab: [...base.vocab, ...bytes], byte_fallback: true });
    expect(spelled.tokenize('aé')).toEqual(['a', '<0xC3>', '<0xA9>']);
    expect(spelled.encode('aé').offsets).toEqual([[0, 1], [1, 2], [1, 2]]); // prettier-ignore
    expect(unigram({ vocab: [...base.vocab, ...bytes.slice(0, 150)], byte_fallback: true }).tokenize('aé')).toEqual([
      'aé'.slice(0, 1),
      'é',
    ]);
  });

  test('WordLevel', async () => {
    const model = { type: 'WordLevel', vocab: { '<unk>': 0, hello: 1 }, unk_token: '<unk>' };
    const files = new MemoryFiles({
      'tokenizer.json': JSON.stringify({ model, pre_tokenizer: { type: 'WhitespaceSplit' } }),
    });
    const tokenizer = await AutoTokenizer.fromPretrained(files);
    expect([...tokenizer.encode('hello there hello').inputIds]).toEqual([1, 0, 1]);
  });

  const normalized = (normalizer: unknown, text: string) => {
    const { tokens, offsets } = unigram({ vocab: [['<unk>', 0]] }, { normalizer }).encode(text);
    return [tokens.join(''), offsets.at(-1)?.[1] ?? 0];
  };

  test('patterns of Replace', () => {
    const replaced = (Regex: string, text: string) =>
      normalized({ type: 'Replace', pattern: { Regex }, content: '_' }, text)[0];
    expect(replaced(' {2,}', 'a b  c   d')).toBe('a b_c_d');
    expect(replaced('\\s+', 'a\u0085\u2003b\ufeffc')).toBe('a_b\ufeffc');
    expect(replaced('\\A +| +\\z', '  a  b ')).toBe('_a  b_');
    expect(replaced('[a-c]x?|[^\\s!-~]', 'axbé d')).toBe('___ d');
    expect(replaced('a{2}b|.$', 'aab aac')).toBe('_ aa_');
  });

  test.each(['(a|b)', 'a*', 'a+?', '\\p{L}', '\\d', '(?=a)', '[[:alpha:]]', 'a++', '^', ''])(
    'no such pattern: %s',
    async (Regex) => {
      const { name, message } = await refusalOf(() =>
        normalized({ type: 'Replace', pattern: { Regex }, content: '' }, 'a'),
      );
      expect(name).toBe('TokenizerError');
      expect(message).toContain('normalizer.pattern.Regex: expected a regular expression of');
    },
  );

  test('Prepend and Strip keep track of where text was', () => {
    expect(normalized({ type: 'Prepend', prepend: '__' }, 'ab')).toEqual(['__ab', 2]);
    expect(normalized({ type: 'Strip', strip_left: true, strip_right: true }, ' ab  ')).toEqual(['ab', 3]);
    expect(normalized({ type: 'Strip', strip_left: false, strip_right: true }, ' \t')).toEqual(['', 0]);
  });

  test('Metaspace of old files', () => {
    const old = (change: Record<string, unknown>) =>
      unigram({}, { pre_tokenizer: { type: 'Metaspace', replacement: '▁', ...change } }).tokenize('ab a');
    expect(old({ add_prefix_space: true })).toEqual(['▁a', 'b', '▁a']);
    expect(old({ add_prefix_space: false, prepend_scheme: 'never' })).toEqual(['ab', '▁a']);
    expect(old({ prepend_scheme: 'first', split: false })).toEqual(['▁a', 'b', '▁a']);
  });
});

describe('what is wrong is named', () => {
  const fromModel = (bytes: Uint8Array<ArrayBuffer>) =>
    refusalOf(() => XLMRobertaTokenizer.fromPretrained(filesOf('xlm-roberta', bytes)));
  const text = (content: string) => new TextEncoder().encode(content);
  const unigram = (model: unknown, stages = {}) =>
    refusalOf(() => XLMRobertaTokenizer.fromJSON({ ...stages, model: { type: 'Unigram', ...(model as object) } }));

  test('model files', async () => {
    const cases: [Uint8Array<ArrayBuffer>, RegExp][] = [
      [
        new Uint8Array(),
        /sentencepiece\.bpe\.model: expected a piece that stands for what is unknown, of id 0, got 0 pieces/,
      ],
      [
        text('version https://git-lfs.github.com/spec/v1'),
        /expected a protocol buffer, got a field of type 6 at byte 0/,
      ],
      [text('<!doctype html>'), /expected a protocol buffer, got /],
      [modelOf('xlm-roberta').subarray(0, 500), /expected a protocol buffer, got an end after/],
      [Uint8Array.of(10, 2, 10, 0, 18, 2, 24, 2), /expected a unigram model, got bpe; use the tokenizer\.json/],
      [Uint8Array.of(10, 0), /piece 0: expected a text, got none/],
      [Uint8Array.of(10, 4, 10, 2, 0xc3, 0x28), /piece 0: expected text in UTF-8/],
      [Uint8Array.of(10, 4, 10, 0, 24, 9), /piece 0: expected a type from 1 to 6, got 9/],
      [Uint8Array.of(10, 7, 10, 0, 21, 0, 0, 0xc0, 0x7f), /piece 0: expected a finite score, got NaN/],
      [Uint8Array.of(8, 1), /expected a piece as field 1, got a number/],
    ];
    for (const [bytes, expected] of cases) {
      const { name, message } = await fromModel(bytes);
      expect([name, message]).toEqual(['TokenizerError', expect.stringMatching(expected)]);
    }
  });

  test('Unigram', async () => {
    expect((await unigram({ vocab: {} })).message).toContain('model.vocab: expected an array, got {}');
    expect((await unigram({ vocab: [['a', 0], ['b']] })).message).toContain(
      'model.vocab[1]: expected a token and its score',
    );
    expect((await unigram({ vocab: [['a', 0]], unk_id: 1 })).message).toContain(
      'model.unk_id: expected the id of one of 1 tokens, got 1',
    );
    const none = XLMRobertaTokenizer.fromJSON({ model: { type: 'Unigram', vocab: [['a', 0]] } });
    expect(none.tokenize('aa')).toEqual(['a', 'a']);
    const { name, message } = await refusalOf(() => none.encode('ax'));
    expect([name, message]).toEqual([
      'TokenizerError',
      expect.stringContaining('expected a token for "x", or one for what is unknown'),
    ]);
  });

  test('charsmaps', async () => {
    const precompiled = (bytes: Uint8Array | string) =>
      unigram(
        { vocab: [] },
        {
          normalizer: {
            type: 'Precompiled',
            precompiled_charsmap: typeof bytes === 'string' ? bytes : btoa(String.fromCharCode(...bytes)),
          },
        },
      );
    expect((await precompiled('not base64!')).message).toContain('normalizer.precompiled_charsmap: expected base64');
    expect((await precompiled(Uint8Array.of(1))).message).toContain(
      'expected the size of a trie and the trie, got 1 bytes',
    );
    expect((await precompiled(Uint8Array.of(9, 0, 0, 0, 1, 2))).message).toContain('got 9 bytes, of 2 that follow');
    expect((await precompiled(Uint8Array.of(4, 0, 0, 0, 0, 0, 0, 0, 0xc3))).message).toContain(
      'expected replacements in UTF-8',
    );
  });

  test('any bytes in place of others: a tokenizer, or a typed error', async () => {
    const whole = modelOf('albert');
    let refused = 0;
    let seed = 1;
    const random = (below: number) => (seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff) % below;
    for (let round = 0; round < 300; round++) {
      const bytes = whole.slice(0, round % 3 === 0 ? random(whole.length) : whole.length);
      for (let i = 0; i <= round % 8; i++) bytes[random(bytes.length)] = random(256);
      try {
        const tokenizer = await AlbertTokenizer.fromPretrained(filesOf('albert', bytes));
        for (const input of nasty.slice(round % 20, (round % 20) + 20)) tokenizer.encode(input);
      } catch (error) {
        refused++;
        await refusalOf(() => Promise.reject(error as Error));
      }
    }
    expect(refused).toBeGreaterThan(50);
  });
});

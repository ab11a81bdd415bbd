/** Training against the Rust trainers, by a fixture of tools/tokenizer/goldens_training.py. */
import { describe, expect, test } from 'vitest';
import { MemoryFiles } from '../../src/hub/index.ts';
import {
  BertTokenizer,
  type ByteLevelBpeTrainingOptions,
  RobertaTokenizer,
  type TokenizerTrainingProgress,
  trainByteLevelBpe,
  trainWordPiece,
  type WordPieceTrainingOptions,
} from '../../src/tokenizer/index.ts';
import { nasty, readFixture, refusalOf } from './support.ts';

const { texts, cases } = readFixture<{
  texts: string[];
  cases: (
    | { kind: 'bpe'; options: ByteLevelBpeTrainingOptions; tokens: string[]; merges: string[] }
    | { kind: 'wordpiece'; options: WordPieceTrainingOptions; tokens: string[] }
  )[];
}>('training.json');

const train = (kind: 'bpe' | 'wordpiece', options: object) =>
  kind === 'bpe' ? trainByteLevelBpe(texts, options) : trainWordPiece(texts, options);

describe('tokens with their ids, and merges in order, as Rust learns them', () => {
  test.each(cases.map((each) => [each.kind, JSON.stringify(each.options).slice(0, 100), each] as const))(
    '%s %s',
    async (kind, _, expected) => {
      const { tokens, merges } = await train(kind, expected.options);
      expect(tokens).toEqual(expected.tokens);
      if (expected.kind === 'bpe') expect(merges.map((pair) => pair.join(' '))).toEqual(expected.merges);
    },
  );

  test('no case passes for another', async () => {
    for (const expected of cases) {
      for (const other of cases.filter(({ kind }) => kind === expected.kind)) {
        const { tokens } = await train(other.kind, other.options);
        if (other === expected) expect(tokens).toEqual(expected.tokens);
        else expect(tokens).not.toEqual(expected.tokens);
      }
    }
  });

  test('characters with the prefix come in the order of their code points, whatever that of the texts', async () => {
    const { tokens, merges } = await trainWordPiece(texts, { vocabSize: 200 });
    expect(tokens.slice(0, 5)).toEqual(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']);
    const characters = tokens.filter((token) => /^##.$/u.test(token));
    expect(characters.length).toBeGreaterThan(50);
    expect(characters).toEqual([...characters].sort((a, b) => a.codePointAt(2)! - b.codePointAt(2)!));
    const turned = await trainWordPiece([...texts].reverse(), { vocabSize: 200 });
    expect([turned.tokens, turned.merges]).toEqual([tokens, merges]);
  });

  test('a limited alphabet keeps the characters that occur most', async () => {
    const { tokens } = await trainWordPiece(['aaa bb c', 'ddddd ee'], { limitAlphabet: 3, vocabSize: 11 });
    expect(tokens.slice(5)).toEqual(['a', 'b', 'd', '##a', '##b', '##d']);
    const { tokens: with1 } = await trainWordPiece(['aaa bb c'], {
      limitAlphabet: 2,
      initialAlphabet: ['z'],
      vocabSize: 8,
    });
    expect(with1.slice(5)).toEqual(['a', 'z', '##a']);
  });
});

describe('what comes out', () => {
  test('a tokenizer, the same from its files in either form', async () => {
    const bpe = await trainByteLevelBpe(texts, { vocabSize: 500 });
    const wordPiece = await trainWordPiece(texts, { vocabSize: 500, lowercase: false });
    const { 'tokenizer.json': bpeJson, ...bpeOld } = bpe.files();
    const { 'tokenizer.json': wordPieceJson, ...wordPieceOld } = wordPiece.files();
    expect(Object.keys(bpeOld)).toEqual(['tokenizer_config.json', 'vocab.json', 'merges.txt']);
    expect(Object.keys(wordPieceOld)).toEqual(['tokenizer_config.json', 'vocab.txt']);
    const all = [...texts, ...nasty, 'a <mask> b [MASK]'];
    const ids = (tokenizer: BertTokenizer | RobertaTokenizer) => tokenizer.encodeBatch(all).inputIds;
    for (const files of [bpeOld, { 'tokenizer.json': bpeJson }]) {
      expect(ids(await RobertaTokenizer.fromPretrained(new MemoryFiles(files)))).toEqual(ids(bpe.tokenizer));
    }
    for (const files of [wordPieceOld, { 'tokenizer.json': wordPieceJson }]) {
      expect(ids(await BertTokenizer.fromPretrained(new MemoryFiles(files)))).toEqual(ids(wordPiece.tokenizer));
    }
    expect(bpe.tokenizer.decode(bpe.tokenizer.encode(texts[6]).inputIds, { skipSpecialTokens: true })).toBe(texts[6]);
    expect(wordPiece.toJSON()).toEqual(JSON.parse(wordPieceJson));
  });

  test('the same from a stream, with word of how far it is', async () => {
    async function* stream() {
      for (let i = 0; i < 100; i++) {
        await Promise.resolve();
        yield* texts;
      }
    }
    const seen: TokenizerTrainingProgress[] = [];
    const options = {
      vocabSize: 500,
      minFrequency: 100,
      onProgress: (step: TokenizerTrainingProgress) => seen.push(step),
    };
    const { tokens } = await trainByteLevelBpe(stream(), options);
    expect(tokens).toEqual((await trainByteLevelBpe(texts, { vocabSize: 500, minFrequency: 1 })).tokens);
    expect(seen).toEqual([
      { stage: 'texts', done: 1000, total: undefined },
      { stage: 'tokens', done: 300, total: 500 },
      { stage: 'tokens', done: 400, total: 500 },
      { stage: 'tokens', done: 500, total: 500 },
    ]);
  });

  test('of no text: the alphabet', async () => {
    expect((await trainByteLevelBpe([])).tokens.length).toBe(5 + 256);
    expect((await trainWordPiece([''])).tokens).toEqual(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']);
  });
});

test.each<[string, () => Promise<unknown>, RegExp]>([
  [
    'one text for many',
    () => trainWordPiece('text'),
    /^InputError: texts: expected many texts, got "text"; give an array/,
  ],
  [
    'a number among texts',
    () => trainWordPiece(['a', 5] as string[]),
    /^InputError: texts\[1\]: expected a string, got 5/,
  ],
  [
    'a negative size',
    () => trainByteLevelBpe([], { vocabSize: -1 }),
    /^ConfigError: vocabSize: expected a whole number/,
  ],
  ['half a frequency', () => trainByteLevelBpe([], { minFrequency: 0.5 }), /^ConfigError: minFrequency/],
  [
    'an unknown option',
    () => trainWordPiece([], { size: 5 } as object),
    /^ConfigError: options of trainWordPiece: size/,
  ],
  [
    'no unknown token',
    () => trainWordPiece([], { specialTokens: ['[CLS]'] }),
    /specialTokens: expected \[UNK\] among them/,
  ],
  [
    'an empty token',
    () => trainByteLevelBpe([], { specialTokens: [''] }),
    /specialTokens: expected a list of texts, none/,
  ],
  [
    'two characters for one',
    () => trainWordPiece([], { initialAlphabet: ['ab'] }),
    /initialAlphabet: expected characters/,
  ],
])('%s is refused', async (_, action, message) => {
  const refusal = await refusalOf(action);
  expect(`${refusal.name}: ${refusal.message}`).toMatch(message);
});

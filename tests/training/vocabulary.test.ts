import { describe, expect, it } from 'vitest';
import { BertConfig, BertForMaskedLM, loadAnyModel, randomWeights } from '../../src/bert/index.ts';
import { MemoryFiles } from '../../src/hub/index.ts';
import { Engine } from '../../src/tensor/index.ts';
import { AutoTokenizer } from '../../src/tokenizer/index.ts';
import { prunedFiles, prunedVocabulary } from '../../src/training/index.ts';
import { vocabulary } from '../cli/harness.ts';
import { readFixture } from '../support/fixtures.ts';

const corpus = ['The quick brown fox jumps over the lazy dog.', 'hello world, a cat sat on 2 mats!', 'naïve café'];
const unseen = 'Zebras quietly vex 17 jumbled gnomes.';
const tokenizers = {
  WordPiece: { 'tokenizer.json': readFixture('tokenizer/tokenizer.json') },
  'byte-level BPE': { 'tokenizer.json': readFixture('tokenizer/bpe/tokenizer.json') },
  Unigram: { 'tokenizer.json': readFixture('tokenizer/sentencepiece/tokenizer.json') },
  'vocab.txt': { 'vocab.txt': `${vocabulary.join('\n')}\n` },
};

describe.each(Object.entries(tokenizers))('a vocabulary pruned: %s', (_, content) => {
  const files = new MemoryFiles(content as Record<string, Uint8Array | string>);

  it('cuts the texts as before, with new ids, and others without the rest', async () => {
    const before = await AutoTokenizer.fromPretrained(files);
    const pruned = await prunedVocabulary(files, before, corpus);
    const after = await AutoTokenizer.fromPretrained(new MemoryFiles(pruned.files));
    expect(after.vocabSize).toBe(pruned.ids.length);
    expect(pruned.ids.length).toBeLessThan(0.8 * before.vocabSize);
    for (const text of [...corpus, [corpus[0], corpus[1]] as [string, string]]) {
      const [a, b] = [before.encode(text), after.encode(text)];
      expect(b.tokens).toEqual(a.tokens);
      expect(Array.from(b.inputIds, (id) => pruned.ids[id])).toEqual(Array.from(a.inputIds));
      expect(b.tokenTypeIds).toEqual(a.tokenTypeIds);
    }
    const { tokens } = after.encode(unseen);
    for (const token of tokens) expect(before.tokenToId(token)).toBeDefined();
    for (const name of ['clsTokenId', 'sepTokenId', 'padTokenId', 'unkTokenId', 'maskTokenId'] as const) {
      const old = before[name];
      expect(after[name] === undefined ? undefined : pruned.ids[after[name]]).toBe(old);
    }
  });

  it('leaves less with a higher minimum', async () => {
    const tokenizer = await AutoTokenizer.fromPretrained(files);
    const [all, often] = [await prunedVocabulary(files, tokenizer, corpus), await prunedVocabulary(files, tokenizer, corpus, { minimum: 2 })]; // prettier-ignore
    expect(often.ids.length).toBeLessThanOrEqual(all.ids.length);
    expect(all.ids).toEqual(expect.arrayContaining(often.ids));
  });
});

it('a model with fewer words gives the same numbers for those that stay', async () => {
  const engine = new Engine({ dtype: 'float64' });
  const files = new MemoryFiles({ 'vocab.txt': vocabulary.join('\n'), 'tokenizer_config.json': '{"added_tokens_decoder":{"4":{"content":"[MASK]","special":true,"single_word":false,"lstrip":false,"rstrip":false,"normalized":false}}}' }); // prettier-ignore
  const config = new BertConfig({
    ...{ vocabSize: 61, hiddenSize: 24, numHiddenLayers: 2, numAttentionHeads: 3, intermediateSize: 37 },
    ...{ maxPositionEmbeddings: 40, initializerRange: 0.3 },
  });
  const model = new BertForMaskedLM(config, randomWeights(config, { engine })).eval();
  model.predictions.decoderBias!.data.forEach((_, i, data) => (data[i] = Math.sin(i)));
  const tokenizer = await AutoTokenizer.fromPretrained(files);
  const { ids, files: made } = await prunedVocabulary(files, tokenizer, ['hello world', 'a cat sat']);
  const small = (await loadAnyModel(new MemoryFiles(prunedFiles(model, { vocabulary: ids })), {
    engine,
  })) as BertForMaskedLM;
  expect(small.config.vocabSize).toBe(ids.length);
  expect(ids.length).toBeLessThan(20);
  const after = await AutoTokenizer.fromPretrained(new MemoryFiles(made));
  const text = 'hello [MASK] sat';
  const [a, b] = [model.forward(tokenizer.encodeBatch([text])), small.forward(after.encodeBatch([text]))];
  for (let row = 0; row < 5; row++) {
    ids.forEach((id, i) => {
      expect(b.logits.data[row * ids.length + i]).toBeCloseTo(a.logits.data[row * 61 + id], 12);
    });
  }
  expect(JSON.parse(new TextDecoder().decode(made.get('tokenizer_config.json')))).toMatchObject({
    added_tokens_decoder: { 4: { content: '[MASK]' } },
  });
});

describe('refuses', () => {
  it('a tokenizer without a vocabulary that can be changed, and no texts', async () => {
    const files = new MemoryFiles(tokenizers['vocab.txt']);
    const tokenizer = await AutoTokenizer.fromPretrained(files);
    await expect(prunedVocabulary(new MemoryFiles({}), tokenizer, corpus)).rejects.toThrow('vocab.txt');
    await expect(prunedVocabulary(files, tokenizer, [])).rejects.toThrow('at least one');
  });

  it('ids out of order or out of the vocabulary', () => {
    const config = new BertConfig({ vocabSize: 9, hiddenSize: 6, numHiddenLayers: 1, numAttentionHeads: 1, intermediateSize: 6 }); // prettier-ignore
    const model = new BertForMaskedLM(config);
    for (const vocabulary of [[], [0, 9], [3, 2], [1, 1]]) {
      expect(() => prunedFiles(model, { vocabulary })).toThrow('rising ids from 0 to 8');
    }
  });
});

import { describe, expect, it } from 'vitest';
import {
  AutoModelForQuestionAnswering,
  AutoModelForTokenClassification,
  BertConfig,
  BertForPreTraining,
  randomWeights,
} from '../../src/bert/index.ts';
import { MemoryFiles } from '../../src/hub/index.ts';
import { AutoTokenizer } from '../../src/tokenizer/index.ts';
import {
  AnswerExtraction,
  maskStream,
  maskTokens,
  PreTraining,
  TokenClassification,
} from '../../src/training/index.ts';
import { readFixture } from '../support/fixtures.ts';
import { pipelineModel } from '../support/pipelines.ts';

describe('tokens into classes', () => {
  const words = ['The', 'or', '?', 'big', 'The'];
  const special = (content: string) => ({ SpecialToken: { id: content, type_id: 0 } });
  const template = {
    type: 'TemplateProcessing',
    single: [special('<s>'), { Sequence: { id: 'A', type_id: 0 } }, special('</s>')],
    pair: [special('<s>'), { Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 0 } }],
    special_tokens: Object.fromEntries(
      ['<s>', '</s>'].map((content, i) => [content, { id: content, ids: [2 * i], tokens: [content] }]),
    ),
  };
  const bytes = JSON.parse(new TextDecoder().decode(readFixture('tokenizer/bpe/tokenizer.json'))) as object;
  const bpe = (changes: object) =>
    new MemoryFiles({
      'tokenizer.json': JSON.stringify({ ...bytes, ...changes }),
      'tokenizer_config.json': '{}',
      'config.json': '{}',
    });
  // The first tokens of `word_ids` in transformers, of words given one by one.
  const tokenizers: [string, MemoryFiles, string[]][] = [
    ['BERT', pipelineModel('ner'), ['the', 'or', '?', 'bi', 'the']],
    ['DeBERTa v2', pipelineModel('ner', {}, 'debertaV2'), ['▁The', '▁', '▁', '▁b', '▁The']],
    ['bytes, as RoBERTa', bpe({}), ['The', 'Ġ', 'Ġ', 'Ġb', 'Ġ']],
    ['bytes, as ModernBERT', bpe({ post_processor: template }), ['The', 'Ġ', 'Ġ', 'Ġb', 'Ġ']],
  ];
  it.each(tokenizers)('%s: the first token of every word is taught', async (_, files, expected) => {
    const model = await AutoModelForTokenClassification.fromPretrained(pipelineModel('ner'));
    const tokenizer = await AutoTokenizer.fromPretrained(files);
    const { id2label } = model.config;
    const tags = words.map((_, i) => id2label[i % id2label.length]);
    const [{ encoding, labels }] = new TokenClassification(model, tokenizer).prepare({ words, tags });
    const taught = [...encoding.tokens.keys()].filter((i) => labels[i] !== -100);
    expect(taught.map((i) => encoding.tokens[i])).toEqual(expected);
    expect(taught.map((i) => id2label[labels[i]])).toEqual(tags);
    // A pipeline that gives words the label of their first token asks the same ones.
    expect(taught.filter((i) => encoding.wordIds[i] === encoding.wordIds[i - 1])).toEqual([]);
  });
});

describe('answers in a context', () => {
  const context = 'The tower \u200bof Paris\u200b, the big one, is high .';
  const taught = async (files: MemoryFiles, text: string, options = {}, start = context.indexOf(text)) => {
    const model = await AutoModelForQuestionAnswering.fromPretrained(files);
    const recipe = new AnswerExtraction(model, await AutoTokenizer.fromPretrained(files), options);
    return recipe
      .prepare({ id: 'x', question: 'Where?', context, answers: [{ text, start }] })
      .map(({ encoding, start, end }) =>
        start === 0 && end === 0 ? null : context.slice(encoding.starts[start], encoding.ends[end]),
      );
  };
  const answers: [string, string][] = [
    ['Paris', 'Paris'],
    [' Paris\u200b', 'Paris'],
    ['\u200bof Paris', 'of Paris'],
    [' the big ', 'the big'],
    ['one, is high .', 'one, is high .'],
  ];
  it.each(answers)('%j is found, whatever stands at its edges', async (text, expected) => {
    expect(await taught(pipelineModel('qa'), text)).toEqual([expected]);
    const [found] = await taught(pipelineModel('qa', {}, 'debertaV2'), text);
    expect(found?.replaceAll('\u200b', '').trim()).toBe(expected.replaceAll('\u200b', ''));
  });

  it('is taught in the windows that hold all of it', async () => {
    const windows = await taught(pipelineModel('qa'), ' the big one', { maxLength: 16, stride: 4 });
    expect(new Set(windows)).toEqual(new Set([null, 'the big one']));
    expect(await taught(pipelineModel('qa'), context, { maxLength: 16, stride: 4 })).not.toContain(context);
  });

  it('without a token teaches nothing', async () => {
    expect(await taught(pipelineModel('qa'), '\u200b')).toEqual([]);
    expect(await taught(pipelineModel('qa'), '', {}, 4)).toEqual([]);
  });
});

describe('masks', () => {
  const vocabulary = { maskTokenId: 1, vocabSize: 50, specialIds: new Set([0, 1]) };
  const tokens = (count: number) => new Int32Array(count).fill(7);

  it.each(['token', 'word', 'span'] as const)('of unit %s hide the first and last words as often as others', (unit) => {
    const times = new Int32Array(60);
    const words = [null, ...times.keys(), null];
    for (let i = 0; i < 4000; i++) {
      const { positions } = maskTokens(tokens(62), words, maskStream(1, 0, i), vocabulary, { unit });
      expect(positions.length).toBeLessThanOrEqual(9);
      positions.forEach((position) => times[position - 1]++);
    }
    // A token is hidden 600 times, less what spans leave of their budgets, give or take 23.
    const mean = times.reduce((sum, n) => sum + n, 0) / times.length;
    expect(mean).toBeGreaterThan(570);
    for (const n of times) expect(Math.abs(n - mean)).toBeLessThan(110);
  });

  it('of spans hide no more of a short text, or of long words', () => {
    const hidden = (count: number, wordLength: number) => {
      const words = Array.from({ length: count }, (_, i) => Math.floor(i / wordLength));
      return maskTokens(tokens(count), words, 3, vocabulary, { unit: 'span' }).positions.length;
    };
    expect([hidden(3, 1), hidden(7, 1), hidden(20, 1), hidden(20, 2), hidden(60, 4)]).toEqual([1, 1, 3, 2, 8]);
  });
});

describe('pretraining', () => {
  it('evaluates to a loss that does not depend on the batches', async () => {
    const tokenizer = await AutoTokenizer.fromPretrained(pipelineModel('ner'));
    const sizes = { hiddenSize: 16, numHiddenLayers: 1, numAttentionHeads: 2, intermediateSize: 16 };
    const config = new BertConfig({ ...sizes, vocabSize: tokenizer.vocabSize, initializerRange: 0.5 });
    const recipe = new PreTraining(new BertForPreTraining(config, randomWeights(config)), tokenizer);
    // Sixteen short ones, with a word to guess each, and a long one.
    const examples = Array.from({ length: 17 }, (_, i) => {
      const { inputIds } = tokenizer.encode('the big '.repeat(i < 16 ? 1 : 60));
      const wordIds = Array.from(inputIds, (_, t) => (t > 0 && t < inputIds.length - 1 ? t : null));
      const tokenTypeIds = new Int32Array(inputIds.length);
      return { inputIds, tokenTypeIds, wordIds, nextSentenceLabel: i % 2, length: inputIds.length };
    });
    const together = { examples, indices: Int32Array.from(examples.keys()), epoch: -1 };
    expect(recipe.evaluate(examples).eval_loss).toBeCloseTo(recipe.loss(together).data[0], 4);
  });
});

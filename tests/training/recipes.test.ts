import { describe, expect, it } from 'vitest';
import { AutoModelForQuestionAnswering, AutoModelForTokenClassification } from '../../src/bert/index.ts';
import { MemoryFiles } from '../../src/hub/index.ts';
import { AutoTokenizer } from '../../src/tokenizer/index.ts';
import { AnswerExtraction, TokenClassification } from '../../src/training/index.ts';
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

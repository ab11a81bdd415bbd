import { describe, expect, it } from 'vitest';
import { AutoModelForTokenClassification } from '../../src/bert/index.ts';
import { MemoryFiles } from '../../src/hub/index.ts';
import { AutoTokenizer } from '../../src/tokenizer/index.ts';
import { TokenClassification } from '../../src/training/index.ts';
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

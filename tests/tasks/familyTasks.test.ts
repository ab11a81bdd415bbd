import { describe, expect, it } from 'vitest';
import {
  RobertaConfig,
  RobertaForTokenClassification,
  XLMRobertaConfig,
  XLMRobertaForQuestionAnswering,
  XLMRobertaForSequenceClassification,
  XLMRobertaForTokenClassification,
} from '../../src/bert/index.ts';
import { CheckpointError } from '../../src/errors.ts';
import { MemoryFiles } from '../../src/hub/index.ts';
import { questionAnswering, rerank, textClassification, tokenClassification } from '../../src/tasks/index.ts';
import { AutoTokenizer } from '../../src/tokenizer/index.ts';

// What the tasks do with tokenizers that are not BERT's: XLM-RoBERTa's, whose texts are all of type 0, and RoBERTa's bytes.

const specials = ['<s>', '<pad>', '</s>', '<unk>', '<mask>'];
const sizes = { hiddenSize: 8, numHiddenLayers: 1, numAttentionHeads: 2, intermediateSize: 8, typeVocabSize: 1 };
const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
const sequence = (id: string) => ({ Sequence: { id, type_id: 0 } });
const [cls, sep] = [special('<s>'), special('</s>')];
const addedTokens = specials.map((content, id) => ({
  ...{ id, content, special: true, single_word: false, lstrip: false, rstrip: false, normalized: false },
}));
const load = (json: object) =>
  AutoTokenizer.fromPretrained(
    new MemoryFiles({
      'tokenizer.json': JSON.stringify({ version: '1.0', added_tokens: addedTokens, ...json }),
      'tokenizer_config.json': JSON.stringify({ model_max_length: 32, cls_token: '<s>', unk_token: '<unk>' }),
      'config.json': '{}',
    }),
  );

const letters = Array.from({ length: 26 }, (_, i) => String.fromCharCode(97 + i));
const pieces = ['▁', '▁new', '▁york', 'é', 'ö', ...letters];
const sentencePiece = () =>
  load({
    model: {
      ...{ type: 'Unigram', unk_id: 3, byte_fallback: false },
      vocab: [...specials.map((token) => [token, 0]), ...pieces.map((piece) => [piece, piece.length > 1 ? -1 : -3])],
    },
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
    decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
    post_processor: {
      type: 'TemplateProcessing',
      single: [cls, sequence('A'), sep],
      pair: [cls, sequence('A'), sep, sep, sequence('B'), sep],
      special_tokens: {
        '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] },
        '</s>': { id: '</s>', ids: [2], tokens: ['</s>'] },
      },
    },
  });
const vocabSize = specials.length + pieces.length;
const xlmRoberta = (labels: string[]) =>
  new XLMRobertaConfig({ ...sizes, vocabSize, padTokenId: 1, maxPositionEmbeddings: 34, id2label: labels });

describe('a model of one segment', () => {
  const long = 'new york '.repeat(40);

  it('reads the windows of a pair, whatever types the tokenizer gives them', async () => {
    const tokenizer = await sentencePiece();
    const [second] = tokenizer.encode(['a', long], { maxLength: 32, truncation: 'only_second' }).overflowing;
    expect(Array.from(second.tokenTypeIds)).toContain(1); // as in Rust
    const ask = questionAnswering({ model: new XLMRobertaForQuestionAnswering(xlmRoberta(['a'])), tokenizer });
    const { answer, start, end, truncated } = await ask('a', long);
    expect([answer, truncated]).toEqual([long.slice(start, end), false]);
    const rank = rerank({ model: new XLMRobertaForSequenceClassification(xlmRoberta(['a'])), tokenizer });
    expect((await rank('a', [long], { overflow: 'chunk' }))[0].truncated).toBe(false);
  });
});

describe('words of entities', () => {
  const strategies = ['simple', 'first', 'average', 'max'] as const;

  it.each(strategies)('of SentencePiece, %s, keep the spaces between them', async (aggregationStrategy) => {
    const model = new XLMRobertaForTokenClassification(xlmRoberta(['place']));
    const [entity] = await tokenClassification({ model, tokenizer: await sentencePiece() })('new york', {
      aggregationStrategy,
    });
    expect(entity).toMatchObject({ entity: 'place', word: 'new york', start: 0, end: 8 });
  });

  it.each(strategies)('of bytes, %s, are read once', async (aggregationStrategy) => {
    const bytes = 'ÃīlysÃ©eĠ'; // "Élysée ", as the bytes are written
    const vocab = Object.fromEntries([...specials, ...new Set(bytes)].map((token, id) => [token, id]));
    const tokenizer = await load({
      model: { type: 'BPE', vocab, merges: [], unk_token: null, fuse_unk: false, byte_fallback: false },
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
      post_processor: {
        ...{
          type: 'RobertaProcessing',
          sep: ['</s>', 2],
          cls: ['<s>', 0],
          trim_offsets: true,
          add_prefix_space: false,
        },
      },
    });
    const config = new RobertaConfig({
      ...{ ...sizes, vocabSize: Object.keys(vocab).length, padTokenId: 1, maxPositionEmbeddings: 34 },
      id2label: ['place'],
    });
    const find = tokenClassification({ model: new RobertaForTokenClassification(config), tokenizer });
    const [entity] = await find('Élysée', { aggregationStrategy });
    expect(entity).toMatchObject({ word: 'Élysée', start: 0, end: 6 });
  });
});

it('a model whose numbers are not finite is refused, not sorted by them', async () => {
  const model = new XLMRobertaForSequenceClassification(xlmRoberta(['a', 'b']));
  model.classifier.bias!.data[1] = NaN;
  const classify = textClassification({ model, tokenizer: await sentencePiece() });
  await expect(classify('new')).rejects.toThrow(CheckpointError);
  await expect(classify('new')).rejects.toThrow('output of the model: expected finite numbers, got NaN');
});

import { describe, expect, it } from 'vitest';
import { addLora, BertConfig, BertForMaskedLM, BertModel, randomWeights } from '../../src/bert/index.ts';
import { MemoryFiles } from '../../src/hub/index.ts';
import { Engine } from '../../src/tensor/index.ts';
import { BertTokenizer } from '../../src/tokenizer/index.ts';
import {
  EmbeddingDistillation,
  fineTune,
  MaskedLanguageModelling,
  MaskedLMDistillation,
  SentenceSimilarity,
  type FineTuneOptions,
  type Recipe,
  type TrainingStore,
} from '../../src/training/index.ts';
import { vocabulary } from '../cli/harness.ts';

// A training of one step is stopped, and resumed with something else: exactly what it refuses.

const tokenizer = await BertTokenizer.fromPretrained(new MemoryFiles({ 'vocab.txt': vocabulary.join('\n') }));
const engine = new Engine({ threads: 1 });
const config = new BertConfig({
  ...{ vocabSize: 61, hiddenSize: 12, numHiddenLayers: 1, numAttentionHeads: 3, intermediateSize: 20 },
  ...{ maxPositionEmbeddings: 40, initializerRange: 0.3 },
});
const weights = (seed: number) => randomWeights(config, { engine, seed });
const words = (seed = 1) => new BertForMaskedLM(config, weights(seed));
const encoder = (seed = 1) => new BertModel(config, weights(seed));
const documents = [['hello world a cat sat on the mat'], ['the cat sat']];
const pairs = [
  { texts: ['a cat', 'the cat'], score: 0.9 },
  { texts: ['a cat', 'hello'], score: 0.1 },
];

interface Training {
  recipe: unknown;
  examples: readonly unknown[];
  options?: FineTuneOptions;
}

const mlm = (masking = {}, options = {}): Training => ({
  recipe: new MaskedLanguageModelling(words(), tokenizer, masking),
  examples: documents,
  options,
});
const adapted = (lora = {}, seed = 1): Training => {
  const model = words(seed);
  const parameters = addLora(model, { rank: 2, ...lora });
  return { recipe: new MaskedLanguageModelling(model, tokenizer), examples: documents, options: { parameters } };
};
const similarity = (options = {}): Training => ({
  recipe: new SentenceSimilarity(encoder(), tokenizer, options),
  examples: pairs,
});
const taughtWords = (options = {}, teacher = words(2)): Training => ({
  recipe: new MaskedLMDistillation(words(), teacher, tokenizer, options),
  examples: documents,
});
const taughtVectors = (options = {}, teacher = encoder(2)): Training => ({
  recipe: new EmbeddingDistillation(encoder(), teacher, tokenizer, options),
  examples: pairs,
});
const noDecay = { decayExclude: (name: string) => name.includes('bias') };

async function train({ recipe, examples, options }: Training, store: TrainingStore, resume: boolean) {
  const controller = new AbortController();
  const onLog = () => controller.abort();
  const rest = { epochs: 2, store, resume, ...options, ...(!resume && { signal: controller.signal, onLog }) };
  return fineTune(recipe as Recipe<unknown, never>, examples, [], rest);
}

describe('resume', () => {
  const cases: [message: string, begun: () => Training, other: () => Training][] = [
    ['maskUnit: expected "token", got "word"', () => mlm(), () => mlm({ unit: 'word' })],
    ['maskProbability: expected 0.15, got 0.3', () => mlm(), () => mlm({ probability: 0.3 })],
    ['decayExclude: expected "none"', () => mlm(), () => mlm({}, noDecay)],
    ['groupByLength', () => mlm(), () => mlm({}, { groupByLength: true })],
    ['alpha / rank of adapters: expected "2", got "4"', () => adapted(), () => adapted({ alpha: 8 })],
    ['a parameter that is trained', () => adapted(), () => adapted({ targets: ['query'] })],
    ['digest of the model', () => adapted(), () => adapted({}, 2)],
    ['similarityLoss', () => similarity(), () => similarity({ loss: 'ranking' })],
    ['scoreRange', () => similarity(), () => similarity({ scoreRange: [0, 2] })],
    ['temperature: expected 2, got 3', () => taughtWords(), () => taughtWords({ temperature: 3 })],
    ['weights: expected "5,2,1"', () => taughtWords(), () => taughtWords({ weights: { soft: 4 } })],
    ['digest of the teacher', () => taughtWords(), () => taughtWords({}, words(3))],
    ['alpha: expected 1, got 0.5', () => taughtVectors(), () => taughtVectors({ alpha: 0.5 })],
    ['digest of the teacher', () => taughtVectors(), () => taughtVectors({}, encoder(3))],
  ];
  it.each(cases)('with another %s is refused; with the same it goes on', async (message, begun, other) => {
    const files = new Map<string, Uint8Array>();
    const store = {
      write: async (name: string, bytes: Uint8Array) => void files.set(name, bytes),
      read: async (name: string) => files.get(name),
    };
    expect(await train(begun(), store, false)).toMatchObject({ steps: 1, stopped: 'aborted' });
    await expect(train(other(), store, true)).rejects.toThrow(message);
    expect(await train(begun(), store, true)).toMatchObject({ steps: 2, stopped: 'done' });
  });
});

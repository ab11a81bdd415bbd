import { describe, expect, it } from 'vitest';
import {
  BertConfig,
  BertForMaskedLM,
  BertForSequenceClassification,
  BertModel,
  randomWeights,
} from '../../src/bert/index.ts';
import { MemoryFiles } from '../../src/hub/index.ts';
import { Engine, withGradients, zeroGradients } from '../../src/tensor/index.ts';
import { BertTokenizer } from '../../src/tokenizer/index.ts';
import {
  Distillation,
  EmbeddingDistillation,
  fineTune,
  MaskedLanguageModelling,
  MaskedLMDistillation,
  SentenceSimilarity,
  TextRegression,
  type ExampleBatch,
  type TokenExample,
} from '../../src/training/index.ts';
import { vocabulary } from '../cli/harness.ts';

const engine = new Engine({ dtype: 'float64' });
const tokenizer = await BertTokenizer.fromPretrained(new MemoryFiles({ 'vocab.txt': vocabulary.join('\n') }));
const config = (changes = {}) =>
  new BertConfig({
    ...{ vocabSize: 61, hiddenSize: 24, numHiddenLayers: 2, numAttentionHeads: 3, intermediateSize: 37 },
    ...{ maxPositionEmbeddings: 40, initializerRange: 0.3, ...changes },
  });
const weights = (c: BertConfig, seed: number) => randomWeights(c, { engine, seed });
const masked = (seed: number, changes = {}) =>
  new BertForMaskedLM(config(changes), weights(config(changes), seed)).eval();
const encoder = (seed: number, changes = {}) => new BertModel(config(changes), weights(config(changes), seed)).eval();

const rowsOf = ({ data, shape: [rows, width] }: { data: ArrayLike<number>; shape: readonly number[] }) =>
  Array.from({ length: rows }, (_, i) => Array.from({ length: width }, (_, j) => data[i * width + j]));
const softmax = (row: number[], t: number) => {
  const e = row.map((x) => Math.exp(x / t));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((x) => x / sum);
};
const average = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const cosine = (a: number[], b: number[]) => {
  const dot = (x: number[], y: number[]) => x.reduce((sum, value, i) => sum + value * y[i], 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
};

describe('on plain text', () => {
  const documents = [['hello world a cat sat on the mat'], ['the cat sat', 'a world sat on a cat']];
  const batchOf = (recipe: { prepare(d: readonly string[]): TokenExample[] }): ExampleBatch<TokenExample> => {
    const examples = documents.flatMap((document) => recipe.prepare(document));
    return { examples, indices: Int32Array.from(examples, (_, i) => i), epoch: 0 };
  };
  const setUp = (seed = 1) => {
    const [student, teacher] = [masked(seed), masked(2)];
    const options = { temperature: 3, weights: { soft: 5, words: 2, cosine: 1.5 }, probability: 0.4, seed: 4 };
    return { student, teacher, recipe: new MaskedLMDistillation(student, teacher, tokenizer, options) };
  };

  it('is the three losses together, of the same hidden words', () => {
    const { student, teacher, recipe } = setUp();
    const batch = batchOf(recipe);
    const hidden = new MaskedLanguageModelling(student, tokenizer, { probability: 0.4, seed: 4 }).mask(batch);
    const run = (model: BertForMaskedLM) => ({
      states: rowsOf(model.bert.forward(hidden.batch).lastHiddenState),
      logits: rowsOf(model.forward(hidden.batch).logits).filter((_, row) => hidden.rows.includes(row)),
    });
    const [own, taught] = [run(student), run(teacher)];
    const soft = own.logits.map((row, i) => {
      const [q, p] = [softmax(row, 3), softmax(taught.logits[i], 3)];
      return 9 * p.reduce((sum, x, j) => sum + x * Math.log(x / q[j]), 0);
    });
    const words = own.logits.map((row, i) => -Math.log(softmax(row, 1)[hidden.labels[i]]));
    const unlike = own.states.map((row, i) => 1 - cosine(row, taught.states[i]));
    const expected = 5 * average(soft) + 2 * average(words) + 1.5 * average(unlike);
    expect(own.logits.length).toBeGreaterThan(3);
    expect(recipe.loss(batch).data[0]).toBeCloseTo(expected, 10);
  });

  it('has the gradient of that loss in the student, and none in the teacher', () => {
    const { student, teacher, recipe } = setUp();
    const batch = batchOf(recipe);
    const parameters = [...student.parameters(), ...teacher.parameters()];
    zeroGradients(parameters);
    withGradients(parameters, (backward) => backward(recipe.loss(batch)));
    for (const parameter of teacher.parameters()) expect(parameter.grad?.data.every((x) => x === 0) ?? true).toBe(true);
    const { weight } = student.bert.encoder.layers[0].attentionOutput;
    for (const place of [0, 77, 300]) {
      const before = weight.data[place];
      const at = (x: number) => {
        weight.data[place] = x;
        return recipe.loss(batch).data[0];
      };
      const slope = (at(before + 1e-5) - at(before - 1e-5)) / 2e-5;
      weight.data[place] = before;
      expect(weight.grad!.data[place]).toBeCloseTo(slope, 6);
    }
  });

  it('has nothing soft to learn from a teacher that is the same', () => {
    const { student, recipe } = setUp(2);
    const batch = batchOf(recipe);
    const words = new MaskedLanguageModelling(student, tokenizer, { probability: 0.4, seed: 4 }).loss(batch);
    expect(recipe.loss(batch).data[0]).toBeCloseTo(2 * words.data[0], 10);
  });

  it('refuses another vocabulary, and another width with the cosine', () => {
    const make =
      (changes: object, options = {}) =>
      () =>
        new MaskedLMDistillation(masked(1, changes), masked(2), tokenizer, options);
    expect(make({ vocabSize: 60 })).toThrow('vocabulary of the student');
    expect(make({ hiddenSize: 12 })).toThrow('hidden size of the student: expected that of the teacher, 24, got 12');
    expect(make({ hiddenSize: 12 }, { weights: { cosine: 0 } })).not.toThrow();
    expect(make({}, { temperature: 0 })).toThrow('temperature');
  });
});

describe('of sentence vectors', () => {
  const texts = ['hello world', 'a cat sat on the mat', 'the world!', 'cats sat'];
  const alone = texts.map((text) => ({ texts: [text] }));
  const pairs = [{ texts: ['a cat', 'the cat'], score: 0.9 }, { texts: ['hello', 'the mat sat'], score: 0.1 }]; // prettier-ignore
  const vectors = (model: BertModel, list: string[]) =>
    list.map((text) => {
      const rows = rowsOf(model.forward(tokenizer.encodeBatch([text])).lastHiddenState);
      return rows[0].map((_, j) => average(rows.map((row) => row[j])));
    });
  const batchOf = <P extends { length: number }, E>(recipe: { prepare(example: E): P[] }, examples: E[]) => ({
    examples: examples.flatMap((example) => recipe.prepare(example)),
    indices: Int32Array.from(examples, (_, i) => i),
    epoch: 0,
  });

  it('is the mean of 1 - cosine; of scored pairs, mixed with what the scores say', () => {
    const [student, teacher] = [encoder(1), encoder(2)];
    const soft = (list: string[]) => {
      const [a, b] = [vectors(student, list), vectors(teacher, list)];
      return average(a.map((row, i) => 1 - cosine(row, b[i])));
    };
    const recipe = new EmbeddingDistillation(student, teacher, tokenizer);
    expect(recipe.loss(batchOf(recipe, alone)).data[0]).toBeCloseTo(soft(texts), 12);
    const mixed = new EmbeddingDistillation(student, teacher, tokenizer, { alpha: 0.25 });
    const hard = average(
      pairs.map((pair) => {
        const [a, b] = vectors(student, pair.texts);
        return (cosine(a, b) - pair.score) ** 2;
      }),
    );
    const expected = 0.25 * soft(pairs.flatMap((pair) => pair.texts)) + 0.75 * hard;
    expect(mixed.loss(batchOf(mixed, pairs)).data[0]).toBeCloseTo(expected, 12);
  });

  it('brings the student to the teacher', async () => {
    const [student, teacher] = [encoder(1, { numHiddenLayers: 1 }), encoder(2)];
    const recipe = new EmbeddingDistillation(student, teacher, tokenizer);
    const before = recipe.evaluate(alone).cosine;
    await fineTune(recipe, alone, [], { epochs: 80, batchSize: 4, lr: 0.005, dropout: 0 });
    expect(recipe.evaluate(alone).cosine).toBeGreaterThan(Math.max(0.95, before + 0.1));
    expect(recipe.evaluate(pairs)).toHaveProperty('spearman');
  });

  it('evaluates with one pass of the teacher over each text', () => {
    const [student, teacher] = [encoder(1), encoder(2)];
    const recipe = new EmbeddingDistillation(student, teacher, tokenizer);
    let passes = 0;
    teacher.hook('embeddings', (output) => {
      passes++;
      return output;
    });
    const pairs = [
      { texts: ['hello', 'a cat'], score: 0.1 },
      { texts: ['the cat'] },
      { texts: ['the cat', 'a cat sat'], score: 0.9 },
    ];
    const { spearman } = recipe.evaluate(pairs);
    expect(passes).toBe(1);
    expect(spearman).toBe(new SentenceSimilarity(student, tokenizer).evaluate(pairs).spearman);
  });

  it('refuses another width and a share beyond 1', () => {
    expect(() => new EmbeddingDistillation(encoder(1, { hiddenSize: 12 }), encoder(2), tokenizer)).toThrow(
      'hidden size',
    );
    expect(() => new EmbeddingDistillation(encoder(1), encoder(2), tokenizer, { alpha: 2 })).toThrow('alpha');
  });

  it('refuses another vocabulary, and scores that no cosine can be where they count', () => {
    const other = encoder(1, { vocabSize: 60 });
    expect(() => new EmbeddingDistillation(other, encoder(2), tokenizer)).toThrow('vocabulary of the student');
    const rated = { texts: ['hello', 'world'], score: 4.5 };
    const mixed = new EmbeddingDistillation(encoder(1), encoder(2), tokenizer, { alpha: 0.5 });
    expect(() => mixed.prepare(rated)).toThrow('distillation: score: expected -1 to 1, as a cosine, got 4.5');
    expect(new EmbeddingDistillation(encoder(1), encoder(2), tokenizer).prepare(rated)).toHaveLength(1);
  });
});

describe('of a regression', () => {
  it('is the squared distance of the numbers', () => {
    const options = config({ id2label: ['LABEL_0'] });
    const make = (seed: number) => new BertForSequenceClassification(options, weights(options, seed)).eval();
    const [student, teacher] = [make(1), make(2)];
    const inner = new TextRegression(student, tokenizer);
    const recipe = new Distillation(inner, teacher, { alpha: 0.25 });
    const data = [{ text: 'hello world', score: 0.5 }, { text: 'a cat', score: -1 }]; // prettier-ignore
    const examples = data.flatMap((example) => recipe.prepare(example));
    const number = (model: BertForSequenceClassification, text: string) =>
      model.forward(tokenizer.encodeBatch([text])).logits.data[0];
    const parts = data.map(({ text, score }) => {
      const own = number(student, text);
      return 0.25 * (own - number(teacher, text)) ** 2 + 0.75 * (own - score) ** 2;
    });
    const loss = recipe.loss({ examples, indices: Int32Array.of(0, 1), epoch: 0 });
    expect(loss.data[0]).toBeCloseTo(average(parts), 12);
  });
});

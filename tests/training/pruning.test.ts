import { describe, expect, it } from 'vitest';
import {
  BertConfig,
  BertForSequenceClassification,
  loadAnyModel,
  randomWeights,
  type BertPreTrainedModel,
} from '../../src/bert/index.ts';
import { MemoryFiles } from '../../src/hub/index.ts';
import type { FeedForward, Linear } from '../../src/layers/index.ts';
import { Engine } from '../../src/tensor/index.ts';
import { BertTokenizer } from '../../src/tokenizer/index.ts';
import {
  importanceByGradient,
  importanceByNorm,
  prunedFiles,
  TextClassification,
  type PruningOptions,
} from '../../src/training/index.ts';
import { vocabulary } from '../cli/harness.ts';

const inputs = { inputIds: [[2, 9, 5, 7, 3], [2, 30, 3]] }; // prettier-ignore
const engine = new Engine({ dtype: 'float64' });
const config = new BertConfig({
  ...{ vocabSize: 61, hiddenSize: 24, numHiddenLayers: 2, numAttentionHeads: 3, intermediateSize: 37 },
  ...{ maxPositionEmbeddings: 40, initializerRange: 0.3 },
});
const load = () => new BertForSequenceClassification(config, randomWeights(config, { engine })).eval();
const prune = (model: BertPreTrainedModel, options: PruningOptions) =>
  loadAnyModel(new MemoryFiles(prunedFiles(model, options)), { engine }) as Promise<BertForSequenceClassification>;
const logits = (model: BertForSequenceClassification) => Array.from(model.forward(inputs).logits.data);
const distance = (a: number[], b: number[]) => Math.max(...a.map((x, i) => Math.abs(x - b[i])));

/** Multiplies some of the inputs of a layer. */
function gate({ weight }: Linear, from: number, to: number, factor: number): void {
  const [, columns] = weight.shape;
  weight.set(weight.toTensor().data.map((x, i) => (i % columns >= from && i % columns < to ? x * factor : x)));
}

describe('pruning', () => {
  it('of columns that nothing reads changes nothing, of others it does', async () => {
    const model = load();
    for (const { feedForward } of model.bert.encoder.layers) gate((feedForward as FeedForward).down, 5, 17, 0);
    const small = await prune(model, { feedForward: 12 / 37 });
    expect(small.config).toMatchObject({ intermediateSize: 25, hiddenSize: 24, numAttentionHeads: 3 });
    expect(small.config.toJSON()).not.toHaveProperty('attention_head_size');
    expect(distance(logits(small), logits(model))).toBeLessThan(1e-12);
    expect(distance(logits(await prune(model, { feedForward: 13 / 37 })), logits(model))).toBeGreaterThan(1e-7);
  });

  it('of heads that nothing reads changes nothing, of others it does', async () => {
    const model = load();
    model.bert.encoder.layers.forEach(({ attentionOutput }, i) => gate(attentionOutput, 8 * i, 8 * (i + 1), 0));
    const small = await prune(model, { heads: 1 / 3 });
    expect(small.config.toJSON()).toMatchObject({ num_attention_heads: 2, attention_head_size: 8, hidden_size: 24 });
    expect(small.bert.encoder.layers[0].attentionOutput.weight.shape).toEqual([24, 16]);
    expect(distance(logits(small), logits(model))).toBeLessThan(1e-12);
    expect(distance(logits(await prune(model, { heads: 2 / 3 })), logits(model))).toBeGreaterThan(1e-7);
  });

  it('of layers leaves the others, in the order that was asked for', async () => {
    const model = load();
    const one = await prune(model, { layers: [1] });
    expect(one.config.numHiddenLayers).toBe(1);
    const [kept] = one.bert.encoder.layers;
    expect(kept.attentionOutput.weight.toTensor().data).toEqual(
      model.bert.encoder.layers[1].attentionOutput.weight.toTensor().data,
    );
    const twice = await prune(await prune(model, { layers: [1, 0] }), { layers: [1, 0] });
    expect(logits(twice)).toEqual(logits(model));
  });

  it('by magnitude sets the smallest to zero', async () => {
    const small = await prune(load(), { magnitude: 0.3 });
    const { data } = small.bert.encoder.layers[0].attentionOutput.weight.toTensor();
    expect(data.filter((x) => x === 0)).toHaveLength(Math.round(0.3 * 24 * 24));
  });

  it.each([
    [{ layers: [0, 2] }, 'pruning: layers: expected different numbers from 0 to 1'],
    [{ layers: [] }, 'pruning: layers'],
    [{ heads: 1 }, 'pruning: heads: expected a share from 0 to below 1'],
  ])('refuses %j', (options, message) => {
    const model = load();
    expect(() => prunedFiles(model, options)).toThrow(message);
  });
});

describe('importance', () => {
  it('by gradient is how much the loss changes with a gate', async () => {
    const model = load();
    const tokenizer = await BertTokenizer.fromPretrained(new MemoryFiles({ 'vocab.txt': vocabulary.join('\n') }));
    const recipe = new TextClassification(model, tokenizer);
    const examples = [
      { text: 'hello world', label: model.config.id2label[0] },
      { text: 'a cat sat', label: model.config.id2label[1] },
    ];
    const batch = { examples: examples.flatMap((e) => recipe.prepare(e)), indices: Int32Array.of(0, 1), epoch: 0 };
    const importance = await importanceByGradient(recipe, examples);
    const slope = (layer: Linear, from: number, to: number) => {
      const weights = layer.weight.toTensor().data.slice();
      const lossAt = (factor: number) => {
        gate(layer, from, to, factor);
        const loss = recipe.loss(batch).data[0];
        layer.weight.set(weights);
        return loss;
      };
      return Math.abs(lossAt(1 + 1e-5) - lossAt(1 - 1e-5)) / 2e-5;
    };
    model.bert.encoder.layers.forEach(({ attentionOutput, feedForward }, i) => {
      const heads = [0, 1, 2].map((head) => slope(attentionOutput, 8 * head, 8 * (head + 1)));
      expect(distance(heads, Array.from(importance.heads[i]))).toBeLessThan(1e-9);
      const columns = Array.from({ length: 37 }, (_, c) => slope((feedForward as FeedForward).down, c, c + 1));
      expect(distance(columns, Array.from(importance.columns[i]))).toBeLessThan(1e-9);
      expect(Math.max(...columns)).toBeGreaterThan(1e-6);
    });
  });

  it('by norm needs no data', () => {
    const model = load();
    const { heads, columns } = importanceByNorm(model);
    expect([heads.length, heads[0].length, columns[1].length]).toEqual([2, 3, 37]);
    const { up, down } = model.bert.encoder.layers[1].feedForward as FeedForward;
    const norm = (x: Iterable<number>) => Math.hypot(...x);
    const row = up.weight.toTensor().data.subarray(4 * 24, 5 * 24);
    const column = down.weight.toTensor().data.filter((_, i) => i % 37 === 4);
    expect(columns[1][4]).toBeCloseTo(norm(row) * norm(column), 12);
  });
});

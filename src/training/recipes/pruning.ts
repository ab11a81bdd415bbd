import {
  BertEmbeddings,
  BertEncoder,
  filesOf,
  MaskedLanguageModelHead,
  positionsOf,
  type BertConfigOptions,
  type BertLayer,
  type BertPreTrainedModel,
} from '../../bert/index.ts';
import { ConfigError, show } from '../../errors.ts';
import { FeedForward, Linear, MultiHeadSelfAttention } from '../../layers/index.ts';
import { withGradients, zeroGradients, type Tensor } from '../../tensor/index.ts';
import type { Recipe } from './recipe.ts';

/** What is taken away. */
export interface PruningOptions {
  /** Numbers of the layers that stay, in this order. Default: all. */
  layers?: readonly number[];
  /** Share of the columns of every feed-forward network, 0 to below 1: the least important of each. */
  feedForward?: number;
  /** Share of the heads of every layer, 0 to below 1. No version 5 of transformers loads a model with fewer heads of the same size. */
  heads?: number;
  /** Share of the weights of every matrix of the layers that become zero, 0 to below 1: the smallest. They take the same room and time. */
  magnitude?: number;
  /** Ids of the tokens that stay, rising, as `prunedVocabulary` gives them: rows of the word embeddings and of what predicts words. */
  vocabulary?: readonly number[];
  /** What heads and columns are worth; default `importanceByNorm`. */
  importance?: Importance;
}

/** For each layer of the encoder, a number for every head and one for every column of the feed-forward network. */
export interface Importance {
  heads: Float64Array[];
  columns: Float64Array[];
}

/** A smaller model as files, for `fromPretrained` of a `MemoryFiles`, or to be written to a folder. */
export function prunedFiles(
  model: BertPreTrainedModel,
  options: PruningOptions,
  producer?: string,
): Map<string, Uint8Array> {
  const { feedForward = 0, heads = 0, magnitude = 0, importance = importanceByNorm(model) } = options;
  for (const [what, share] of Object.entries({ feedForward, heads, magnitude })) {
    if (share >= 0 && share < 1) continue;
    throw new ConfigError({ what: `pruning: ${what}`, expected: 'a share from 0 to below 1', got: show(share) });
  }
  const encoder = encoderOf(model);
  const tensors = new Map<string, PlainTensor>(model.stateDict());
  const changes: Partial<BertConfigOptions> = {};
  const change = (layer: Linear, name: 'weight' | 'bias', f: (x: PlainTensor) => PlainTensor) => {
    const key = layer[name]?.name;
    if (key !== undefined) tensors.set(key, f(tensors.get(key)!));
  };
  /** Which outputs of some layers, and which inputs of the layer after them, stay. */
  const keep = (from: readonly Linear[], to: Linear, indices: number[]) => {
    for (const layer of from) {
      change(layer, 'weight', (x) => rowsOf(x, indices));
      change(layer, 'bias', (x) => rowsOf(x, indices));
    }
    change(to, 'weight', (x) => columnsOf(x, indices));
  };
  [...new Set(encoder.layers)].forEach((layer, i) => {
    if (feedForward > 0) {
      const { up, down } = plainFeedForward(layer);
      const kept = best(importance.columns[i], feedForward);
      keep([up], down, kept);
      changes.intermediateSize = kept.length;
    }
    if (heads > 0) {
      const { query, key, value } = plainAttention(layer, encoder);
      const kept = best(importance.heads[i], heads);
      const size = query.weight.shape[0] / layer.attention.heads;
      const columns = kept.flatMap((head) => Array.from({ length: size }, (_, j) => head * size + j));
      keep([query, key, value], layer.attentionOutput, columns);
      Object.assign(changes, { numAttentionHeads: kept.length, attentionHeadSize: size });
    }
    if (magnitude > 0) {
      for (const linear of layer.modules().filter((module) => module instanceof Linear)) {
        change(linear, 'weight', (x) => withoutSmallest(x, magnitude));
      }
    }
  });
  if (options.layers) {
    keepLayers(encoder, options.layers, tensors);
    changes.numHiddenLayers = options.layers.length;
  }
  if (options.vocabulary) Object.assign(changes, keepTokens(model, options.vocabulary, tensors));
  return filesOf(model, model.config.with(changes), tensors, producer);
}

/**
 * How much the loss would change without each head and column, to first order, on examples: the sum over batches of |∂loss/∂gate|,
 * with a gate of 1 on what the head or column gives. That derivative is Σ weight · gradient over the column, of the matrix that
 * reads it. Sources: Michel et al. 2019, arXiv:1905.10650, §4.1; Molchanov et al. 2017, arXiv:1611.06440.
 */
export function importanceByGradient<Example, Prepared extends { length: number }>(
  recipe: Recipe<Example, Prepared>,
  examples: readonly Example[],
  { batchSize = 8, onBatch = (_done: number, _total: number): void | Promise<void> => {} } = {},
): Promise<Importance> {
  const { model } = recipe;
  const prepared = examples.flatMap((example) => recipe.prepare(example));
  if (prepared.length === 0)
    throw new ConfigError({ what: 'examples for pruning', expected: 'at least one', got: 'none' });
  const layers = layersOf(model);
  const downs = layers.map((layer) => (layer.feedForward instanceof FeedForward ? layer.feedForward.down : null));
  const parameters = layers.flatMap((layer, i) => [
    layer.attentionOutput.weight,
    ...(downs[i] ? [downs[i].weight] : []),
  ]);
  const result: Importance = {
    heads: layers.map(({ attention }) => new Float64Array(attention.heads)),
    columns: downs.map((down) => new Float64Array(down?.weight.shape[1] ?? 0)),
  };
  return run();

  async function run(): Promise<Importance> {
    for (let start = 0; start < prepared.length; start += batchSize) {
      const batch = prepared.slice(start, start + batchSize);
      const indices = Int32Array.from(batch, (_, i) => start + i);
      zeroGradients(parameters);
      withGradients(parameters, (backward) => backward(recipe.loss({ examples: batch, indices, epoch: 0 })));
      model.engine.scope(() =>
        layers.forEach((layer, i) => {
          addSizes(result.heads[i], gates(layer.attentionOutput));
          if (downs[i]) addSizes(result.columns[i], gates(downs[i]));
        }),
      );
      await onBatch(Math.min(start + batchSize, prepared.length), prepared.length);
    }
    return result;
  }
}

/** Without data: the norm of the weights that make a head or column, times that of the weights that read it. */
export function importanceByNorm(model: BertPreTrainedModel): Importance {
  const layers = layersOf(model);
  return {
    heads: layers.map(({ attention, attentionOutput }) => {
      if (!(attention instanceof MultiHeadSelfAttention)) return new Float64Array(attention.heads);
      return norms(attention.value, attentionOutput, attention.heads);
    }),
    columns: layers.map(({ feedForward }) =>
      feedForward instanceof FeedForward
        ? norms(feedForward.up, feedForward.down, feedForward.up.weight.shape[0])
        : new Float64Array(0),
    ),
  };
}

interface PlainTensor {
  readonly data: Tensor['data'];
  readonly shape: readonly number[];
}

function encoderOf(model: BertPreTrainedModel): BertEncoder {
  return model.modules().find((module) => module instanceof BertEncoder)!;
}

/** Each layer once, also where a family uses it several times. */
const layersOf = (model: BertPreTrainedModel): BertLayer[] => [...new Set(encoderOf(model).layers)];

function plainFeedForward({ feedForward }: BertLayer): FeedForward {
  if (feedForward instanceof FeedForward) return feedForward;
  throw new ConfigError({
    what: 'pruning: feedForward',
    expected: 'a family without gates',
    got: 'gated feed-forward networks',
  });
}

function plainAttention({ attention }: BertLayer, encoder: BertEncoder): MultiHeadSelfAttention {
  if (attention instanceof MultiHeadSelfAttention && encoder.relations === null) return attention;
  const expected = 'a family whose attention is that of BERT';
  throw new ConfigError({ what: 'pruning: heads', expected, got: attention.constructor.name });
}

/** Leaves some layers, under the numbers that they then have. */
function keepLayers(encoder: BertEncoder, wanted: readonly number[], tensors: Map<string, PlainTensor>): void {
  const { layers, finalNorm, afterFirstLayer } = encoder;
  const isOdd = finalNorm !== null || afterFirstLayer !== null || new Set(layers).size < layers.length;
  if (isOdd)
    throw new ConfigError({
      what: 'pruning: layers',
      expected: 'a family with layers that are all alike',
      got: 'another',
    });
  const isBad = (n: number, i: number) => !Number.isSafeInteger(n) || !(n in layers) || wanted.indexOf(n) !== i;
  if (wanted.length === 0 || wanted.some(isBad)) {
    const expected = `different numbers from 0 to ${layers.length - 1}`;
    throw new ConfigError({ what: 'pruning: layers', expected, got: show(wanted) });
  }
  const all = new Map(tensors);
  for (const layer of layers) for (const { name } of layer.parameters()) tensors.delete(name);
  wanted.forEach((old, now) => {
    for (const { name } of layers[old].parameters()) tensors.set(name.replace(`.${old}.`, `.${now}.`), all.get(name)!);
  });
}

/** Leaves the rows of some tokens, wherever a row belongs to a token. */
function keepTokens(
  model: BertPreTrainedModel,
  ids: readonly number[],
  tensors: Map<string, PlainTensor>,
): Partial<BertConfigOptions> {
  const { vocabSize, padTokenId } = model.config;
  const isBad = (id: number, i: number) => !Number.isSafeInteger(id) || id >= vocabSize || id <= (ids[i - 1] ?? -1);
  if (ids.length === 0 || ids.some(isBad)) {
    const expected = `rising ids from 0 to ${vocabSize - 1}`;
    throw new ConfigError({ what: 'pruning: vocabulary', expected, got: show(ids.slice(0, 8)) });
  }
  const places = padTokenId === null ? -1 : ids.indexOf(padTokenId);
  const family = positionsOf(model.config);
  const changes = { vocabSize: ids.length, padTokenId: places < 0 ? null : places };
  // In some families positions are counted from the padding token's id.
  if (family && family.first(model.config) !== family.first(model.config.with(changes))) {
    const fix = 'keep the padding token, and all tokens before it';
    throw new ConfigError({ what: 'pruning: vocabulary', expected: `token ${padTokenId!} in its place`, fix });
  }
  const modules = model.modules();
  const words = modules.filter((module) => module instanceof BertEmbeddings).map((x) => x.wordEmbeddings.weight);
  const heads = modules.filter((module) => module instanceof MaskedLanguageModelHead);
  const perToken = [...words, ...heads.flatMap(({ decoderWeight, decoderBias }) => [decoderWeight, decoderBias])];
  for (const name of new Set(perToken.flatMap((parameter) => parameter?.name ?? []))) {
    const tensor = tensors.get(name);
    if (tensor) tensors.set(name, rowsOf(tensor, ids));
  }
  return changes;
}

/** Places of the greatest numbers, in their order, without the share that is taken away; one at least. */
function best(values: Float64Array, share: number): number[] {
  const count = Math.max(1, Math.round(values.length * (1 - share)));
  const places = Array.from(values, (_, i) => i).sort((a, b) => values[b] - values[a] || a - b);
  return places.slice(0, count).sort((a, b) => a - b);
}

function rowsOf({ data, shape: [, ...rest] }: PlainTensor, rows: readonly number[]): PlainTensor {
  const width = rest[0] ?? 1;
  const kept = data.slice(0, rows.length * width);
  rows.forEach((row, i) => kept.set(data.subarray(row * width, (row + 1) * width), i * width));
  return { data: kept, shape: [rows.length, ...rest] };
}

function columnsOf({ data, shape: [rows, width] }: PlainTensor, columns: readonly number[]): PlainTensor {
  const kept = data.slice(0, rows * columns.length);
  for (let row = 0; row < rows; row++) {
    columns.forEach((column, i) => (kept[row * columns.length + i] = data[row * width + column]));
  }
  return { data: kept, shape: [rows, columns.length] };
}

function withoutSmallest({ data, shape }: PlainTensor, share: number): PlainTensor {
  const order = Uint32Array.from(data, (_, i) => i).sort((a, b) => Math.abs(data[a]) - Math.abs(data[b]));
  const kept = data.slice();
  for (const i of order.subarray(0, Math.round(share * data.length))) kept[i] = 0;
  return { data: kept, shape };
}

/** ∂loss/∂gate of each input of a layer: Σ over its column of weight · gradient. */
function gates({ weight }: Linear): Float64Array {
  const [rows, columns] = weight.shape;
  const [w, g] = [weight.toTensor().data, weight.gradToTensor()!.data];
  const sums = new Float64Array(columns);
  for (let i = 0; i < rows * columns; i++) sums[i % columns] += w[i] * g[i];
  return sums;
}

/** Adds the absolute values of sums over equal runs of `values`, one for each place of `to`. */
function addSizes(to: Float64Array, values: Float64Array): void {
  const run = values.length / to.length;
  for (let i = 0; i < to.length; i++)
    to[i] += Math.abs(values.subarray(i * run, (i + 1) * run).reduce((a, b) => a + b, 0));
}

/** For equal runs of what one layer gives and the next reads: norm of the rows that make it × norm of the columns that read it. */
function norms(from: Linear, to: Linear, parts: number): Float64Array {
  const [width, inputs] = from.weight.shape;
  const [made, read] = [new Float64Array(parts), new Float64Array(parts)];
  const run = width / parts;
  from.weight.toTensor().data.forEach((x, i) => (made[Math.floor(i / inputs / run)] += x * x));
  to.weight.toTensor().data.forEach((x, i) => (read[Math.floor((i % width) / run)] += x * x));
  return made.map((x, i) => Math.sqrt(x * read[i]));
}

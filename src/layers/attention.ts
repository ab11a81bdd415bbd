import { attention, selectRows, type AttentionOptions, type Rotation, type Tensor } from '../tensor/index.ts';
import { Linear } from './linear.ts';
import { Module } from './module.ts';
import type { PackedBatch } from './packedBatch.ts';
import type { Weights } from './weights.ts';

/** Collects what a forward pass would otherwise throw away; absent lists are not collected. */
export interface Trace {
  /** The embeddings, then each layer's output: [totalTokens, hiddenSize] each. */
  hiddenStates?: Tensor[];
  /** Each layer's probabilities, [heads, Σ length²]: for each head, the [length, length] of each sequence in turn. */
  attentions?: Tensor[];
}

/** What families tell attention about where tokens stand: made once per forward pass, for all layers. */
export interface Relations {
  /** Added to scores: [heads, Σ length²] */
  bias?: Tensor;
  /** Turns of queries and keys, by kind of layer. */
  rotations?: Readonly<Record<string, Rotation>>;
  /** Vectors of relative distances, [rows, hiddenSize]; what names each; and the row of each distance, as `relativeBuckets` gives them. */
  distances?: { vectors: Tensor; keys: Int32Array; buckets: Int32Array };
}

/** Self-attention of any kind, up to the concatenated heads. */
export abstract class SelfAttention extends Module {
  readonly heads: number;
  /** Of dropout on the probabilities, in training. */
  dropout = 0;

  constructor(name: string, heads: number) {
    super(name);
    this.heads = heads;
  }

  /**
   * @param x      [totalTokens, hiddenSize]
   * @param tokens those whose contexts are wanted, rising
   * @returns      the heads' contexts side by side, [totalTokens, hiddenSize]; where it is able to, of `tokens` alone
   */
  abstract override forward(
    x: Tensor,
    batch: PackedBatch,
    trace?: Trace,
    relations?: Relations,
    tokens?: Int32Array | null,
  ): Tensor;

  /** @param tokens whose rows q has, when it has not all of them */
  protected attend(
    [q, k, v]: readonly Tensor[],
    batch: PackedBatch,
    trace: Trace,
    options: Pick<AttentionOptions, 'scale' | 'bias' | 'window'> = {},
    tokens: Int32Array | null = null,
  ): Tensor {
    const { offsets, columns } = batch;
    const keys = () => (tokens ? tokens.map((token) => batch.tokenKeys[token]) : batch.tokenKeys);
    const { context, probabilities } = attention(q, k, v, {
      ...options,
      offsets,
      ...(tokens && { queryOffsets: batch.offsetsAmong(tokens) }),
      heads: this.heads,
      wantProbabilities: trace.attentions !== undefined,
      dropout: this.training ? { probability: this.dropout, tokens: { keys: keys(), columns } } : null,
    });
    if (probabilities) trace.attentions?.push(probabilities);
    return context;
  }
}

/** Multi-head self-attention (Vaswani et al. 2017, §3.2.2), with a bias on its scores where the family has one. */
export class MultiHeadSelfAttention extends SelfAttention {
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;

  /** @param width columns of all heads together */
  constructor(weights: Weights, hiddenSize: number, heads: number, width = hiddenSize) {
    super(weights.path, heads);
    this.query = new Linear(weights.scope('query'), hiddenSize, width);
    this.key = new Linear(weights.scope('key'), hiddenSize, width);
    this.value = new Linear(weights.scope('value'), hiddenSize, width);
  }

  forward(
    x: Tensor,
    batch: PackedBatch,
    trace: Trace = {},
    { bias = undefined }: Relations = {},
    tokens: Int32Array | null = null,
  ): Tensor {
    const queries = bias || trace.attentions ? null : tokens; // a bias, and a trace, are of all queries
    const q = this.query.forward(queries ? selectRows(x, queries) : x);
    const [k, v] = [this.key.forward(x), this.value.forward(x)];
    return this.attend([q, k, v], batch, trace, bias && { bias }, queries);
  }
}

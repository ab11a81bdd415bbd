import { attention, type Tensor } from '../tensor/index.ts';
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

/** Multi-head self-attention, up to the concatenated heads (Vaswani et al. 2017, §3.2.2). */
export class MultiHeadSelfAttention extends Module {
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly heads: number;

  constructor(weights: Weights, hiddenSize: number, heads: number) {
    super(weights.path);
    this.query = new Linear(weights.scope('query'), hiddenSize, hiddenSize);
    this.key = new Linear(weights.scope('key'), hiddenSize, hiddenSize);
    this.value = new Linear(weights.scope('value'), hiddenSize, hiddenSize);
    this.heads = heads;
  }

  /** x: [totalTokens, hiddenSize] → the heads' contexts side by side, [totalTokens, hiddenSize] */
  forward(x: Tensor, { offsets }: PackedBatch, trace: Trace = {}): Tensor {
    const { context, probabilities } = attention(this.query.forward(x), this.key.forward(x), this.value.forward(x), {
      offsets,
      heads: this.heads,
      wantProbabilities: trace.attentions !== undefined,
    });
    if (probabilities) trace.attentions?.push(probabilities);
    return context;
  }
}

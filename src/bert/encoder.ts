import {
  Dropout,
  FeedForward,
  LayerNorm,
  Linear,
  Module,
  MultiHeadSelfAttention,
  type PackedBatch,
  type Trace,
  type Weights,
} from '../layers/index.ts';
import type { Tensor } from '../tensor/index.ts';
import type { BertConfig } from './config.ts';

/** One post-norm encoder layer (Devlin et al. 2019, §3; Vaswani et al. 2017, §3.1). */
export class BertLayer extends Module {
  readonly attention: MultiHeadSelfAttention;
  readonly attentionOutput: Linear;
  readonly attentionNorm: LayerNorm;
  readonly feedForward: FeedForward;
  readonly outputNorm: LayerNorm;
  readonly dropout: Dropout;

  constructor(config: BertConfig, weights: Weights, attention = plainAttention(config, weights)) {
    super(weights.path);
    const { hiddenSize, intermediateSize, layerNormEps } = config;
    this.attention = attention;
    this.attentionOutput = new Linear(weights.scope('attention.output.dense'), hiddenSize, hiddenSize);
    this.attentionNorm = new LayerNorm(weights.scope('attention.output.LayerNorm'), hiddenSize, layerNormEps);
    this.feedForward = new FeedForward(
      new Linear(weights.scope('intermediate.dense'), hiddenSize, intermediateSize),
      new Linear(weights.scope('output.dense'), intermediateSize, hiddenSize),
      config.hiddenAct,
    );
    this.outputNorm = new LayerNorm(weights.scope('output.LayerNorm'), hiddenSize, layerNormEps);
    this.dropout = new Dropout(config.hiddenDropoutProb);
  }

  /** x: [totalTokens, hiddenSize] → same */
  forward(x: Tensor, batch: PackedBatch, trace: Trace = {}): Tensor {
    const attended = this.attentionOutput.forward(this.attention.forward(x, batch, trace));
    const normed = this.attentionNorm.forward(this.dropout.forward(attended), x); // residual, then norm
    return this.outputNorm.forward(this.dropout.forward(this.feedForward.forward(normed)), normed);
  }
}

const plainAttention = ({ hiddenSize, numAttentionHeads }: BertConfig, layer: Weights) =>
  new MultiHeadSelfAttention(layer.scope('attention.self'), hiddenSize, numAttentionHeads);

const everyLayer = ({ numHiddenLayers }: BertConfig) => Array.from({ length: numHiddenLayers }, (_, i) => `layer.${i}`);

/** The stack of layers. A layer may stand in it more than once. */
export class BertEncoder extends Module {
  readonly layers: BertLayer[];

  constructor(config: BertConfig, weights: Weights) {
    super(weights.path);
    const { layerPaths = everyLayer, attention } = config.family;
    const attentionOf = attention?.(config, weights);
    const made = new Map<string, BertLayer>();
    this.layers = layerPaths(config).map((path, i) => {
      const scope = weights.scope(path);
      const layer = made.get(path) ?? new BertLayer(config, scope, attentionOf?.(scope, i));
      made.set(path, layer);
      return layer;
    });
  }

  /** x: [totalTokens, hiddenSize] → same */
  forward(x: Tensor, batch: PackedBatch, trace: Trace = {}): Tensor {
    trace.hiddenStates?.push(x);
    for (const layer of this.layers) {
      x = layer.forward(x, batch, trace);
      trace.hiddenStates?.push(x);
    }
    return x;
  }
}

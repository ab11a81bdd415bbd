import {
  Dropout,
  FeedForward,
  LayerNorm,
  Linear,
  Module,
  MultiHeadSelfAttention,
  type PackedBatch,
  type Relations,
  type SelfAttention,
  type Trace,
  type Weights,
} from '../layers/index.ts';
import { add, checkpoint, selectRows, type Tensor } from '../tensor/index.ts';
import type { BertConfig } from './config.ts';
import type { AfterLayer, AttentionScheme, FeedForwardNetwork } from './families/family.ts';

/** One post-norm encoder layer (Devlin et al. 2019, §3; Vaswani et al. 2017, §3.1). */
export class BertLayer extends Module {
  readonly attention: SelfAttention;
  readonly attentionOutput: Linear;
  readonly attentionNorm: LayerNorm | null;
  readonly feedForward: FeedForwardNetwork;
  readonly outputNorm: LayerNorm;
  /** After attention, and after the feed-forward layers, where the family has it there. */
  readonly attentionDropout: Dropout | null;
  readonly outputDropout: Dropout | null;

  constructor(
    config: BertConfig,
    weights: Weights,
    attention: SelfAttention = plainAttention(config, weights),
    hasAttentionNorm = true,
  ) {
    super(weights.path);
    const { hiddenSize, layerNormEps, family } = config;
    const { attentionOutput: bias = true, norm = true } = family.biases?.(config) ?? {};
    const normAt = (path: string) => new LayerNorm(weights.scope(path), hiddenSize, layerNormEps, { bias: norm });
    this.attention = attention;
    this.attention.dropout = config.attentionProbsDropoutProb;
    this.attentionOutput = new Linear(weights.scope('attention.output.dense'), config.attentionSize, hiddenSize, {
      bias,
    });
    this.attentionNorm = hasAttentionNorm ? normAt('attention.output.LayerNorm') : null;
    this.feedForward = (family.feedForward ?? plainFeedForward)(config, weights);
    this.outputNorm = normAt('output.LayerNorm');
    const { hiddenDropoutProb } = config;
    const dropout = family.dropout?.(config);
    const dropoutAfter = (own: number | null | undefined) =>
      own === null ? null : new Dropout(own ?? hiddenDropoutProb);
    this.attentionDropout = dropoutAfter(dropout?.attention);
    this.outputDropout = dropoutAfter(dropout?.feedForward);
  }

  /**
   * @param x      [totalTokens, hiddenSize]
   * @param tokens whose outputs are wanted, rising; of the others only what attention looks at is then computed
   * @returns      as x, or [tokens.length, hiddenSize]
   */
  forward(
    x: Tensor,
    batch: PackedBatch,
    trace: Trace = {},
    relations: Relations = {},
    tokens: Int32Array | null = null,
  ): Tensor {
    const context = this.attention.forward(this.attentionInput(x), batch, trace, relations, tokens);
    if (tokens === null) return this.afterAttention(context, x, batch.tokenKeys);
    const keys = tokens.map((token) => batch.tokenKeys[token]);
    return this.afterAttention(rowsOf(context, tokens), selectRows(x, tokens), keys);
  }

  protected attentionInput(x: Tensor): Tensor {
    return x;
  }

  /** context, x: [rows, …], what attention gave and the layer's input; `keys` name the rows, for dropout. */
  protected afterAttention(context: Tensor, x: Tensor, keys: Int32Array): Tensor {
    const attended = this.attentionOutput.forward(context);
    const normed = this.attentionNorm!.forward(dropped(this.attentionDropout, attended, keys), x); // residual, then norm
    const transformed = this.feedForward.forward(normed, keys);
    return this.outputNorm.forward(dropped(this.outputDropout, transformed, keys), normed);
  }
}

/** The same with the norms before attention and feed-forward (Xiong et al. 2020, arXiv:2002.04745). */
export class PreNormLayer extends BertLayer {
  protected override attentionInput(x: Tensor): Tensor {
    return this.attentionNorm ? this.attentionNorm.forward(x) : x;
  }

  protected override afterAttention(context: Tensor, x: Tensor, keys: Int32Array): Tensor {
    const sum = add(x, dropped(this.attentionDropout, this.attentionOutput.forward(context), keys));
    const transformed = this.feedForward.forward(this.outputNorm.forward(sum), keys);
    return add(sum, dropped(this.outputDropout, transformed, keys));
  }
}

const dropped = (dropout: Dropout | null, x: Tensor, keys: Int32Array): Tensor =>
  dropout ? dropout.forward(x, keys) : x;

/** Rows of x for these tokens: all that it has, unless whoever computed it was not able to leave others out. */
const rowsOf = (x: Tensor, tokens: Int32Array | null): Tensor =>
  tokens === null || x.shape[0] === tokens.length ? x : selectRows(x, tokens);

const plainAttention = ({ hiddenSize, numAttentionHeads, attentionSize }: BertConfig, layer: Weights) =>
  new MultiHeadSelfAttention(layer.scope('attention.self'), hiddenSize, numAttentionHeads, attentionSize);

const plainFeedForward = ({ hiddenSize, intermediateSize, hiddenAct }: BertConfig, layer: Weights) =>
  new FeedForward(
    new Linear(layer.scope('intermediate.dense'), hiddenSize, intermediateSize),
    new Linear(layer.scope('output.dense'), intermediateSize, hiddenSize),
    hiddenAct,
  );

/** The layer, of which backward computes the inside again. */
function recomputed(
  layer: BertLayer,
  x: Tensor,
  batch: PackedBatch,
  relations: Relations = {},
  tokens: Int32Array | null,
): Tensor {
  const given = [relations.bias, relations.distances?.vectors].filter((tensor) => tensor !== undefined);
  return checkpoint((input) => layer.forward(input, batch, {}, relations, tokens), x, ...given);
}

const everyLayer = ({ numHiddenLayers }: BertConfig) => Array.from({ length: numHiddenLayers }, (_, i) => `layer.${i}`);

/** The stack of layers. A layer may stand in it more than once. */
export class BertEncoder extends Module {
  readonly layers: BertLayer[];
  /** What layers are told of a batch, in families whose attention looks at more than vectors. */
  readonly relations: AttentionScheme['relations'] | null;
  readonly afterFirstLayer: AfterLayer | null;
  /** After the last of pre-norm layers. */
  readonly finalNorm: LayerNorm | null;
  /** In training, keep only what enters each layer and compute the rest a second time for its gradients: less memory, a third more time. */
  gradientCheckpointing = false;

  constructor(config: BertConfig, weights: Weights) {
    super(weights.path);
    const { family, hiddenSize, layerNormEps } = config;
    const { layerPaths = everyLayer, preNorm = false } = family;
    const scheme = family.attention?.(config, weights);
    const made = new Map<string, BertLayer>();
    this.relations = scheme?.relations ?? null;
    this.layers = layerPaths(config).map((path, i) => {
      const scope = weights.scope(path);
      const attention = () => scheme?.layer?.(scope, i);
      const make = () =>
        preNorm ? new PreNormLayer(config, scope, attention(), i > 0) : new BertLayer(config, scope, attention());
      const layer = made.get(path) ?? make();
      made.set(path, layer);
      return layer;
    });
    this.afterFirstLayer = family.afterFirstLayer?.(config, weights) ?? null;
    const bias = family.biases?.(config).norm ?? true;
    this.finalNorm = preNorm ? new LayerNorm(weights.scope('final_norm'), hiddenSize, layerNormEps, { bias }) : null;
  }

  /**
   * @param x      [totalTokens, hiddenSize]
   * @param tokens whose outputs are wanted, rising; the same numbers as among all
   * @returns      as x, or [tokens.length, hiddenSize]
   */
  forward(x: Tensor, batch: PackedBatch, trace: Trace = {}, tokens: Int32Array | null = null): Tensor {
    const relations = this.relations?.forward(batch, x.engine);
    trace.hiddenStates?.push(x);
    this.layers.forEach((layer, i) => {
      const isKept = !this.gradientCheckpointing || trace.attentions !== undefined;
      const after = i === 0 ? this.afterFirstLayer : null;
      const wanted = i === this.layers.length - 1 && !after ? tokens : null; // a convolution reads all
      const output = isKept
        ? layer.forward(x, batch, trace, relations, wanted)
        : recomputed(layer, x, batch, relations, wanted);
      x = after ? after.forward(x, output, batch) : output;
      trace.hiddenStates?.push(x);
    });
    if (this.finalNorm !== null) {
      x = this.finalNorm.forward(x);
      trace.hiddenStates?.splice(-1, 1, x); // the last state is the normed one, as in transformers
    }
    return rowsOf(x, tokens);
  }
}

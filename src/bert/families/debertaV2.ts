import {
  Dropout,
  LayerNorm,
  Linear,
  Module,
  type PackedBatch,
  type Parameter,
  type Weights,
} from '../../layers/index.ts';
import {
  activation as activate,
  convolution,
  layerNorm,
  type ActivationName,
  type Tensor,
} from '../../tensor/index.ts';
import { activation, BertConfig, flag, wholeNumber, type ConfigClass } from '../config.ts';
import * as heads from '../heads.ts';
import { BertModel } from '../model.ts';
import {
  disentangled,
  disentangledOptions,
  DisentangledSelfAttention,
  Distances,
  projectedBy,
  spanOf,
  termsOf,
  type DebertaConfigOptions,
} from './deberta.ts';
import type { Family } from './family.ts';

/** DeBERTa's second and third version (He et al. 2023, arXiv:2111.09543): distances in buckets, a convolution in the largest. */
export const debertaV2: Family = {
  ...disentangled,
  modelType: 'deberta-v2',
  config: {
    defaults: {
      vocabSize: 128100,
      hiddenSize: 1536,
      numHiddenLayers: 24,
      numAttentionHeads: 24,
      intermediateSize: 6144,
      layerNormEps: 1e-7,
    },
    extra: {
      ...disentangledOptions,
      shareAttKey: ['share_att_key', flag, false],
      positionBuckets: ['position_buckets', wholeNumber(-1, 2 ** 24), -1],
      normRelEbd: ['norm_rel_ebd', ['a text', (v) => typeof v === 'string'], 'none'],
      convKernelSize: ['conv_kernel_size', wholeNumber(0, 1023), 0],
      convGroups: ['conv_groups', wholeNumber(1, 2 ** 24), 1],
      convAct: ['conv_act', activation, 'tanh'],
    },
  },
  attention: (config, encoder) => ({
    relations: new BucketedDistances(config as DebertaV2Config, encoder),
    layer: (layer) => new DebertaV2SelfAttention(config as DebertaV2Config, layer.scope('attention.self')),
  }),
  afterFirstLayer: (config, encoder) =>
    (config as DebertaV2Config).convKernelSize > 0
      ? new ConvolutionLayer(config as DebertaV2Config, encoder.scope('conv'))
      : null,
};

/** Distances in ever wider buckets, their vectors normed. */
class BucketedDistances extends Distances {
  readonly norm: LayerNorm | null;
  /** Buckets on either side, and the longest distance that they tell apart; 0 for a bucket of its own for each. */
  readonly buckets: number;
  readonly longest: number;

  constructor(config: DebertaV2Config, encoder: Weights) {
    const { positionBuckets, normRelEbd, hiddenSize, layerNormEps } = config;
    super(config, encoder, positionBuckets > 0 ? positionBuckets : spanOf(config));
    const hasNorm = this.table !== null && normRelEbd.toLowerCase().split('|').some((x) => x.trim() === 'layer_norm'); // prettier-ignore
    this.norm = hasNorm ? new LayerNorm(encoder.scope('LayerNorm'), hiddenSize, layerNormEps) : null;
    this.buckets = Math.max(0, positionBuckets);
    this.longest = spanOf(config);
  }

  /**
   * Each distance up to half of the buckets has its own; the other half is for the logarithms of what is beyond. In float32,
   * as PyTorch rounds.
   */
  override bucketOf(distance: number): number {
    const [half, far] = [Math.floor(this.buckets / 2), Math.abs(distance)];
    if (this.buckets === 0 || far <= half) return distance;
    const logarithm = (x: number) => Math.fround(Math.log(Math.fround(x)));
    const part = Math.fround(logarithm(far / half) / logarithm((this.longest - 1) / half));
    return Math.sign(distance) * (Math.ceil(Math.fround(part * (half - 1))) + half);
  }

  protected override normed(vectors: Tensor): Tensor {
    return this.norm ? layerNorm(vectors, this.norm.weight, this.norm.bias, this.norm.eps) : vectors;
  }
}

class DebertaV2SelfAttention extends DisentangledSelfAttention {
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  /** Those of tokens, in models that share them. */
  readonly positionKey: Linear | null;
  readonly positionQuery: Linear | null;

  constructor(config: DebertaV2Config, weights: Weights) {
    const terms = ['c2p', 'p2c'].filter((term) => termsOf(config).includes(term));
    super(config, weights.path, terms.length);
    const { hiddenSize, relativeAttention, shareAttKey } = config;
    const linear = (name: string) => new Linear(weights.scope(name), hiddenSize, hiddenSize);
    const [hasKey, hasQuery] = ['c2p', 'p2c'].map((term) => relativeAttention && terms.includes(term));
    this.query = linear('query_proj');
    this.key = linear('key_proj');
    this.value = linear('value_proj');
    this.positionKey = hasKey ? (shareAttKey ? this.key : linear('pos_key_proj')) : null;
    this.positionQuery = hasQuery ? (shareAttKey ? this.query : linear('pos_query_proj')) : null;
  }

  protected override project(x: Tensor): Tensor[] {
    return [this.query, this.key, this.value].map((layer) => layer.forward(x));
  }

  protected override projectDistances(vectors: Tensor): [keys: Tensor | null, queries: Tensor | null] {
    return projectedBy(vectors, this.positionKey, this.positionQuery);
  }
}

/** Adds a convolution of the embeddings to what the first layer made of them. */
class ConvolutionLayer extends Module {
  /** [hiddenSize, hiddenSize / groups, kernelSize] */
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly groups: number;
  readonly activation: ActivationName;
  readonly dropout: Dropout;
  readonly norm: LayerNorm;

  constructor(config: DebertaV2Config, weights: Weights) {
    super(weights.path);
    const { hiddenSize, convKernelSize, convGroups, convAct, layerNormEps } = config;
    this.weight = weights.get('conv.weight', [hiddenSize, hiddenSize / convGroups, convKernelSize], 'normal');
    this.bias = weights.get('conv.bias', [hiddenSize], 'zeros');
    this.groups = convGroups;
    this.activation = convAct;
    this.dropout = new Dropout(config.hiddenDropoutProb);
    this.norm = new LayerNorm(weights.scope('LayerNorm'), hiddenSize, layerNormEps);
  }

  /** input, output: [totalTokens, hiddenSize], of the first layer → same */
  forward(input: Tensor, output: Tensor, { offsets, columns, tokenKeys }: PackedBatch): Tensor {
    const convolved = convolution(input, this.weight, this.bias, { offsets, columns, groups: this.groups });
    return this.norm.forward(activate(this.dropout.forward(convolved, tokenKeys), this.activation), output);
  }
}

export interface DebertaV2ConfigOptions extends DebertaConfigOptions {
  /** Whether distances go through the matrices of tokens. */
  shareAttKey: boolean;
  /** Buckets of distances on either side; below 1, each distance has its own vector. */
  positionBuckets: number;
  /** 'layer_norm' to normalize the vectors of distances. */
  normRelEbd: string;
  /** 0 for no convolution. */
  convKernelSize: number;
  convGroups: number;
  convAct: ActivationName;
}

/* eslint-disable @typescript-eslint/no-unsafe-declaration-merging, @typescript-eslint/no-empty-object-type */
export interface DebertaV2Config extends Readonly<DebertaV2ConfigOptions> {}
export class DebertaV2Config extends BertConfig {
  /* eslint-enable */
  static override readonly family: Family = debertaV2;
  constructor(options: Partial<DebertaV2ConfigOptions> = {}, file?: string) {
    super(options, file);
  }
}
export class DebertaV2Model extends BertModel {
  static override readonly configClass: ConfigClass = DebertaV2Config;
}
export class DebertaV2ForMaskedLM extends heads.BertForMaskedLM {
  static override readonly configClass: ConfigClass = DebertaV2Config;
}
export class DebertaV2ForSequenceClassification extends heads.BertForSequenceClassification {
  static override readonly configClass: ConfigClass = DebertaV2Config;
}
export class DebertaV2ForTokenClassification extends heads.BertForTokenClassification {
  static override readonly configClass: ConfigClass = DebertaV2Config;
}
export class DebertaV2ForQuestionAnswering extends heads.BertForQuestionAnswering {
  static override readonly configClass: ConfigClass = DebertaV2Config;
}
export class DebertaV2ForMultipleChoice extends heads.BertForMultipleChoice {
  static override readonly configClass: ConfigClass = DebertaV2Config;
}

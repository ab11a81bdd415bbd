import { ConfigError } from '../../errors.ts';
import { GatedFeedForward, Linear, RotarySelfAttention } from '../../layers/index.ts';
import type { ActivationName } from '../../tensor/index.ts';
import { activation, BertConfig, count, flag, orNull, probability } from '../config.ts';
import type { BertConfigOptions, Check, ConfigClass } from '../config.ts';
import * as heads from '../heads.ts';
import { BertModel } from '../model.ts';
import type { Family, HeadLayer } from './family.ts';
import { ropeCheck, ropeOf, Rotations, theta, type Rope, type RopeParameters } from './rope.ts';

type LayerType = 'full_attention' | 'sliding_attention';

const layerTypes: Check = [
  'a list of "full_attention" and "sliding_attention"',
  (v) => Array.isArray(v) && v.every((type) => type === 'full_attention' || type === 'sliding_attention'),
];

const predictionLayer = (config: BertConfig): HeadLayer => {
  const { classifierActivation, classifierBias, normBias } = config as ModernBertConfig;
  return {
    dense: 'head.dense',
    activation: classifierActivation,
    bias: classifierBias,
    norm: { path: 'head.norm', bias: normBias },
  };
};
const pooled = (config: BertConfig) => ({
  ...predictionLayer(config),
  classifier: 'classifier',
  pooling: (config as ModernBertConfig).classifierPooling === 'mean' ? ('mean' as const) : ('first' as const),
  dropoutFirst: 0,
});

/** Warner et al. 2024, arXiv:2412.13663: rotary positions, mostly local attention, gated layers, norms first, no biases. */
export const modernBert: Family = {
  modelType: 'modernbert',
  prefix: 'model',
  config: {
    keys: {
      hiddenAct: 'hidden_activation',
      layerNormEps: 'norm_eps',
      hiddenDropoutProb: 'mlp_dropout',
      attentionProbsDropoutProb: 'attention_dropout',
      typeVocabSize: null,
    },
    defaults: {
      vocabSize: 50368,
      intermediateSize: 1152,
      numHiddenLayers: 22,
      maxPositionEmbeddings: 8192,
      layerNormEps: 1e-5,
      hiddenDropoutProb: 0,
      attentionProbsDropoutProb: 0,
      padTokenId: 50283,
      classifierDropout: 0,
      typeVocabSize: 0,
    },
    extra: {
      layerTypes: ['layer_types', orNull(layerTypes), null],
      globalAttnEveryNLayers: ['global_attn_every_n_layers', count, 3],
      localAttention: ['local_attention', count, 128],
      ropeParameters: ['rope_parameters', orNull(ropeCheck('full_attention', 'sliding_attention')), null],
      globalRopeTheta: ['global_rope_theta', theta, 160000],
      localRopeTheta: ['local_rope_theta', theta, 10000],
      attentionBias: ['attention_bias', flag, false],
      mlpBias: ['mlp_bias', flag, false],
      normBias: ['norm_bias', flag, false],
      decoderBias: ['decoder_bias', flag, true],
      classifierBias: ['classifier_bias', flag, false],
      classifierActivation: ['classifier_activation', activation, 'gelu'],
      classifierPooling: ['classifier_pooling', ['"cls" or "mean"', (v) => v === 'cls' || v === 'mean'], 'cls'],
      embeddingDropout: ['embedding_dropout', probability, 0],
    },
  },
  names: [
    ['embeddings.word_embeddings', 'embeddings.tok_embeddings'],
    ['embeddings.LayerNorm', 'embeddings.norm'],
    ['encoder.layer', 'layers'],
    ['encoder.final_norm', 'final_norm'],
    ['attention.self.Wqkv', 'attn.Wqkv'],
    ['attention.self', 'attn.context'], // no module there: attention has its output's linear layer inside
    ['attention.output.dense', 'attn.Wo'],
    ['attention.output.LayerNorm', 'attn_norm'],
    ['intermediate.dense', 'mlp.Wi'],
    ['output.dense', 'mlp.Wo'],
    ['output.LayerNorm', 'mlp_norm'],
    ['cls.predictions.transform.dense', 'head.dense'],
    ['cls.predictions.transform.LayerNorm', 'head.norm'],
    ['cls.predictions.decoder', 'decoder'],
    ['cls.predictions', 'decoder'],
  ],
  positions: null,
  pooler: false,
  preNorm: true,
  dropout: (config) => {
    const { embeddingDropout, attentionProbsDropoutProb: attention } = config as ModernBertConfig;
    return { embeddings: embeddingDropout, attention, feedForward: null }; // that of the feed-forward layers is inside them
  },
  biases: (config) => {
    const { attentionBias, normBias } = config as ModernBertConfig;
    return { attentionOutput: attentionBias, norm: normBias };
  },
  attention(config) {
    const { hiddenSize, numAttentionHeads, localAttention, attentionBias: bias } = config as ModernBertConfig;
    const types = layerTypesOf(config as ModernBertConfig);
    const pairs = hiddenSize / numAttentionHeads / 2;
    return {
      relations: new Rotations(pairs, ropesOf(config as ModernBertConfig, pairs)),
      layer(layer, index) {
        const weights = layer.scope('attention.self');
        const projection = new Linear(weights.scope('Wqkv'), hiddenSize, 3 * hiddenSize, { bias });
        const reach = types[index] === 'sliding_attention' ? Math.floor(localAttention / 2) : null;
        return new RotarySelfAttention(weights.path, numAttentionHeads, [projection], types[index], reach);
      },
    };
  },
  feedForward(config, layer) {
    const { hiddenSize, intermediateSize, hiddenAct, mlpBias: bias, hiddenDropoutProb } = config as ModernBertConfig;
    const up = new Linear(layer.scope('intermediate.dense'), hiddenSize, 2 * intermediateSize, { bias });
    const down = new Linear(layer.scope('output.dense'), intermediateSize, hiddenSize, { bias });
    return new GatedFeedForward('', up, down, hiddenAct, { dropout: hiddenDropoutProb });
  },
  heads: {
    maskedLanguageModelActivation: (config) => (config as ModernBertConfig).classifierActivation,
    maskedLanguageModelBiases: (config) => {
      const { classifierBias, normBias, decoderBias } = config as ModernBertConfig;
      return { dense: classifierBias, norm: normBias, decoder: decoderBias };
    },
    sequenceClassification: pooled,
    multipleChoice: pooled,
    tokens: predictionLayer,
    answers: 'classifier',
    dropout: { questionAnswering: ({ classifierDropout }) => classifierDropout ?? 0 },
  },
};

function layerTypesOf({ layerTypes, numHiddenLayers, globalAttnEveryNLayers }: ModernBertConfig): LayerType[] {
  const alternating = (i: number) => (i % globalAttnEveryNLayers === 0 ? 'full_attention' : 'sliding_attention');
  if (layerTypes && layerTypes.length !== numHiddenLayers) {
    const expected = `one for each of the ${numHiddenLayers} layers (num_hidden_layers)`;
    throw new ConfigError({ what: 'layer_types', expected, got: `${layerTypes.length}` });
  }
  return layerTypes ? [...layerTypes] : Array.from({ length: numHiddenLayers }, (_, i) => alternating(i));
}

/** The rotation of each type of layer; files of today have its base in `rope_parameters`. */
function ropesOf(config: ModernBertConfig, pairs: number): Record<LayerType, Rope> {
  const { ropeParameters, globalRopeTheta, localRopeTheta, maxPositionEmbeddings: maxPositions } = config;
  const rope = (type: LayerType, theta: number) => ropeOf(ropeParameters?.[type], { theta, pairs, maxPositions });
  return {
    full_attention: rope('full_attention', globalRopeTheta),
    sliding_attention: rope('sliding_attention', localRopeTheta),
  };
}

export interface ModernBertConfigOptions extends Omit<BertConfigOptions, 'typeVocabSize'> {
  /** Kind of each layer; null for a global one every so many. */
  layerTypes: readonly LayerType[] | null;
  globalAttnEveryNLayers: number;
  /** Tokens that a local layer sees, half of them on either side. */
  localAttention: number;
  ropeParameters: Partial<Record<LayerType, RopeParameters>> | null;
  globalRopeTheta: number;
  localRopeTheta: number;
  attentionBias: boolean;
  mlpBias: boolean;
  normBias: boolean;
  decoderBias: boolean;
  classifierBias: boolean;
  classifierActivation: ActivationName;
  classifierPooling: 'cls' | 'mean';
  embeddingDropout: number;
}

/* eslint-disable @typescript-eslint/no-unsafe-declaration-merging */
export interface ModernBertConfig extends Readonly<ModernBertConfigOptions> {
  readonly embeddingSize: number;
}
export class ModernBertConfig extends BertConfig {
  static override readonly family = modernBert;
  constructor(options: Partial<ModernBertConfigOptions> = {}, file?: string) {
    super(options, file);
  }
}
/* eslint-enable */
export class ModernBertModel extends BertModel {
  static override readonly configClass: ConfigClass = ModernBertConfig;
}
export class ModernBertForMaskedLM extends heads.BertForMaskedLM {
  static override readonly configClass: ConfigClass = ModernBertConfig;
}
export class ModernBertForSequenceClassification extends heads.BertForSequenceClassification {
  static override readonly configClass: ConfigClass = ModernBertConfig;
}
export class ModernBertForTokenClassification extends heads.BertForTokenClassification {
  static override readonly configClass: ConfigClass = ModernBertConfig;
}
export class ModernBertForQuestionAnswering extends heads.BertForQuestionAnswering {
  static override readonly configClass: ConfigClass = ModernBertConfig;
}
export class ModernBertForMultipleChoice extends heads.BertForMultipleChoice {
  static override readonly configClass: ConfigClass = ModernBertConfig;
}

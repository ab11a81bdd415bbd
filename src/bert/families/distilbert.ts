import { BertConfig, flag, probability, type ConfigClass } from '../config.ts';
import type { BertConfigOptions } from '../config.ts';
import * as heads from '../heads.ts';
import { BertModel } from '../model.ts';
import type { Family, FirstTokenHead } from './family.ts';

const head = (): FirstTokenHead => ({
  dense: 'pre_classifier',
  activation: 'relu',
  classifier: 'classifier',
  dropoutFirst: 0,
});

/** Sanh et al. 2019, arXiv:1910.01108: BERT with half the layers, without token types and pooler, under names of its own. */
export const distilbert: Family = {
  dropout: () => ({ attention: null }),
  modelType: 'distilbert',
  prefix: 'distilbert',
  config: {
    keys: {
      hiddenSize: 'dim',
      numHiddenLayers: 'n_layers',
      numAttentionHeads: 'n_heads',
      intermediateSize: 'hidden_dim',
      hiddenAct: 'activation',
      hiddenDropoutProb: 'dropout',
      attentionProbsDropoutProb: 'attention_dropout',
      classifierDropout: 'seq_classif_dropout',
      typeVocabSize: null,
      layerNormEps: null,
    },
    defaults: { numHiddenLayers: 6, typeVocabSize: 0, layerNormEps: 1e-12, classifierDropout: 0.2 },
    extra: {
      qaDropout: ['qa_dropout', probability, 0.1],
      sinusoidalPosEmbds: ['sinusoidal_pos_embds', flag, false],
    },
  },
  names: [
    ['encoder', 'transformer'],
    ['attention.self.query', 'attention.q_lin'],
    ['attention.self.key', 'attention.k_lin'],
    ['attention.self.value', 'attention.v_lin'],
    ['attention.self', 'attention.context'], // no module there: attention has its output's linear layer inside
    ['attention.output.dense', 'attention.out_lin'],
    ['attention.output.LayerNorm', 'sa_layer_norm'],
    ['intermediate.dense', 'ffn.lin1'],
    ['output.dense', 'ffn.lin2'],
    ['output.LayerNorm', 'output_layer_norm'],
    ['cls.predictions.transform.dense', 'vocab_transform'],
    ['cls.predictions.transform.LayerNorm', 'vocab_layer_norm'],
    ['cls.predictions.decoder', 'vocab_projector'],
    ['cls.predictions', 'vocab_projector'],
  ],
  sinusoidalPositions: (config) => (config as DistilBertConfig).sinusoidalPosEmbds,
  pooler: false,
  heads: {
    sequenceClassification: head,
    multipleChoice: head,
    dropout: {
      tokenClassification: ({ hiddenDropoutProb }) => hiddenDropoutProb,
      questionAnswering: (config) => (config as DistilBertConfig).qaDropout,
    },
  },
};

export interface DistilBertConfigOptions extends Omit<BertConfigOptions, 'typeVocabSize' | 'layerNormEps'> {
  /** Dropout before the layer that finds answers. */
  qaDropout: number;
  /** Whether untrained position embeddings are sines and cosines. */
  sinusoidalPosEmbds: boolean;
}

/* eslint-disable @typescript-eslint/no-unsafe-declaration-merging */
export interface DistilBertConfig extends Readonly<DistilBertConfigOptions> {
  readonly embeddingSize: number;
}
export class DistilBertConfig extends BertConfig {
  static override readonly family = distilbert;
  constructor(options: Partial<DistilBertConfigOptions> = {}, file?: string) {
    super(options, file);
  }
}
/* eslint-enable */
export class DistilBertModel extends BertModel {
  static override readonly configClass: ConfigClass = DistilBertConfig;
}
export class DistilBertForMaskedLM extends heads.BertForMaskedLM {
  static override readonly configClass: ConfigClass = DistilBertConfig;
}
export class DistilBertForSequenceClassification extends heads.BertForSequenceClassification {
  static override readonly configClass: ConfigClass = DistilBertConfig;
}
export class DistilBertForTokenClassification extends heads.BertForTokenClassification {
  static override readonly configClass: ConfigClass = DistilBertConfig;
}
export class DistilBertForQuestionAnswering extends heads.BertForQuestionAnswering {
  static override readonly configClass: ConfigClass = DistilBertConfig;
}
export class DistilBertForMultipleChoice extends heads.BertForMultipleChoice {
  static override readonly configClass: ConfigClass = DistilBertConfig;
}

import { Linear, type Weights } from '../../layers/index.ts';
import { BertConfig, count, probability } from '../config.ts';
import type { BertConfigOptions, ConfigClass } from '../config.ts';
import { BertWithHead, MaskedLanguageModelHead, type Inputs } from '../headModules.ts';
import * as heads from '../heads.ts';
import { BertModel } from '../model.ts';
import type { PredictionOptions, SentenceOrderOutput } from '../outputs.ts';
import { randomWeights } from '../preTrainedModel.ts';
import type { Family } from './family.ts';

/** Lan et al. 2020, arXiv:1909.11942: small embeddings, and layers that share their weights. */
export const albert: Family = {
  modelType: 'albert',
  dropout: () => ({ feedForward: null }),
  prefix: 'albert',
  config: {
    keys: { classifierDropout: 'classifier_dropout_prob' },
    defaults: {
      vocabSize: 30000,
      hiddenSize: 4096,
      numAttentionHeads: 64,
      intermediateSize: 16384,
      hiddenAct: 'gelu_new',
      hiddenDropoutProb: 0,
      attentionProbsDropoutProb: 0,
    },
    extra: {
      classifierDropout: ['classifier_dropout_prob', probability, 0.1],
      embeddingSize: ['embedding_size', count, 128],
      numHiddenGroups: ['num_hidden_groups', count, 1],
      innerGroupNum: ['inner_group_num', count, 1],
    },
  },
  names: [
    ['embeddings_project', 'encoder.embedding_hidden_mapping_in'],
    ['attention.self.query', 'attention.query'],
    ['attention.self.key', 'attention.key'],
    ['attention.self.value', 'attention.value'],
    ['attention.self', 'attention.context'], // no module there: attention has its output's linear layer and norm inside
    ['attention.output.dense', 'attention.dense'],
    ['attention.output.LayerNorm', 'attention.LayerNorm'],
    ['intermediate.dense', 'ffn'],
    ['output.dense', 'ffn_output'],
    ['output.LayerNorm', 'full_layer_layer_norm'],
    ['pooler.dense', 'pooler'],
    ['pooler', 'pooler_activation'],
    ['cls.predictions.transform', 'predictions'],
    ['cls.predictions', 'predictions'],
  ],
  projects: () => true,
  /** Layers in their groups: the i-th is all of group i / (layers / groups). */
  layerPaths(config) {
    const { numHiddenLayers, numHiddenGroups, innerGroupNum } = config as AlbertConfig;
    return Array.from({ length: numHiddenLayers }, (_, i) => {
      const group = Math.floor(i / (numHiddenLayers / numHiddenGroups));
      return Array.from({ length: innerGroupNum }, (_, j) => `albert_layer_groups.${group}.albert_layers.${j}`);
    }).flat();
  },
};

export interface AlbertConfigOptions extends BertConfigOptions {
  /** Columns of the embedding tables, which a linear layer brings to `hiddenSize`. */
  embeddingSize: number;
  /** Groups of consecutive layers that share their weights. */
  numHiddenGroups: number;
  /** Layers that a group runs each time, with weights of their own. */
  innerGroupNum: number;
}

/* eslint-disable @typescript-eslint/no-unsafe-declaration-merging, @typescript-eslint/no-empty-object-type */
export interface AlbertConfig extends Readonly<AlbertConfigOptions> {}
export class AlbertConfig extends BertConfig {
  /* eslint-enable */
  static override readonly family = albert;
  constructor(options: Partial<AlbertConfigOptions> = {}, file?: string) {
    super(options, file);
  }
}
export class AlbertModel extends BertModel {
  static override readonly configClass: ConfigClass = AlbertConfig;
}

/** Both heads of ALBERT's pretraining: masked words and sentence order. */
export class AlbertForPreTraining extends BertWithHead {
  static override readonly configClass: ConfigClass = AlbertConfig;
  readonly predictions: MaskedLanguageModelHead;
  readonly sopClassifier: Linear;

  constructor(config: AlbertConfig, weights: Weights = randomWeights(config)) {
    super(config, weights, true, config.classifierDropout ?? 0);
    this.predictions = new MaskedLanguageModelHead(config, weights, this.bert.embeddings.wordEmbeddings.weight);
    this.sopClassifier = new Linear(weights.scope('sop_classifier.classifier'), config.hiddenSize, config.numLabels);
  }

  override tieWeights(): void {
    if (this.config.tieWordEmbeddings) this.predictions.tie(this.bert.embeddings.wordEmbeddings.weight);
  }

  forward(inputs: Inputs, options: PredictionOptions = {}): SentenceOrderOutput {
    return this.engine.scope(() => {
      const { lastHiddenState, poolerOutput, ...rest } = this.statesOf(inputs, options, options?.predictionTokens);
      const predictionLogits = this.predictions.forward(lastHiddenState);
      const dropped = this.dropout.forward(poolerOutput!, rest.batch.sequenceKeys);
      return { ...rest, predictionLogits, sopLogits: this.sopClassifier.forward(dropped) };
    });
  }
}
export class AlbertForMaskedLM extends heads.BertForMaskedLM {
  static override readonly configClass: ConfigClass = AlbertConfig;
}
export class AlbertForSequenceClassification extends heads.BertForSequenceClassification {
  static override readonly configClass: ConfigClass = AlbertConfig;
}
export class AlbertForTokenClassification extends heads.BertForTokenClassification {
  static override readonly configClass: ConfigClass = AlbertConfig;
}
export class AlbertForQuestionAnswering extends heads.BertForQuestionAnswering {
  static override readonly configClass: ConfigClass = AlbertConfig;
}
export class AlbertForMultipleChoice extends heads.BertForMultipleChoice {
  static override readonly configClass: ConfigClass = AlbertConfig;
}

import { Linear, Module, type Weights } from '../../layers/index.ts';
import type { ActivationName, Tensor } from '../../tensor/index.ts';
import { activation, BertConfig, count, flag, orNull, probability } from '../config.ts';
import type { BertConfigOptions, Check, ConfigClass } from '../config.ts';
import { BertWithHead, type Inputs } from '../headModules.ts';
import * as heads from '../heads.ts';
import { BertModel } from '../model.ts';
import type { ForwardOptions, LogitsOutput } from '../outputs.ts';
import { randomWeights } from '../preTrainedModel.ts';
import type { Family } from './family.ts';

const kinds = ['first', 'last', 'mean', 'cls_index'];
const summaryType: Check = [kinds.map((kind) => `"${kind}"`).join(', '), (v) => kinds.includes(v as string)];

/** Clark et al. 2020, arXiv:2003.10555: BERT trained to tell which words were replaced; small embeddings, no pooler. */
export const electra: Family = {
  modelType: 'electra',
  prefix: 'electra',
  config: {
    defaults: { hiddenSize: 256, numAttentionHeads: 4, intermediateSize: 1024 },
    extra: {
      embeddingSize: ['embedding_size', count, 128],
      summaryActivation: ['summary_activation', orNull(activation), 'gelu'],
      summaryLastDropout: ['summary_last_dropout', probability, 0.1],
      summaryType: ['summary_type', summaryType, 'first'],
      summaryUseProj: ['summary_use_proj', flag, true],
    },
  },
  names: [
    ['cls.predictions.transform', 'generator_predictions'],
    ['cls.predictions.decoder', 'generator_lm_head'],
    ['cls.predictions', 'generator_lm_head'],
  ],
  projects: ({ embeddingSize, hiddenSize }) => embeddingSize !== hiddenSize,
  pooler: false,
  heads: {
    maskedLanguageModelActivation: 'gelu',
    sequenceClassification: ({ classifierDropout, hiddenDropoutProb }) => ({
      dense: 'classifier.dense',
      activation: 'gelu',
      classifier: 'classifier.out_proj',
      dropoutFirst: classifierDropout ?? hiddenDropoutProb,
    }),
    multipleChoice(config) {
      const { summaryType, summaryUseProj, summaryActivation } = config as ElectraConfig;
      return {
        dense: summaryUseProj ? 'sequence_summary.summary' : null,
        activation: summaryActivation ?? 'linear',
        classifier: 'classifier',
        pooling: summaryType === 'cls_index' ? 'last' : summaryType,
        dropoutFirst: 0,
      };
    },
    dropout: { multipleChoice: (config) => (config as ElectraConfig).summaryLastDropout },
  },
};

export interface ElectraConfigOptions extends BertConfigOptions {
  /** Columns of the embedding tables, which a linear layer brings to `hiddenSize`. */
  embeddingSize: number;
  /** After the dense layer of the multiple-choice head; null for none. */
  summaryActivation: ActivationName | null;
  /** Dropout after that activation. */
  summaryLastDropout: number;
  /**
   * Which vector of a sequence that head looks at: its first token's, its last one's, or the mean of all; 'cls_index', a place
   * that is given with each input, is the last one where none is given, and none ever is. Padding is not among them, unlike
   * in transformers, where it makes a choice depend on its neighbours.
   */
  summaryType: 'first' | 'last' | 'mean' | 'cls_index';
  /** Whether it has a dense layer. */
  summaryUseProj: boolean;
}

/* eslint-disable @typescript-eslint/no-unsafe-declaration-merging, @typescript-eslint/no-empty-object-type */
export interface ElectraConfig extends Readonly<ElectraConfigOptions> {}
export class ElectraConfig extends BertConfig {
  /* eslint-enable */
  static override readonly family = electra;
  constructor(options: Partial<ElectraConfigOptions> = {}, file?: string) {
    super(options, file);
  }
}
export class ElectraModel extends BertModel {
  static override readonly configClass: ConfigClass = ElectraConfig;
}

/** Whether a token was replaced: a dense layer and a single logit. */
class DiscriminatorPredictions extends Module {
  readonly dense: Linear;
  readonly densePrediction: Linear;
  readonly activation: ActivationName;

  constructor({ hiddenSize, hiddenAct }: BertConfig, weights: Weights) {
    super(weights.path);
    this.dense = new Linear(weights.scope('dense'), hiddenSize, hiddenSize);
    this.densePrediction = new Linear(weights.scope('dense_prediction'), hiddenSize, 1);
    this.activation = hiddenAct;
  }

  /** x: [totalTokens, hiddenSize] → [totalTokens] */
  forward(x: Tensor): Tensor {
    const logits = this.densePrediction.forward(this.dense.forward(x, this.activation));
    return logits.reshape([logits.size]);
  }
}

/** The discriminator: `logits` [totalTokens], above 0 for a token that was replaced. */
export class ElectraForPreTraining extends BertWithHead {
  static override readonly configClass: ConfigClass = ElectraConfig;
  readonly discriminatorPredictions: DiscriminatorPredictions;

  constructor(config: ElectraConfig, weights: Weights = randomWeights(config)) {
    super(config, weights, false, 0);
    this.discriminatorPredictions = new DiscriminatorPredictions(config, weights.scope('discriminator_predictions'));
  }

  forward(inputs: Inputs, options: ForwardOptions = {}): LogitsOutput {
    return this.tokenLogits(inputs, options, (x) => this.discriminatorPredictions.forward(x));
  }
}
export class ElectraForMaskedLM extends heads.BertForMaskedLM {
  static override readonly configClass: ConfigClass = ElectraConfig;
}
export class ElectraForSequenceClassification extends heads.BertForSequenceClassification {
  static override readonly configClass: ConfigClass = ElectraConfig;
}
export class ElectraForTokenClassification extends heads.BertForTokenClassification {
  static override readonly configClass: ConfigClass = ElectraConfig;
}
export class ElectraForQuestionAnswering extends heads.BertForQuestionAnswering {
  static override readonly configClass: ConfigClass = ElectraConfig;
}
export class ElectraForMultipleChoice extends heads.BertForMultipleChoice {
  static override readonly configClass: ConfigClass = ElectraConfig;
}

import { Module, type PackedBatch, type Parameter, type Relations, type Weights } from '../../layers/index.ts';
import { relativeBias, relativeBuckets } from '../../tensor/index.ts';
import { BertConfig, count, type BertConfigOptions, type ConfigClass } from '../config.ts';
import * as heads from '../heads.ts';
import { BertModel } from '../model.ts';
import type { Family } from './family.ts';
import { positionsAfter, roberta } from './roberta.ts';

/** Song et al. 2020, arXiv:2004.09297: RoBERTa without token types, with a bias on scores by relative position. */
export const mpnet: Family = {
  modelType: 'mpnet',
  prefix: 'mpnet',
  config: {
    keys: { typeVocabSize: null },
    defaults: { vocabSize: 30527, padTokenId: 1, typeVocabSize: 0 },
    extra: { relativeAttentionNumBuckets: ['relative_attention_num_buckets', count, 32] },
  },
  names: [
    ['attention.self.query', 'attention.attn.q'],
    ['attention.self.key', 'attention.attn.k'],
    ['attention.self.value', 'attention.attn.v'],
    ['attention.self', 'attention.context'], // no module there: attention has its output's linear layer inside
    ['attention.output.dense', 'attention.attn.o'],
    ['attention.output.LayerNorm', 'attention.LayerNorm'],
    ...(roberta.names as []),
  ],
  positions: positionsAfter(() => 1), // whatever the padding token's id
  attention: (config, encoder) => ({ relations: new RelativeBias(config as MPNetConfig, encoder) }),
  heads: {
    maskedLanguageModelActivation: 'gelu',
    sequenceClassification: ({ hiddenDropoutProb }) => ({
      dense: 'classifier.dense',
      activation: 'tanh',
      classifier: 'classifier.out_proj',
      dropoutFirst: hiddenDropoutProb,
    }),
    dropout: {
      tokenClassification: ({ hiddenDropoutProb }) => hiddenDropoutProb,
      multipleChoice: ({ hiddenDropoutProb }) => hiddenDropoutProb,
    },
  },
};

/** One table for all layers: a number for each head and bucket of distances. */
class RelativeBias extends Module {
  /** [buckets, heads] */
  readonly table: Parameter;

  constructor({ relativeAttentionNumBuckets, numAttentionHeads }: MPNetConfig, encoder: Weights) {
    super('');
    const shape = [relativeAttentionNumBuckets, numAttentionHeads];
    this.table = encoder.get('relative_attention_bias.weight', shape, 'normal');
  }

  forward(batch: PackedBatch): Relations {
    return { bias: relativeBias(this.table, relativeBuckets(batch, bucketOf), batch) };
  }
}

/**
 * 16 buckets for tokens behind, 16 for those ahead: one for each distance below 8, and 8 for ever more of them up to 128.
 * In float32, as PyTorch rounds. Source: Raffel et al. 2020, §2.1.
 */
function bucketOf(distance: number): number {
  const [side, far] = [distance < 0 ? 16 : 0, Math.abs(distance)];
  if (far < 8) return side + far;
  const octaves = Math.fround(Math.fround(Math.log(far / 8)) / Math.fround(Math.log(16)));
  return side + Math.min(15, 8 + Math.trunc(Math.fround(octaves * 8)));
}

export interface MPNetConfigOptions extends Omit<BertConfigOptions, 'typeVocabSize'> {
  /** Rows of the table of relative positions. */
  relativeAttentionNumBuckets: number;
}

/* eslint-disable @typescript-eslint/no-unsafe-declaration-merging */
export interface MPNetConfig extends Readonly<MPNetConfigOptions> {
  readonly embeddingSize: number;
}
export class MPNetConfig extends BertConfig {
  static override readonly family = mpnet;
  constructor(options: Partial<MPNetConfigOptions> = {}, file?: string) {
    super(options, file);
  }
}
/* eslint-enable */
export class MPNetModel extends BertModel {
  static override readonly configClass: ConfigClass = MPNetConfig;
}
export class MPNetForMaskedLM extends heads.BertForMaskedLM {
  static override readonly configClass: ConfigClass = MPNetConfig;
}
export class MPNetForSequenceClassification extends heads.BertForSequenceClassification {
  static override readonly configClass: ConfigClass = MPNetConfig;
}
export class MPNetForTokenClassification extends heads.BertForTokenClassification {
  static override readonly configClass: ConfigClass = MPNetConfig;
}
export class MPNetForQuestionAnswering extends heads.BertForQuestionAnswering {
  static override readonly configClass: ConfigClass = MPNetConfig;
}
export class MPNetForMultipleChoice extends heads.BertForMultipleChoice {
  static override readonly configClass: ConfigClass = MPNetConfig;
}

import { BertConfig } from '../config.ts';
import * as heads from '../heads.ts';
import { BertModel } from '../model.ts';
import type { Family } from './family.ts';
import { roberta } from './roberta.ts';

/** Conneau et al. 2020, arXiv:1911.02116: RoBERTa with another vocabulary. */
export const xlmRoberta: Family = {
  ...roberta,
  modelType: 'xlm-roberta',
  config: { ...roberta.config, defaults: { ...roberta.config?.defaults, vocabSize: 30522 } },
};

export class XLMRobertaConfig extends BertConfig {
  static override readonly family = xlmRoberta;
}
export class XLMRobertaModel extends BertModel {
  static override readonly configClass = XLMRobertaConfig;
}
export class XLMRobertaForMaskedLM extends heads.BertForMaskedLM {
  static override readonly configClass = XLMRobertaConfig;
}
export class XLMRobertaForSequenceClassification extends heads.BertForSequenceClassification {
  static override readonly configClass = XLMRobertaConfig;
}
export class XLMRobertaForTokenClassification extends heads.BertForTokenClassification {
  static override readonly configClass = XLMRobertaConfig;
}
export class XLMRobertaForQuestionAnswering extends heads.BertForQuestionAnswering {
  static override readonly configClass = XLMRobertaConfig;
}
export class XLMRobertaForMultipleChoice extends heads.BertForMultipleChoice {
  static override readonly configClass = XLMRobertaConfig;
}

import { BertConfig } from '../config.ts';
import * as heads from '../heads.ts';
import { BertModel } from '../model.ts';
import type { Family } from './family.ts';
import { roberta } from './roberta.ts';

/** Martin et al. 2020, arXiv:1911.03894: RoBERTa with another vocabulary. */
export const camembert: Family = {
  ...roberta,
  modelType: 'camembert',
  config: { ...roberta.config, defaults: { ...roberta.config?.defaults, vocabSize: 30522 } },
};

export class CamembertConfig extends BertConfig {
  static override readonly family = camembert;
}
export class CamembertModel extends BertModel {
  static override readonly configClass = CamembertConfig;
}
export class CamembertForMaskedLM extends heads.BertForMaskedLM {
  static override readonly configClass = CamembertConfig;
}
export class CamembertForSequenceClassification extends heads.BertForSequenceClassification {
  static override readonly configClass = CamembertConfig;
}
export class CamembertForTokenClassification extends heads.BertForTokenClassification {
  static override readonly configClass = CamembertConfig;
}
export class CamembertForQuestionAnswering extends heads.BertForQuestionAnswering {
  static override readonly configClass = CamembertConfig;
}
export class CamembertForMultipleChoice extends heads.BertForMultipleChoice {
  static override readonly configClass = CamembertConfig;
}

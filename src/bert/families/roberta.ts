import { BertConfig, tokenId } from '../config.ts';
import * as heads from '../heads.ts';
import { BertModel } from '../model.ts';
import type { Family, PositionScheme } from './family.ts';

/**
 * Positions count the tokens that are not padding, in the row as it was given, masked tokens too; they start behind the
 * padding's own position, which is its id. A padding token that is not masked has that one.
 */
export const positionsAfter = (paddingOf: (config: BertConfig) => number): PositionScheme => ({
  first: (config) => paddingOf(config) + 1,
  ids({ columns, offsets, originalIds, originalOffsets }, config) {
    const padding = paddingOf(config);
    const positions = new Int32Array(columns.length);
    for (let sequence = 0; sequence + 1 < offsets.length; sequence++) {
      let [column, count] = [0, 0];
      for (let token = offsets[sequence]; token < offsets[sequence + 1]; token++) {
        for (; column <= columns[token]; column++) {
          if (originalIds[originalOffsets[sequence] + column] !== padding) count++;
        }
        const isPadding = originalIds[originalOffsets[sequence] + columns[token]] === padding;
        positions[token] = padding + (isPadding ? 0 : count);
      }
    }
    return positions;
  },
});

/** Liu et al. 2019, arXiv:1907.11692: BERT with other positions, and heads that need no pooler. */
export const roberta: Family = {
  modelType: 'roberta',
  prefix: 'roberta',
  config: {
    defaults: { vocabSize: 50265, padTokenId: 1 },
    extra: { padTokenId: ['pad_token_id', tokenId, 1] },
  },
  names: [
    ['cls.predictions.transform.dense', 'lm_head.dense'],
    ['cls.predictions.transform.LayerNorm', 'lm_head.layer_norm'],
    ['cls.predictions', 'lm_head'],
  ],
  positions: positionsAfter(({ padTokenId }) => padTokenId!),
  heads: {
    maskedLanguageModelActivation: 'gelu',
    sequenceClassification: ({ classifierDropout, hiddenDropoutProb }) => ({
      dense: 'classifier.dense',
      activation: 'tanh',
      classifier: 'classifier.out_proj',
      dropoutFirst: classifierDropout ?? hiddenDropoutProb,
    }),
    dropout: { multipleChoice: ({ hiddenDropoutProb }) => hiddenDropoutProb },
  },
};

export class RobertaConfig extends BertConfig {
  static override readonly family = roberta;
}
export class RobertaModel extends BertModel {
  static override readonly configClass = RobertaConfig;
}
export class RobertaForMaskedLM extends heads.BertForMaskedLM {
  static override readonly configClass = RobertaConfig;
}
export class RobertaForSequenceClassification extends heads.BertForSequenceClassification {
  static override readonly configClass = RobertaConfig;
}
export class RobertaForTokenClassification extends heads.BertForTokenClassification {
  static override readonly configClass = RobertaConfig;
}
export class RobertaForQuestionAnswering extends heads.BertForQuestionAnswering {
  static override readonly configClass = RobertaConfig;
}
export class RobertaForMultipleChoice extends heads.BertForMultipleChoice {
  static override readonly configClass = RobertaConfig;
}

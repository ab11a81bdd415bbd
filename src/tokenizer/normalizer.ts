import { BertNormalizer } from './bertNormalizer.ts';
import type { JsonField, Readers } from './jsonField.ts';
import type { NormalizedString } from './normalizedString.ts';
import { MARK } from './unicode.ts';
import { decompose, toLowercase } from './unicodeNormalizers.ts';

/** First stage: changes the characters of a text (case, accents, spaces) and keeps track of where each came from. */
export interface Normalizer {
  normalize(text: NormalizedString): void;
}

/** The `normalizer`s of a tokenizer.json for BERT. */
export const bertNormalizers: Readers<Normalizer> = {
  BertNormalizer: readBertNormalizer,
  Lowercase: () => ({ normalize: toLowercase }),
  NFD: () => ({ normalize: decompose }),
  StripAccents: () => ({ normalize: (text) => text.remove(MARK) }),
  Sequence: (json, readItem) => inOrder(json.get('normalizers').array(readItem)),
};

function readBertNormalizer(json: JsonField): Normalizer {
  return new BertNormalizer({
    cleanText: json.get('clean_text').boolean(),
    handleChineseChars: json.get('handle_chinese_chars').boolean(),
    stripAccents: json.get('strip_accents').optional((flag) => flag.boolean()),
    lowercase: json.get('lowercase').boolean(),
  });
}

function inOrder(normalizers: Normalizer[]): Normalizer {
  return {
    normalize(text) {
      for (const normalizer of normalizers) normalizer.normalize(text);
    },
  };
}

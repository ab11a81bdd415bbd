import type { JsonField, Readers } from './jsonField.ts';
import type { NormalizedString } from './normalizedString.ts';
import type { TokenizedText } from './tokenizedText.ts';

/** Third stage: cuts a word into tokens of the vocabulary. */
export interface Model {
  /** Adds the tokens of the word at [start, end) of the text. */
  tokenize(text: NormalizedString, start: number, end: number, tokens: TokenizedText): void;
  tokenToId(token: string): number | undefined;
  idToToken(id: number): string | undefined;
  /** The number of tokens, without added ones. */
  readonly vocabSize: number;
}

/**
 * The `model` of a tokenizer.json. Old files have no `type`; then the fields tell.
 *
 * @throws TokenizerError for a malformed field, an unsupported type or an inconsistent vocabulary
 */
export function readModel(json: JsonField, readers: Readers<Model>): Model {
  const untyped = json.get('type').isMissing;
  const type = Object.keys(TELLING_FIELDS).find((name) => name in readers && !json.get(TELLING_FIELDS[name]).isMissing);
  return untyped && type !== undefined ? readers[type](json, (item) => readModel(item, readers)) : json.byType(readers);
}

const TELLING_FIELDS: Record<string, string> = {
  BPE: 'merges',
  WordPiece: 'max_input_chars_per_word',
  Unigram: 'unk_id',
};

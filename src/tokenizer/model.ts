import type { JsonField } from './jsonField.ts';
import type { NormalizedString } from './normalizedString.ts';
import type { TokenizedText } from './tokenizedText.ts';
import { readWordPiece } from './wordPiece.ts';

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
export function readModel(json: JsonField): Model {
  const untyped = json.get('type').isMissing && !json.get('max_input_chars_per_word').isMissing;
  return untyped ? readWordPiece(json) : json.byType(READERS);
}

const READERS: Record<string, (json: JsonField) => Model> = { WordPiece: readWordPiece };

import { BertNormalizer } from './bertNormalizer.ts';
import { bertPreTokenizer } from './preTokenizer.ts';
import { EMPTY_HASH, extendHash } from './tokenTable.ts';
import type { TokenizedText } from './tokenizedText.ts';
import type { Pipeline, Scanner } from './tokenizer.ts';
import { PUNCTUATION, unicode, WHITESPACE } from './unicode.ts';
import { WordPiece } from './wordPiece.ts';

/** What a code point does to the word that is being read. */
const IN_WORD = 1; // becomes a code point of it
const BETWEEN_WORDS = 2; // ends it
const ALONE = 3; // ends it, and becomes a word itself
const DROPPED = 4;
const SEVERAL = 5; // becomes several code points, each of which does one of the above
const BY_CONTEXT = 6; // depends on its neighbours

/**
 * The stages of BERT in one pass over a text, without arrays for what lies between them: the normalizer's work on a
 * code point is looked up, words are found while they are read, and looked up by the hash that grew along.
 *
 * It gives what the stages give one after another, or says that it cannot; they are the specification.
 */
export class BertScanner implements Scanner {
  readonly #normalizer: BertNormalizer;
  readonly #model: WordPiece;
  readonly #canMatch: (text: string) => boolean;
  /** By code point: one of the above, and (from bit 3 on) what it becomes, or where in `#several`; 0 if not known yet. */
  readonly #effects = new Int32Array(0x110000);
  readonly #several: number[][] = [];
  /** The word that is being read, and the range of the text that each of its code points came from; one more than it may have. */
  readonly #codes: Int32Array;
  readonly #starts: Int32Array;
  readonly #ends: Int32Array;

  private constructor(normalizer: BertNormalizer, model: WordPiece, canMatch: (text: string) => boolean) {
    this.#normalizer = normalizer;
    this.#model = model;
    this.#canMatch = canMatch;
    this.#codes = new Int32Array(model.maxLength + 1);
    this.#starts = new Int32Array(model.maxLength + 1);
    this.#ends = new Int32Array(model.maxLength + 1);
  }

  /** For a tokenizer whose stages are those of BERT; undefined for any other. */
  static for({ normalizer, preTokenizer, model, addedTokens }: Pipeline): BertScanner | undefined {
    if (!(normalizer instanceof BertNormalizer && model instanceof WordPiece)) return undefined;
    if (preTokenizer !== bertPreTokenizer || addedTokens.normalized.size > 0) return undefined;
    return new BertScanner(normalizer, model, (text) => addedTokens.raw.canMatch(text));
  }

  scan(text: string, tokens: TokenizedText): boolean {
    if (this.#canMatch(text)) return false;
    const effects = this.#effects;
    const codes = this.#codes;
    const starts = this.#starts;
    const ends = this.#ends;
    const limit = this.#model.maxLength;
    let length = 0; // of the word
    let hash = EMPTY_HASH;
    for (let i = 0; i < text.length;) {
      const start = i;
      let effect = effects[text.charCodeAt(i++)];
      if (effect === 0) {
        // Not known yet, or a surrogate; a lone one reads U+FFFD.
        let code = text.codePointAt(start)!;
        if (code > 0xffff) i++;
        else if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd;
        effect = effects[code] || this.#learn(code);
      }
      const parts = (effect & 7) === SEVERAL ? this.#several[effect >> 3] : undefined;
      for (let part = 0, count = parts ? parts.length : 1; part < count; part++) {
        const what = parts ? parts[part] : effect;
        const kind = what & 7;
        if (kind === IN_WORD) {
          hash = extendHash(hash, what >> 3);
          const at = length < limit ? length : limit; // of a word that is too long, only where it ends
          codes[at] = what >> 3;
          ends[at] = i;
          if (at === length) starts[at] = start;
          length++;
          continue;
        }
        if (kind === DROPPED) continue;
        if (kind === BY_CONTEXT) {
          tokens.clear();
          return false;
        }
        if (length > 0) {
          this.#addWord(length, hash, tokens);
          length = 0;
          hash = EMPTY_HASH;
        }
        if (kind === BETWEEN_WORDS) continue;
        codes[0] = what >> 3;
        starts[0] = start;
        ends[0] = i;
        this.#addWord(1, extendHash(EMPTY_HASH, what >> 3), tokens);
      }
    }
    if (length > 0) this.#addWord(length, hash, tokens);
    return true;
  }

  /** @param length of the word, which may be more than is kept of it */
  #addWord(length: number, hash: number, tokens: TokenizedText): void {
    const { pieces, unkId, maxLength } = this.#model;
    const starts = this.#starts;
    const ends = this.#ends;
    if (length > maxLength || !this.#model.cut(this.#codes, 0, length, hash)) {
      tokens.push(unkId, starts[0], ends[Math.min(length - 1, maxLength)]);
    } else {
      for (let k = 0, begin = 0; k < pieces.count; k++) {
        tokens.push(pieces.ids[k], starts[begin], ends[pieces.ends[k] - 1]);
        begin = pieces.ends[k];
      }
    }
    tokens.word++;
  }

  #learn(code: number): number {
    const { classes } = unicode();
    const parts = this.#normalizer.alone(code)?.map((part) => {
      if (classes[part] & WHITESPACE) return BETWEEN_WORDS;
      return (part << 3) | (classes[part] & PUNCTUATION ? ALONE : IN_WORD);
    });
    let effect = BY_CONTEXT;
    if (parts?.length === 0) effect = DROPPED;
    else if (parts?.length === 1) effect = parts[0];
    else if (parts) effect = (this.#several.push(parts) - 1) * 8 + SEVERAL;
    return (this.#effects[code] = effect);
  }
}

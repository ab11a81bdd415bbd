import { show, TokenizerError } from '../errors.ts';
import type { JsonField } from './jsonField.ts';
import type { Model } from './model.ts';
import type { NormalizedString } from './normalizedString.ts';
import type { TokenizedText } from './tokenizedText.ts';
import { EMPTY_HASH, extendHash, TokenTable } from './tokenTable.ts';
import { readVocab } from './vocabulary.ts';
import type { Pieces } from './wordMemo.ts';

export interface WordPieceOptions {
  /** What messages call the vocabulary: its file. */
  name?: string;
  /** Id of each token. */
  vocab: ReadonlyMap<string, number>;
  unkToken: string;
  continuingSubwordPrefix: string;
  /** In code points, after normalization; a longer word is unknown without a look. */
  maxInputCharsPerWord: number;
}

/**
 * WordPiece (Schuster and Nakajima 2012, as BERT uses it): from the left, the longest token that fits, then the longest
 * continuation (`##…`), and so on. A word that cannot be covered to its end is one unknown token.
 */
export class WordPiece implements Model {
  readonly vocabSize: number;
  readonly #vocab: ReadonlyMap<string, number>;
  readonly #tokens: string[] = []; // by id
  readonly #beginnings: TokenTable;
  readonly #continuations: TokenTable; // without their prefix
  readonly unkId: number;
  /** Of a word, in code points. */
  readonly maxLength: number;
  /** What `cut` found last. */
  readonly pieces: Pieces;

  /** @throws TokenizerError when two tokens share an id or the unknown token is missing */
  constructor(options: WordPieceOptions) {
    const { name = 'vocabulary', vocab, unkToken, continuingSubwordPrefix, maxInputCharsPerWord } = options;
    const continuations = new Map<string, number>();
    const tokens = this.#tokens;
    vocab.forEach((id, token) => {
      if (tokens[id] !== undefined) {
        throw new TokenizerError({
          what: name,
          expected: 'one token for each id',
          got: `id ${id} for both ${show(tokens[id])} and ${show(token)}`,
        });
      }
      tokens[id] = token;
      if (token.startsWith(continuingSubwordPrefix)) {
        continuations.set(token.slice(continuingSubwordPrefix.length), id);
      }
    });
    const unkId = vocab.get(unkToken);
    if (unkId === undefined) {
      throw new TokenizerError({
        what: name,
        expected: `the unknown token ${show(unkToken)} among its ${vocab.size} tokens`,
        fix: 'check that the vocabulary belongs to this model and that unk_token names one of its tokens',
      });
    }
    this.#vocab = vocab;
    this.#beginnings = new TokenTable(vocab);
    this.#continuations = new TokenTable(continuations);
    this.unkId = unkId;
    this.maxLength = maxInputCharsPerWord;
    this.pieces = { count: 0, ids: new Int32Array(maxInputCharsPerWord), ends: new Int32Array(maxInputCharsPerWord) };
    this.vocabSize = vocab.size;
  }

  tokenize(text: NormalizedString, start: number, end: number, tokens: TokenizedText): void {
    const { codes, starts, ends } = text;
    let hash = EMPTY_HASH;
    for (let i = start; i < end; i++) hash = extendHash(hash, codes[i]);
    if (end - start > this.maxLength || !this.cut(codes, start, end - start, hash)) {
      tokens.push(this.unkId, starts[start], ends[end - 1]);
      return;
    }
    const { pieces } = this;
    for (let k = 0, begin = start; k < pieces.count; k++) {
      tokens.push(pieces.ids[k], starts[begin], ends[start + pieces.ends[k] - 1]);
      begin = start + pieces.ends[k];
    }
  }

  /**
   * Cuts the word of `length` codes (at most `maxLength`) from `start` on, whose hash is known, into `pieces`.
   *
   * @returns false when it is unknown
   */
  cut(codes: Int32Array, start: number, length: number, hash: number): boolean {
    const { pieces } = this;
    const whole = this.#beginnings.find(hash, codes, start, length);
    if (whole >= 0) {
      pieces.count = 1;
      pieces.ids[0] = whole;
      pieces.ends[0] = length;
      return true;
    }
    const end = start + length;
    let table = this.#beginnings;
    pieces.count = 0;
    for (let covered = start; covered < end; covered = table.matchEnd) {
      if (pieces.count > 0) table = this.#continuations;
      const id = table.longestPrefix(codes, covered, end);
      if (id < 0) return false;
      pieces.ids[pieces.count] = id;
      pieces.ends[pieces.count++] = table.matchEnd - start;
    }
    return true;
  }

  tokenToId(token: string): number | undefined {
    return this.#vocab.get(token);
  }

  idToToken(id: number): string | undefined {
    return this.#tokens[id];
  }
}

/** The WordPiece model of a tokenizer.json. */
export function readWordPiece(json: JsonField): WordPiece {
  return new WordPiece({
    name: `${json.file}: model.vocab`,
    vocab: readVocab(json.get('vocab')),
    unkToken: json.get('unk_token').string(),
    continuingSubwordPrefix: json.get('continuing_subword_prefix').string(),
    maxInputCharsPerWord: json.get('max_input_chars_per_word').count(),
  });
}

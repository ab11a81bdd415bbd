import { NumberRoom, type TokenizedText } from './tokenizedText.ts';

/** The tokens of a text from `start` to `end`, as one run of an encoding. */
export interface TextPiece {
  readonly source: TokenizedText;
  /** 0 for the first text, 1 for the second of a pair. */
  readonly sequence: number;
  readonly start: number;
  readonly end: number;
  readonly typeId: number;
  readonly trims?: readonly OffsetTrim[] | undefined;
}

/**
 * Makes the offsets of a token (an index of `source`) narrower, to leave out spaces.
 *
 * @param isFirst whether the token is the first of its run
 */
export type OffsetTrim = (
  source: TokenizedText,
  token: number,
  isFirst: boolean,
  offsets: [number, number],
) => [number, number];

/** Tokens that stand for no text: special tokens, or padding, which is not attended to. */
export interface FixedPiece {
  readonly ids: readonly number[];
  readonly tokens: readonly string[];
  readonly typeId: number;
  readonly isPadding?: boolean;
}

export type Piece = TextPiece | FixedPiece;

/** What holds for an encoding and all its overflow windows together. */
interface EncodingFacts {
  /** Length without truncation and padding, special tokens included. */
  readonly tokenCount: number;
  readonly truncated: boolean;
  /** Makes the other windows on the same text. */
  readonly overflow: () => Encoding[];
}

/**
 * A tokenized text or pair of texts: what a model takes, and where in the text each token came from.
 *
 * Arrays that only some callers want (`tokens`, `offsets`, …) are made when first asked for. Those of a batch share buffers:
 * one that is to be transferred must be copied (`slice()`) first.
 */
export class Encoding {
  readonly length: number;
  readonly inputIds: Int32Array;
  /** How many tokens the text has without truncation and padding, special tokens included. */
  readonly tokenCount: number;
  /** Whether tokens of the text are missing here, because of a maximum length. */
  readonly truncated: boolean;

  readonly #pieces: readonly Piece[];
  readonly #room: NumberRoom;
  readonly #makeOverflow: (() => Encoding[]) | undefined;
  #tokenTypeIds: Int32Array | undefined;
  #attentionMask: Int32Array | undefined;
  #starts: Int32Array | undefined;
  #ends: Int32Array | undefined;
  #tokens: string[] | undefined;
  #offsets: [number, number][] | undefined;
  #codePointOffsets: [number, number][] | undefined;
  #overflowing: Encoding[] | undefined;

  /**
   * @param facts without them, the pieces are all there is of the text
   * @param room where its arrays of numbers are made
   */
  constructor(pieces: readonly Piece[], facts?: EncodingFacts, room = new NumberRoom(0)) {
    this.#pieces = pieces;
    this.#room = room;
    let length = 0;
    for (const piece of pieces) length += lengthOf(piece);
    this.length = length;
    this.tokenCount = facts?.tokenCount ?? length;
    this.truncated = facts?.truncated ?? false;
    this.#makeOverflow = facts?.overflow;
    this.inputIds = room.take(length);
    let at = 0;
    for (const piece of pieces) {
      if ('source' in piece) piece.source.copyIds(piece.start, piece.end, this.inputIds, at);
      else for (let i = 0; i < piece.ids.length; i++) this.inputIds[at + i] = piece.ids[i];
      at += lengthOf(piece);
    }
  }

  get tokenTypeIds(): Int32Array {
    this.#tokenTypeIds ??= this.#perPiece(({ typeId }) => typeId);
    return this.#tokenTypeIds;
  }

  /** 1 for tokens, 0 for padding. */
  get attentionMask(): Int32Array {
    this.#attentionMask ??= this.#perPiece((piece) => ('source' in piece || !piece.isPadding ? 1 : 0));
    return this.#attentionMask;
  }

  /** 1 for tokens that stand for no text, 0 for all others (a `[SEP]` typed in the text included). */
  get specialTokensMask(): Int32Array {
    return this.#perPiece((piece) => ('source' in piece ? 0 : 1));
  }

  /** The token strings. */
  get tokens(): string[] {
    this.#tokens ??= this.#column(
      ({ source }, token) => source.tokenAt(token),
      ({ tokens }, index) => tokens[index],
    );
    return this.#tokens;
  }

  /** Where each token begins in its text, in UTF-16 units: the first numbers of `offsets`, in less memory. */
  get starts(): Int32Array {
    if (this.#starts === undefined) this.#findBounds();
    return this.#starts!;
  }

  /** Where each token ends: the second numbers of `offsets`. */
  get ends(): Int32Array {
    if (this.#ends === undefined) this.#findBounds();
    return this.#ends!;
  }

  /**
   * Where each token stands in its text, in UTF-16 units, so that `text.slice(start, end)` is what it was read from (without
   * the space before it, for tokenizers that trim offsets); [0, 0] for special tokens and padding.
   */
  get offsets(): [number, number][] {
    this.#offsets ??= this.#column(offsetsOf, () => [0, 0]);
    return this.#offsets;
  }

  /** As `offsets`, counted in code points, as Python counts them. */
  get codePointOffsets(): [number, number][] {
    this.#codePointOffsets ??= this.#column(
      (piece, token) => {
        const [start, end] = offsetsOf(piece, token);
        return [piece.source.codePoints(start), piece.source.codePoints(end)];
      },
      () => [0, 0],
    );
    return this.#codePointOffsets;
  }

  /** Which word of its text each token is a part of; null for special tokens and padding. */
  get wordIds(): (number | null)[] {
    return this.#column<number | null>(
      ({ source }, token) => source.wordAt(token),
      () => null,
    );
  }

  /** Which of the two texts each token belongs to, 0 or 1; null for special tokens and padding. */
  get sequenceIds(): (number | null)[] {
    return this.#column<number | null>(
      ({ sequence }) => sequence,
      () => null,
    );
  }

  /**
   * The other windows on the same text when it was truncated, each with its special tokens, overlapping by `stride`.
   * When both texts of a pair were cut, these are all combinations of their windows, which can be very many.
   */
  get overflowing(): Encoding[] {
    this.#overflowing ??= this.#makeOverflow?.() ?? [];
    return this.#overflowing;
  }

  /** This encoding and its overflow windows with a run of padding added to each, as `paddingFor` its length says. */
  withPadding(paddingFor: (length: number) => FixedPiece | undefined, side: 'left' | 'right'): Encoding {
    const padding = paddingFor(this.length);
    const pieces = padding === undefined ? [] : [padding];
    const overflow = () => this.overflowing.map((window) => window.withPadding(paddingFor, side));
    return new Encoding(
      side === 'left' ? [...pieces, ...this.#pieces] : [...this.#pieces, ...pieces],
      { tokenCount: this.tokenCount, truncated: this.truncated, overflow },
      this.#room,
    );
  }

  #findBounds(): void {
    const starts = (this.#starts = this.#room.take(this.length));
    const ends = (this.#ends = this.#room.take(this.length));
    let at = 0;
    for (const piece of this.#pieces) {
      if (!('source' in piece)) at += piece.ids.length;
      else if (piece.trims?.length) {
        for (let i = piece.start; i < piece.end; i++, at++) [starts[at], ends[at]] = offsetsOf(piece, i);
      } else {
        piece.source.copyBounds(piece.start, piece.end, starts, ends, at);
        at += lengthOf(piece);
      }
    }
  }

  /** The same number for all tokens of a piece. */
  #perPiece(numberOf: (piece: Piece) => number): Int32Array {
    const numbers = new Int32Array(this.length);
    let at = 0;
    for (const piece of this.#pieces) numbers.fill(numberOf(piece), at, (at += lengthOf(piece)));
    return numbers;
  }

  #column<T>(ofText: (piece: TextPiece, token: number) => T, ofFixed: (piece: FixedPiece, index: number) => T): T[] {
    const column: T[] = [];
    for (const piece of this.#pieces) {
      if ('source' in piece) for (let i = piece.start; i < piece.end; i++) column.push(ofText(piece, i));
      else for (let i = 0; i < piece.ids.length; i++) column.push(ofFixed(piece, i));
    }
    return column;
  }
}

function lengthOf(piece: Piece): number {
  return 'source' in piece ? piece.end - piece.start : piece.ids.length;
}

function offsetsOf(piece: TextPiece, token: number): [number, number] {
  const { source, start, trims = [] } = piece;
  const offsets: [number, number] = [source.startAt(token), source.endAt(token)];
  return trims.reduce((trimmed, trim) => trim(source, token, token === start, trimmed), offsets);
}

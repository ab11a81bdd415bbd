/** A text and all its tokens, before truncation and special tokens: what encodings are cut from. */
export interface TokenizedText {
  readonly text: string;
  readonly ids: readonly number[];
  /** Where each token begins and ends in the text, in UTF-16 units. */
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  /** Which word each token is a part of. */
  readonly words: readonly number[];
  /** What was read as the token at an index, where the token's name alone does not tell: spaces around added tokens. */
  readonly contents: ReadonlyMap<number, string>;
  /** The token that has an id. */
  readonly nameOf: (id: number) => string;
}

/** Collects the tokens of a text, in columns. */
export class TokenBuffer {
  readonly ids: number[] = [];
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  readonly words: number[] = [];
  #contents: Map<number, string> | undefined;
  /** The word that tokens are pushed for. */
  word = 0;

  get length(): number {
    return this.ids.length;
  }

  push(id: number, start: number, end: number): void {
    this.ids.push(id);
    this.starts.push(start);
    this.ends.push(end);
    this.words.push(this.word);
  }

  /** Adds a token that was read from `content`. */
  pushAs(content: string, id: number, start: number, end: number): void {
    this.#contents ??= new Map();
    this.#contents.set(this.length, content);
    this.push(id, start, end);
  }

  /** Takes back all tokens from the one at `length` on. */
  truncate(length: number): void {
    while (this.length > length) {
      this.ids.pop();
      this.starts.pop();
      this.ends.pop();
      this.words.pop();
    }
  }

  get contents(): ReadonlyMap<number, string> {
    return this.#contents ?? NO_CONTENTS;
  }
}

const NO_CONTENTS: ReadonlyMap<number, string> = new Map();

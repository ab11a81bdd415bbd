/** A text and all its tokens, before truncation and special tokens: what encodings are cut from. */
export interface TokenizedText {
  readonly text: string;
  readonly length: number;
  readonly ids: Int32Array;
  /** Where each token begins and ends in the text, in UTF-16 units. */
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  /** Which word each token is a part of. */
  readonly words: Int32Array;
  /** What was read as the token at an index, where the token's name alone does not tell: spaces around added tokens. */
  readonly contents: ReadonlyMap<number, string>;
  /** The token that has an id. */
  readonly nameOf: (id: number) => string;
}

/** Collects the tokens of a text; one buffer serves text after text. */
export class TokenBuffer {
  length = 0;
  /** The word that tokens are pushed for. */
  word = 0;
  #ids = new Int32Array(64);
  #starts = new Int32Array(64);
  #ends = new Int32Array(64);
  #words = new Int32Array(64);
  #contents: Map<number, string> | undefined;

  push(id: number, start: number, end: number): void {
    if (this.length === this.#ids.length) this.#grow();
    this.#ids[this.length] = id;
    this.#starts[this.length] = start;
    this.#ends[this.length] = end;
    this.#words[this.length++] = this.word;
  }

  /** Adds a token that was read from `content`. */
  pushAs(content: string, id: number, start: number, end: number): void {
    (this.#contents ??= new Map()).set(this.length, content);
    this.push(id, start, end);
  }

  /** The tokens collected, as those of `text`; the buffer is empty afterwards. */
  take(text: string, nameOf: (id: number) => string): TokenizedText {
    const { length } = this;
    const result = {
      text,
      length,
      ids: this.#ids.slice(0, length),
      starts: this.#starts.slice(0, length),
      ends: this.#ends.slice(0, length),
      words: this.#words.slice(0, length),
      contents: this.#contents ?? NO_CONTENTS,
      nameOf,
    };
    this.length = 0;
    this.word = 0;
    this.#contents = undefined;
    return result;
  }

  #grow(): void {
    const wider = (array: Int32Array) => {
      const result = new Int32Array(array.length * 2);
      result.set(array);
      return result;
    };
    this.#ids = wider(this.#ids);
    this.#starts = wider(this.#starts);
    this.#ends = wider(this.#ends);
    this.#words = wider(this.#words);
  }
}

const NO_CONTENTS: ReadonlyMap<number, string> = new Map();

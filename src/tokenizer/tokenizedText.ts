/** A text and all its tokens, in columns, before truncation and special tokens: what encodings are cut from. */
export class TokenizedText {
  readonly text: string;
  readonly ids: number[] = [];
  /** Where each token begins and ends in the text, in UTF-16 units. */
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  /** Which word each token is a part of. */
  readonly words: number[] = [];
  /** The word that tokens are pushed for. */
  word = 0;
  /** What was read as the token at an index, where the token's name alone does not tell: spaces around added tokens. */
  #contents: Map<number, string> | undefined;
  #codePoints: ((offset: number) => number) | undefined;
  readonly #nameOf: (id: number) => string;

  /** @param nameOf the token that has an id */
  constructor(text: string, nameOf: (id: number) => string) {
    this.text = text;
    this.#nameOf = nameOf;
  }

  push(id: number, start: number, end: number): void {
    this.ids.push(id);
    this.starts.push(start);
    this.ends.push(end);
    this.words.push(this.word);
  }

  /** Adds an added token, which is a word of its own, and was read from `content`. */
  pushWord(content: string, id: number, start: number, end: number): void {
    this.#contents ??= new Map();
    this.#contents.set(this.ids.length, content);
    this.push(id, start, end);
    this.word++;
  }

  /** Takes back all tokens from the one at `length` on. */
  truncate(length: number): void {
    for (const column of [this.ids, this.starts, this.ends, this.words]) column.length = length;
  }

  /** The string of the token at an index. */
  tokenAt(index: number): string {
    return this.#contents?.get(index) ?? this.#nameOf(this.ids[index]);
  }

  /** An offset in UTF-16 units as one in code points, which Python and Rust users count in. */
  codePoints(offset: number): number {
    this.#codePoints ??= codePointCounter(this.text);
    return this.#codePoints(offset);
  }
}

/** Lone surrogates count as one. */
function codePointCounter(text: string): (offset: number) => number {
  if (!/[\ud800-\udbff][\udc00-\udfff]/.test(text)) return (offset) => offset;
  const counts = new Int32Array(text.length + 1);
  let count = 0;
  for (let i = 0; i < text.length; count++) {
    counts[i] = count;
    const units = text.codePointAt(i)! > 0xffff ? 2 : 1;
    if (units === 2) counts[i + 1] = count + 1;
    i += units;
  }
  counts[text.length] = count;
  return (offset) => counts[offset];
}

/** Room for the tokens of many texts, one after another. */
export class TokenRoom {
  rows: Int32Array;
  /** What is taken of it. */
  end = 0;

  /** @param size four numbers a token; when full, room is made for more */
  constructor(size: number) {
    this.rows = new Int32Array(size);
  }
}

/** Makes arrays of numbers that share buffers, each of which would take more time to make than its numbers. */
export class NumberRoom {
  readonly #size: number;
  #buffer = new ArrayBuffer(0);
  #end = 0;

  /** @param size of a buffer, in bytes; with 0, each array has its own */
  constructor(size: number) {
    this.#size = size;
  }

  /** So many zeros. */
  take(length: number): Int32Array {
    if (this.#end + 4 * length > this.#buffer.byteLength) {
      this.#buffer = new ArrayBuffer(Math.max(4 * length, this.#size));
      this.#end = 0;
    }
    const numbers = new Int32Array(this.#buffer, this.#end, length);
    this.#end += 4 * length;
    return numbers;
  }
}

/** A text and all its tokens, before truncation and special tokens: what encodings are cut from. */
export class TokenizedText {
  readonly text: string;
  length = 0;
  /** The word that tokens are pushed for. */
  word = 0;
  #rows: Int32Array; // of each token: its id, where it begins and ends in the text (in UTF-16 units), its word
  #base: number; // where those of this text begin
  readonly #room: TokenRoom;
  /** What was read as the token at an index, where its name alone does not tell: spaces around added tokens, unknown text. */
  #contents: Map<number, string> | undefined;
  #codePoints: ((offset: number) => number) | undefined;
  readonly #nameOf: (id: number) => string;

  /**
   * @param nameOf the token that has an id
   * @param room where its tokens go; no other text may get any until `close`
   */
  constructor(text: string, nameOf: (id: number) => string, room: TokenRoom) {
    this.text = text;
    this.#nameOf = nameOf;
    this.#rows = room.rows;
    this.#base = room.end;
    this.#room = room;
  }

  push(id: number, start: number, end: number): void {
    const at = this.#base + 4 * this.length;
    if (at + 4 > this.#rows.length) return this.#pushElsewhere(id, start, end);
    const rows = this.#rows;
    rows[at] = id;
    rows[at + 1] = start;
    rows[at + 2] = end;
    rows[at + 3] = this.word;
    this.length++;
  }

  /** Adds a token that goes by what was read, not by its name: an unknown one. */
  pushContent(content: string, id: number, start: number, end: number): void {
    this.#contents ??= new Map();
    this.#contents.set(this.length, content);
    this.push(id, start, end);
  }

  /** Adds an added token, which is a word of its own, and was read from `content`. */
  pushWord(content: string, id: number, start: number, end: number): void {
    this.pushContent(content, id, start, end);
    this.word++;
  }

  /** Takes back all tokens. */
  clear(): void {
    this.length = 0;
    this.word = 0;
  }

  /** No token comes any more. */
  close(): void {
    this.#room.end = this.#base + 4 * this.length;
  }

  idAt(index: number): number {
    return this.#rows[this.#base + 4 * index];
  }

  /** Where the token begins in the text, in UTF-16 units. */
  startAt(index: number): number {
    return this.#rows[this.#base + 4 * index + 1];
  }

  endAt(index: number): number {
    return this.#rows[this.#base + 4 * index + 2];
  }

  /** Puts the ids of tokens [start, end) into an array from `at` on. */
  copyIds(start: number, end: number, ids: Int32Array, at: number): void {
    const rows = this.#rows;
    for (let row = this.#base + 4 * start, last = this.#base + 4 * end; row < last; row += 4) ids[at++] = rows[row];
  }

  /** Where each of tokens [start, end) begins and ends, likewise. */
  copyBounds(start: number, end: number, starts: Int32Array, ends: Int32Array, at: number): void {
    const rows = this.#rows;
    for (let row = this.#base + 4 * start, last = this.#base + 4 * end; row < last; row += 4, at++) {
      starts[at] = rows[row + 1];
      ends[at] = rows[row + 2];
    }
  }

  /** Which word the token is a part of. */
  wordAt(index: number): number {
    return this.#rows[this.#base + 4 * index + 3];
  }

  /** The string of the token at an index. */
  tokenAt(index: number): string {
    return this.#contents?.get(index) ?? this.#nameOf(this.idAt(index));
  }

  /** An offset in UTF-16 units as one in code points, which Python and Rust users count in. */
  codePoints(offset: number): number {
    this.#codePoints ??= codePointCounter(this.text);
    return this.#codePoints(offset);
  }

  /** The room is full: this text moves to a new one. */
  #pushElsewhere(id: number, start: number, end: number): void {
    const { rows } = this.#room;
    const own = rows.subarray(this.#base, this.#base + 4 * this.length);
    this.#rows = new Int32Array(Math.max(rows.length, 2 * own.length, 64));
    this.#rows.set(own);
    this.#base = 0;
    this.#room.rows = this.#rows;
    this.push(id, start, end);
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

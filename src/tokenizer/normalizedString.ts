import { unicode } from './unicode.ts';

const REPLACEMENT = 0xfffd;
const EMPTY = /* @__PURE__ */ new Int32Array(0);

/**
 * A text as normalizers change it: code points, each with the range of the original text that it came from, in UTF-16
 * units. The counterpart of Rust's `NormalizedString`, which keeps the same ranges for each UTF-8 byte.
 *
 * Only the first `length` entries of the arrays are in use. A lone surrogate reads as U+FFFD, one unit wide.
 */
export class NormalizedString {
  codes = EMPTY;
  starts = EMPTY;
  ends = EMPTY;
  length = 0;

  constructor(text = '') {
    this.read(text);
  }

  /** Becomes the text, in the same arrays if it fits: one NormalizedString can serve text after text. */
  read(text: string): this {
    if (text.length > this.codes.length) this.#allocate(text.length);
    const { codes, starts, ends } = this;
    let length = 0;
    for (let i = 0; i < text.length; length++) {
      let code = text.charCodeAt(i);
      starts[length] = i++;
      if (code >= 0xd800 && code <= 0xdfff) {
        code = text.codePointAt(i - 1)!;
        if (code > 0xffff) i++;
        else code = REPLACEMENT;
      }
      codes[length] = code;
      ends[length] = i;
    }
    this.length = length;
    return this;
  }

  push(code: number, start: number, end: number): void {
    if (this.length === this.codes.length) this.#grow();
    this.codes[this.length] = code;
    this.starts[this.length] = start;
    this.ends[this.length++] = end;
  }

  /** The part between two indices (of code points), which still knows its place in the original text. */
  slice(from: number, to: number): NormalizedString {
    const result = new NormalizedString();
    result.codes = this.codes.slice(from, to);
    result.starts = this.starts.slice(from, to);
    result.ends = this.ends.slice(from, to);
    result.length = to - from;
    return result;
  }

  /** Empties it, with room for as many code points. */
  clear(capacity: number): this {
    if (capacity > this.codes.length) this.#allocate(capacity);
    this.length = 0;
    return this;
  }

  /** Exchanges the content with another's. */
  swap(other: NormalizedString): void {
    const { codes, starts, ends, length } = this;
    this.assign(other);
    other.assign({ codes, starts, ends, length });
  }

  /** Takes over another's content. */
  assign(other: Pick<NormalizedString, 'codes' | 'starts' | 'ends' | 'length'>): void {
    this.codes = other.codes;
    this.starts = other.starts;
    this.ends = other.ends;
    this.length = other.length;
  }

  /** The text between two indices (of code points). */
  toString(from = 0, to = this.length): string {
    let text = '';
    for (let i = from; i < to; i++) text += String.fromCodePoint(this.codes[i]);
    return text;
  }

  /**
   * Becomes new content. Its k-th code point is `codes[k]`, and `changes[k]` says how it came about, as in Rust's
   * `NormalizedString::transform`: 0 in place of the next one of the old content, -n in place of that one and the n after
   * it, 1 in addition, beside the one before it. The ranges follow from that alone, not from what the code points are.
   */
  rewrite(codes: readonly number[], changes: readonly number[]): void {
    const result = new NormalizedString();
    let next = 0;
    for (let i = 0; i < codes.length; i++) {
      const source = changes[i] > 0 ? next - 1 : next;
      result.push(codes[i], this.starts[source], this.ends[source]);
      if (changes[i] <= 0) next += 1 - changes[i];
    }
    this.assign(result);
  }

  /** The classes of all its code points together (bits of `Unicode.classes`), to skip what does not concern it. */
  classes(): number {
    const { classes } = unicode();
    const { codes, length } = this;
    let seen = 0;
    for (let i = 0; i < length; i++) seen |= classes[codes[i]];
    return seen;
  }

  /** Deletes the code points of a class. */
  remove(bit: number): void {
    const { classes } = unicode();
    const { codes, starts, ends, length } = this;
    let kept = 0;
    for (let i = 0; i < length; i++) {
      if (classes[codes[i]] & bit) continue;
      codes[kept] = codes[i]!;
      starts[kept] = starts[i]!;
      ends[kept++] = ends[i]!;
    }
    this.length = kept;
  }

  #grow(): void {
    const { codes, starts, ends } = this;
    this.#allocate(Math.max(64, codes.length * 2));
    this.codes.set(codes);
    this.starts.set(starts);
    this.ends.set(ends);
  }

  #allocate(capacity: number): void {
    this.codes = new Int32Array(capacity);
    this.starts = new Int32Array(capacity);
    this.ends = new Int32Array(capacity);
  }
}

/** The characters that minified JavaScript is made of, for which compression has short codes. */
const DIGITS = ' !#&()*+,-.0123468:;=>?AEFILMOPST[]_abcdefghijklmnoprstuvwxyz{|}';

/**
 * Reads the numbers of a generated table, which are stored by arithmetic coding (Witten, Neal & Cleary 1987, "Arithmetic coding
 * for data compression"): the text is one long fraction, in base 64, and each bit of a number takes the lower or the upper part
 * of an interval around it, the larger part if it is the likelier bit. How likely a bit is follows from how often it was met in
 * the same place, so the reader asks with the same contexts as the writer, `tools/unicode/generate.py`.
 */
export class TableReader {
  readonly #text: string;
  #at = 0;
  /** Size of the interval, and where in it the fraction lies. */
  #range = 1;
  #offset = 0;
  /** By place: how often the bit there was 0 and 1, and half a time more. */
  readonly #counts = new Map<number, [zeros: number, ones: number]>();

  constructor(text: string) {
    this.#text = text;
  }

  /** The next number, 0 or more, of those that are alike by their context: how many bits it has beside the first, then those. */
  number(context = 0): number {
    let length = 0;
    while (this.#bit(64 * context + length)) length++;
    let number = 1;
    for (let i = 0; i < length; i++) number = 2 * number + this.#bit(64 * context + 32 + length);
    return number - 1;
  }

  /** The same with a sign: 0, -1, 1, -2, 2 … */
  signed(context = 0): number {
    const number = this.number(context);
    return number & 1 ? -(number + 1) / 2 : number / 2;
  }

  #bit(place: number): number {
    while (this.#range < 2 ** 24) {
      this.#range *= 64;
      this.#offset = 64 * this.#offset + DIGITS.indexOf(this.#text[this.#at++] ?? DIGITS[0]); // zeros at the end are left out
    }
    let counts = this.#counts.get(place);
    if (!counts) this.#counts.set(place, (counts = [0.5, 0.5]));
    const lower = Math.floor((this.#range * counts[0]) / (counts[0] + counts[1]));
    const bit = this.#offset < lower ? 0 : 1;
    this.#range = bit ? this.#range - lower : lower;
    if (bit) this.#offset -= lower;
    counts[bit]++;
    return bit;
  }
}

/** [first, end) of each run of a set of code points, from their number, and the distance of each to the one before and its length. */
export function decodeRuns(table: string): [number, number][] {
  const reader = new TableReader(table);
  let end = 0;
  return Array.from({ length: reader.number(2) }, () => {
    const first = end + reader.number(0);
    end = first + reader.number(1);
    return [first, end];
  });
}

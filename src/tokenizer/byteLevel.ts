/** The byte-level alphabet of GPT-2: each UTF-8 byte of a text as a character that can be seen. */
import { categories, LETTER, NUMBER } from './categories.ts';
import type { Decoder } from './decoder.ts';
import type { OffsetTrim } from './encoding.ts';
import { NormalizedString } from './normalizedString.ts';
import { type PreTokenizer, Splits } from './preTokenizer.ts';
import { unicode, WHITESPACE } from './unicode.ts';

const SPACE = 0x20;
const APOSTROPHE = 0x27;

/** The code point that stands for each byte: itself where it can be seen, else the next one from U+0100 on. */
const BYTE_CODES = /* @__PURE__ */ byteCodes();

function byteCodes(): Int32Array {
  let invisible = 0x100;
  return Int32Array.from({ length: 256 }, (_, byte) => {
    const visible = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return visible ? byte : invisible++;
  });
}

/** The characters that stand for the 256 bytes. */
export function byteLevelAlphabet(): string[] {
  return Array.from(BYTE_CODES, (code) => String.fromCodePoint(code));
}

export interface ByteLevelOptions {
  /** Put a space before a text that begins with none. */
  addPrefixSpace: boolean;
  /** Cut into words as GPT-2 does; else only the bytes are made. */
  useRegex: boolean;
}

/** Cuts a text into words, each with the space before it, and rewrites them as bytes. */
export class ByteLevel implements PreTokenizer {
  readonly #options: ByteLevelOptions;

  constructor(options: ByteLevelOptions) {
    this.#options = options;
  }

  preTokenize(text: NormalizedString, words: Splits): Splits {
    let pieces = this.#options.addPrefixSpace ? addPrefixSpaces(text, words) : words;
    if (this.#options.useRegex) {
      const parts = new Splits();
      for (let i = 0; i < pieces.length; i++) splitLikeGpt2(text, pieces.starts[i], pieces.ends[i], parts);
      pieces = parts;
    }
    return toBytes(text, pieces);
  }
}

/** Puts a space before each word that has none; it stands where the first character does. */
function addPrefixSpaces(text: NormalizedString, words: Splits): Splits {
  let missing = false;
  for (let i = 0; i < words.length; i++) missing ||= text.codes[words.starts[i]] !== SPACE;
  if (!missing) return words;
  const pieces = new Splits();
  const result = new NormalizedString();
  for (let i = 0; i < words.length; i++) {
    const start = words.starts[i];
    const begin = result.length;
    if (text.codes[start] !== SPACE) result.push(SPACE, text.starts[start], text.ends[start]);
    for (let at = start; at < words.ends[i]; at++) result.push(text.codes[at], text.starts[at], text.ends[at]);
    pieces.push(begin, result.length);
  }
  text.assign(result);
  return pieces;
}

/** `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`, which matches everything. */
function splitLikeGpt2({ codes }: NormalizedString, start: number, end: number, pieces: Splits): void {
  const { classes } = unicode();
  const category = categories();
  const isSpace = (at: number) => (classes[codes[at]] & WHITESPACE) !== 0;
  for (let at = start; at < end;) {
    const begin = at;
    at += contractionAt(codes, at, end);
    if (at === begin) {
      if (codes[at] === SPACE && at + 1 < end) at++;
      if (isSpace(at)) {
        at = begin;
        while (at < end && isSpace(at)) at++;
        // The last space goes along with the word after it, or stays alone, unless it is the only one.
        if (at < end && at - begin > 1) at--;
      } else {
        const kind = category[codes[at]] & (LETTER | NUMBER);
        do at++;
        while (at < end && (category[codes[at]] & (LETTER | NUMBER)) === kind && (kind !== 0 || !isSpace(at)));
      }
    }
    pieces.push(begin, at);
  }
}

/** The length of an English contraction, such as `'s` or `'ll`; 0 where there is none. */
function contractionAt(codes: Int32Array, at: number, end: number): number {
  if (codes[at] !== APOSTROPHE || at + 1 >= end) return 0;
  const letter = String.fromCodePoint(codes[at + 1]);
  if ('stmd'.includes(letter)) return 2;
  if (at + 2 >= end) return 0;
  return ['re', 've', 'll'].includes(letter + String.fromCodePoint(codes[at + 2])) ? 3 : 0;
}

/** Rewrites words as bytes; each byte stands where its character does. */
function toBytes(text: NormalizedString, words: Splits): Splits {
  const { codes, starts, ends, length } = text;
  let seen = 0;
  for (let at = 0; at < length; at++) seen |= codes[at];
  if (seen < 0x80) {
    for (let at = 0; at < length; at++) codes[at] = BYTE_CODES[codes[at]]!;
    return words;
  }
  const result = new NormalizedString();
  const pieces = new Splits();
  for (let i = 0; i < words.length; i++) {
    const begin = result.length;
    for (let at = words.starts[i]; at < words.ends[i]; at++) {
      const code = codes[at];
      const push = (byte: number) => result.push(BYTE_CODES[byte], starts[at], ends[at]);
      if (code < 0x80) {
        push(code);
        continue;
      }
      if (code < 0x800) push(0xc0 | (code >> 6));
      else {
        if (code < 0x10000) push(0xe0 | (code >> 12));
        else {
          push(0xf0 | (code >> 18));
          push(0x80 | ((code >> 12) & 0x3f));
        }
        push(0x80 | ((code >> 6) & 0x3f));
      }
      push(0x80 | (code & 0x3f));
    }
    pieces.push(begin, result.length);
  }
  text.assign(result);
  return pieces;
}

/** Back to text. Bytes that are no UTF-8 become U+FFFD; a token with a character that is no byte stands for itself. */
export const byteLevelDecoder: Decoder = {
  decodeChain(tokens) {
    const bytes: number[] = [];
    for (const token of tokens) {
      const own = Array.from(token, (character) => BYTE_CODES.indexOf(character.codePointAt(0)!));
      for (const byte of own.includes(-1) ? new TextEncoder().encode(token) : own) bytes.push(byte);
    }
    return [new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes))];
  },
};

/**
 * Leaves out of a token's offsets the spaces at its ends, but for a single one at the beginning of a text when
 * `addPrefixSpace` may have put it there.
 */
export function trimSpaces(addPrefixSpace: boolean): OffsetTrim {
  const isSpace = (character: string) =>
    character === '\u0120' || (unicode().classes[character.codePointAt(0)!] & WHITESPACE) !== 0;
  return (source, token, isFirst, offsets) => {
    const characters = Array.from(source.tokenAt(token));
    const firstOther = characters.findIndex((character) => !isSpace(character));
    let leading = firstOther < 0 ? characters.length : firstOther;
    let trailing = 0;
    while (trailing < characters.length && isSpace(characters[characters.length - 1 - trailing])) trailing++;
    let [start, end] = offsets;
    if ((isFirst || start === 0) && addPrefixSpace && leading === 1) leading = 0;
    for (; leading > 0 && start < end; leading--) start += source.text.codePointAt(start)! > 0xffff ? 2 : 1;
    // As in Rust: when there are more spaces than code points before the end, none is left out.
    let before = end;
    for (; trailing > 0 && before > 0; trailing--) before -= isPairBefore(source.text, before) ? 2 : 1;
    if (trailing === 0) end = Math.max(before, start);
    return [start, end];
  };
}

function isPairBefore(text: string, end: number): boolean {
  return end > 1 && text.codePointAt(end - 2)! > 0xffff;
}

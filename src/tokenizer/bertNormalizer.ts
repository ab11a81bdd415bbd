import type { Normalizer } from './normalizer.ts';
import { NormalizedString } from './normalizedString.ts';
import { CHINESE, LOWERED, NONSPACING_MARK, REARRANGED, REMOVED, unicode, WHITESPACE } from './unicode.ts';
import { decompose, toLowercase } from './unicodeNormalizers.ts';

const SPACE = 0x20;

export interface BertNormalizerOptions {
  /** Delete control characters, and make every kind of space U+0020. */
  cleanText: boolean;
  /** Put spaces around Chinese characters, so that each becomes a word. */
  handleChineseChars: boolean;
  /** Delete accents; when undefined, only if `lowercase`. */
  stripAccents: boolean | undefined;
  lowercase: boolean;
}

/** The normalization of the original BERT (`BasicTokenizer`), as Rust's `BertNormalizer` does it. */
export class BertNormalizer implements Normalizer {
  readonly #options: BertNormalizerOptions;

  constructor(options: BertNormalizerOptions) {
    this.#options = options;
  }

  normalize(text: NormalizedString): void {
    const { cleanText, handleChineseChars, lowercase, stripAccents = lowercase } = this.#options;
    let seen = text.classes();
    if (cleanText && seen & REMOVED) text.remove(REMOVED);
    if (cleanText && seen & WHITESPACE) unifySpaces(text);
    if (handleChineseChars && seen & CHINESE) spaceChineseChars(text);
    if (stripAccents && seen & (REARRANGED | NONSPACING_MARK)) {
      decompose(text);
      text.remove(NONSPACING_MARK);
      seen = text.classes();
    }
    if (lowercase && seen & LOWERED) toLowercase(text);
  }

  /** What a code point becomes, if that is the same in any text: a mark that stays may change places with others. */
  alone(code: number): number[] | undefined {
    const { lowercase, stripAccents = lowercase } = this.#options;
    const text = new NormalizedString(String.fromCodePoint(code));
    if (stripAccents) {
      const { classes, combiningClasses } = unicode();
      decompose(text);
      const moves = (part: number) => combiningClasses.has(part) && !(classes[part] & NONSPACING_MARK);
      if (text.codes.subarray(0, text.length).some(moves)) return undefined;
      text.read(String.fromCodePoint(code));
    }
    this.normalize(text);
    return Array.from(text.codes.subarray(0, text.length));
  }
}

function unifySpaces(text: NormalizedString): void {
  const { classes } = unicode();
  const { codes, length } = text;
  for (let i = 0; i < length; i++) if (classes[codes[i]] & WHITESPACE) codes[i] = SPACE;
}

function spaceChineseChars(text: NormalizedString): void {
  const { classes } = unicode();
  const { codes, starts, ends, length } = text;
  const result = new NormalizedString();
  for (let i = 0; i < length; i++) {
    const chinese = classes[codes[i]] & CHINESE;
    if (chinese) result.push(SPACE, starts[i], ends[i]);
    result.push(codes[i], starts[i], ends[i]);
    if (chinese) result.push(SPACE, starts[i], ends[i]);
  }
  text.assign(result);
}

import type { Readers } from './jsonField.ts';
import type { NormalizedString } from './normalizedString.ts';
import { PUNCTUATION, unicode, WHITESPACE } from './unicode.ts';

/** The words of a text: ranges of code points, in order, none of them empty. */
export class Splits {
  readonly starts: number[] = [];
  readonly ends: number[] = [];

  get length(): number {
    return this.starts.length;
  }

  /** Adds a word, unless it is empty. */
  push(start: number, end: number): void {
    if (start === end) return;
    this.starts.push(start);
    this.ends.push(end);
  }
}

/** Second stage: cuts a normalized text into words, which the model never looks beyond. */
export interface PreTokenizer {
  /** Cuts words further. It may also rewrite the text. */
  preTokenize(text: NormalizedString, words: Splits): Splits;
}

/** The `pre_tokenizer`s of a tokenizer.json for BERT. */
export const bertPreTokenizers: Readers<PreTokenizer> = {
  BertPreTokenizer: () => bertPreTokenizer,
  WhitespaceSplit: () => new ClassSplitter(WHITESPACE, 0),
  Sequence: (json, readItem) => inOrder(json.get('pretokenizers').array(readItem)),
};

/** Cuts at the characters of two classes: the `removed` are dropped, the `isolated` become words of their own. */
class ClassSplitter implements PreTokenizer {
  readonly #removed: number;
  readonly #isolated: number;

  constructor(removed: number, isolated: number) {
    this.#removed = removed;
    this.#isolated = isolated;
  }

  preTokenize(text: NormalizedString, words: Splits): Splits {
    const { classes } = unicode();
    const pieces = new Splits();
    const { codes } = text;
    const isolated = this.#isolated;
    const either = this.#removed | isolated;
    for (let i = 0; i < words.length; i++) {
      const end = words.ends[i];
      let start = words.starts[i];
      for (let at = start; at < end; at++) {
        const found = classes[codes[at]] & either;
        if (found === 0) continue;
        pieces.push(start, at);
        start = at + 1;
        if (found & isolated) pieces.push(at, start);
      }
      pieces.push(start, end);
    }
    return pieces;
  }
}

/** Words lie between spaces; each punctuation character is a word of its own. */
export const bertPreTokenizer: PreTokenizer = /* @__PURE__ */ new ClassSplitter(WHITESPACE, PUNCTUATION);

function inOrder(preTokenizers: PreTokenizer[]): PreTokenizer {
  return {
    preTokenize: (text, words) =>
      preTokenizers.reduce((pieces, preTokenizer) => preTokenizer.preTokenize(text, pieces), words),
  };
}

import type { JsonField } from './jsonField.ts';
import type { NormalizedString } from './normalizedString.ts';
import { PUNCTUATION, unicode, WHITESPACE } from './unicode.ts';

/** The words of a text: ranges of code points, in order, none of them empty. */
export class Splits {
  starts = new Int32Array(64);
  ends = new Int32Array(64);
  length = 0;

  /** Adds a word, unless it is empty. */
  push(start: number, end: number): void {
    if (start === end) return;
    if (this.length === this.starts.length) {
      const { starts, ends } = this;
      this.starts = new Int32Array(starts.length * 2);
      this.ends = new Int32Array(starts.length * 2);
      this.starts.set(starts);
      this.ends.set(ends);
    }
    this.starts[this.length] = start;
    this.ends[this.length++] = end;
  }
}

/** Second stage: cuts a normalized text into words, which the model never looks beyond. */
export interface PreTokenizer {
  /** Cuts the words in `from` further and adds the pieces to `to`. It may also rewrite the text. */
  preTokenize(text: NormalizedString, from: Splits, to: Splits): void;
}

/**
 * The `pre_tokenizer` of a tokenizer.json.
 *
 * @throws TokenizerError for a malformed field or an unsupported type
 */
export function readPreTokenizer(json: JsonField): PreTokenizer {
  return json.byType(READERS)(json);
}

const READERS: Record<string, (json: JsonField) => PreTokenizer> = {
  BertPreTokenizer: () => bertPreTokenizer,
  WhitespaceSplit: () => new ClassSplitter(WHITESPACE, 0),
  Sequence: (json) => inOrder(json.get('pretokenizers').array().map(readPreTokenizer)),
};

/** Cuts at the characters of two classes: the `removed` are dropped, the `isolated` become words of their own. */
class ClassSplitter implements PreTokenizer {
  readonly #removed: number;
  readonly #isolated: number;

  constructor(removed: number, isolated: number) {
    this.#removed = removed;
    this.#isolated = isolated;
  }

  preTokenize(text: NormalizedString, from: Splits, to: Splits): void {
    const { classes } = unicode();
    const { codes } = text;
    const isolated = this.#isolated;
    const either = this.#removed | isolated;
    for (let i = 0; i < from.length; i++) {
      const end = from.ends[i]!;
      let start = from.starts[i]!;
      for (let at = start; at < end; at++) {
        const found = classes[codes[at]!]! & either;
        if (found === 0) continue;
        to.push(start, at);
        start = at + 1;
        if (found & isolated) to.push(at, start);
      }
      to.push(start, end);
    }
  }
}

/** Words lie between spaces; each punctuation character is a word of its own. */
export const bertPreTokenizer: PreTokenizer = /* @__PURE__ */ new ClassSplitter(WHITESPACE, PUNCTUATION);

function inOrder(preTokenizers: PreTokenizer[]): PreTokenizer {
  return {
    preTokenize(text, from, to) {
      let words = from;
      preTokenizers.forEach((preTokenizer, index) => {
        const pieces = index === preTokenizers.length - 1 ? to : new Splits();
        preTokenizer.preTokenize(text, words, pieces);
        words = pieces;
      });
    },
  };
}

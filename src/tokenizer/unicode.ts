/**
 * What the Rust `tokenizers` take each code point for, decoded on first use from generated tables.
 *
 * The JavaScript engine is not asked (`\p{…}`, `toLowerCase`): engines have different Unicode versions, and so have the
 * Rust crates, one for each of these questions. See `tools/unicode/generate.py`; `normalization` is the exception.
 */
import { show, TokenizerError } from '../errors.ts';
import { decodeRuns, TableReader } from './tableReader.ts';
import * as tables from './unicodeTables.ts';

/** Classes of a code point, as bits of `Unicode.classes`. */
export const REMOVED = 1; // clean_text deletes it: NUL, U+FFFD, controls, format, private use
export const WHITESPACE = 2;
export const CHINESE = 4; // gets spaces around it
export const NONSPACING_MARK = 8; // what strip_accents removes once the text is decomposed
export const PUNCTUATION = 16; // ASCII symbols too, as in the original BERT
export const LOWERED = 32; // has another lower case
export const REARRANGED = 64; // NFD decomposes it or may move it
export const MARK = 128; // what StripAccents removes: spacing and enclosing marks too, unlike strip_accents of BERT
export const WORD_CHARACTER = 256; // of a word, as Rust's regex crate sees it

/** Hangul syllables decompose by arithmetic (Unicode Standard 3.12). */
export const HANGUL_FIRST = 0xac00;
export const HANGUL_LAST = 0xd7a3;

export interface Unicode {
  /** The classes of each code point. */
  readonly classes: Uint16Array;
  /** Lower case, a code point at a time: without regard to context, so that every capital sigma becomes σ. */
  readonly lowercase: ReadonlyMap<number, readonly number[]>;
  /** Full canonical decompositions, but for Hangul syllables. */
  readonly decompositions: ReadonlyMap<number, readonly number[]>;
  /** Canonical combining classes other than 0, by their rank: only their order counts. */
  readonly combiningClasses: ReadonlyMap<number, number>;
}

let decoded: Unicode | undefined;

export function unicode(): Unicode {
  decoded ??= decodeTables();
  return decoded;
}

function decodeTables(): Unicode {
  const classes = decodeClasses();
  const lowercase = decodeLowercase();
  const { decompositions, combiningClasses } = normalization();
  for (const code of lowercase.keys()) classes[code] |= LOWERED;
  for (const code of decompositions.keys()) classes[code] |= REARRANGED;
  for (const code of combiningClasses.keys()) classes[code] |= REARRANGED;
  for (let code = HANGUL_FIRST; code <= HANGUL_LAST; code++) classes[code] |= REARRANGED;
  return { classes, lowercase, decompositions, combiningClasses };
}

/** More than there are of combinations of classes. */
const KINDS = 16;

/** Runs of code points that are of the same classes: which those are, told apart by the two runs before, and its length. */
function decodeClasses(): Uint16Array {
  const classes = new Uint16Array(0x110000);
  const reader = new TableReader(tables.classes);
  let [end, kind, before] = [0, 0, 0];
  for (let runs = reader.number(); runs > 0; runs--) {
    [kind, before] = [reader.number(1 + KINDS * (1 + KINDS * before + kind)), kind];
    const first = end;
    end += reader.number(1 + kind);
    classes.fill(tables.kinds[kind], first, end);
  }
  return classes;
}

/** Runs of keys, one or two apart, whose values lie at the same distances from them. */
function decodeLowercase(): Map<number, number[]> {
  const result = new Map<number, number[]>();
  const reader = new TableReader(tables.lowercase);
  let code = 0;
  for (let runs = reader.number(0); runs > 0; runs--) {
    code += reader.number(1);
    const step = reader.number(2);
    const count = reader.number(3);
    const distances = Array.from({ length: reader.number(4) }, () => reader.signed(5));
    for (let i = 0; i < count; i++, code += step) {
      const key = code;
      result.set(
        key,
        distances.map((distance) => key + distance),
      );
    }
    code += 1 - step;
  }
  return result;
}

const nfd = (text: string) => text.normalize('NFD');

/**
 * A table says which code points to ask the JavaScript engine for: whose decomposition and combining class, or lack of
 * them, are the same in every version of Unicode, by the stability policy of normalization. A sum over the answers is checked.
 *
 * @throws TokenizerError where the engine was built without Unicode normalization
 */
function normalization(): Pick<Unicode, 'decompositions' | 'combiningClasses'> {
  const decompositions = new Map<number, number[]>();
  const combiningClasses = new Map<number, number>();
  let check = 0x811c9dc5; // FNV-1a
  const addToCheck = (...numbers: number[]) => {
    for (const number of numbers) check = Math.imul(check ^ number, 0x01000193);
  };
  let marks = '';
  for (const [first, end] of decodeRuns(tables.normalized)) {
    for (let code = first; code < end; code++) {
      const character = String.fromCodePoint(code);
      const parts = Array.from(nfd(character), (part) => part.codePointAt(0)!);
      if (parts[0] !== code || parts.length > 1) {
        decompositions.set(code, parts);
        addToCheck(code, ...parts);
      } else if (nfd(`${HIGHEST_CLASS}${character}${LOWEST_CLASS}`)[0] !== HIGHEST_CLASS) marks += character; // else it parts them
    }
  }
  let rank = 1;
  let before = '';
  for (const mark of nfd(marks)) {
    if (nfd(mark + before) !== mark + before) rank++; // it moves back over the mark before it, but not over its like
    combiningClasses.set(mark.codePointAt(0)!, rank);
    addToCheck(mark.codePointAt(0)!, rank);
    before = mark;
  }
  if (check >>> 0 === tables.normalizedCheck) return { decompositions, combiningClasses };
  throw new TokenizerError({
    what: 'String.prototype.normalize',
    expected: 'canonical decompositions as the Unicode Standard has them',
    got: `others, such as of U+00E9 ${show(nfd('\u00e9'))}`,
    fix: 'use a JavaScript engine with full Unicode support (Node: built with ICU)',
  });
}

/** Marks of the highest combining class and of the lowest. */
const [HIGHEST_CLASS, LOWEST_CLASS] = ['\u0345', '\u0334'];

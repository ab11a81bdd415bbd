/** Pre-tokenizers that cut at what a pattern matches: characters of a kind, a string or a regular expression. */
import { categories, NUMERIC } from './categories.ts';
import type { JsonField, Readers } from './jsonField.ts';
import type { NormalizedString } from './normalizedString.ts';
import { type PreTokenizer, Splits } from './preTokenizer.ts';
import { compilePattern } from './splitPattern.ts';
import { PUNCTUATION, unicode, WHITESPACE, WORD_CHARACTER } from './unicode.ts';

/** What becomes of a match: dropped, a word of its own, or joined to what is before it, after it or alike. */
const BEHAVIORS = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'] as const;
export type SplitBehavior = (typeof BEHAVIORS)[number];

/** A word, cut where a pattern matches: ranges that cover it, and whether each is a match. */
export class Matches {
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  readonly matched: boolean[] = [];

  push(start: number, end: number, matched: boolean): void {
    this.starts.push(start);
    this.ends.push(end);
    this.matched.push(matched);
  }
}

/** Finds a pattern in the part of a text from `start` to `end`. */
export type Finder = (text: NormalizedString, start: number, end: number) => Matches;

/** The pre-tokenizers that are no part of BERT, but for byte-level ones. */
export const splitters: Readers<PreTokenizer> = {
  Whitespace: () => splitter(wordsAndSymbols, 'Removed'),
  Punctuation: (json) =>
    splitter(
      eachCharacter((code) => (unicode().classes[code] & PUNCTUATION) !== 0),
      json.get('behavior').optional(readBehavior) ?? 'Isolated',
    ),
  Digits: (json) =>
    splitter(
      eachCharacter((code) => (categories()[code] & NUMERIC) !== 0),
      json.get('individual_digits').boolean() ? 'Isolated' : 'Contiguous',
    ),
  CharDelimiterSplit: (json) => {
    const delimiter = json.get('delimiter').string();
    if (Array.from(delimiter).length !== 1) json.get('delimiter').fail('one character');
    return splitter(
      eachCharacter((code) => code === delimiter.codePointAt(0)),
      'Removed',
    );
  },
  Split: (json) => {
    const find = readPattern(json.get('pattern'));
    return splitter(json.get('invert').boolean() ? inverted(find) : find, readBehavior(json.get('behavior')));
  },
};

function readBehavior(json: JsonField): SplitBehavior {
  return BEHAVIORS.find((behavior) => behavior === json.value) ?? json.fail(`one of ${BEHAVIORS.join(', ')}`);
}

function readPattern(json: JsonField): Finder {
  const text = json.get('String');
  if (!text.isMissing) {
    return text.string() === '' ? text.fail('some text') : regularExpression(new RegExp(escaped(text.string()), 'gu'));
  }
  const pattern = json.get('Regex');
  return regularExpression(compilePattern(pattern.string(), (problem) => pattern.fail(problem)));
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}

/** Each character that `isMatch` holds for is a match. */
function eachCharacter(isMatch: (code: number) => boolean): Finder {
  return ({ codes }, start, end) => {
    const matches = new Matches();
    let covered = start;
    for (let at = start; at < end; at++) {
      if (!isMatch(codes[at])) continue;
      if (covered < at) matches.push(covered, at, false);
      covered = at + 1;
      matches.push(at, covered, true);
    }
    if (covered < end) matches.push(covered, end, false);
    return matches;
  };
}

/** The spaces around `\w+|[^\w\s]+`. */
const wordsAndSymbols: Finder = ({ codes }, start, end) => {
  const { classes } = unicode();
  const matches = new Matches();
  const kindOf = (at: number) => classes[codes[at]] & (WORD_CHARACTER | WHITESPACE);
  for (let at = start; at < end;) {
    const begin = at;
    const kind = kindOf(at);
    while (at < end && kindOf(at) === kind) at++;
    matches.push(begin, at, kind === WHITESPACE);
  }
  return matches;
};

function regularExpression(pattern: RegExp): Finder {
  return (text, start, end) => {
    const matches = new Matches();
    const word = text.toString(start, end);
    // Where each UTF-16 unit of the word is in the text; only needed where a character has two.
    let places: number[] | undefined;
    if (word.length > end - start) {
      places = [];
      for (let at = start; at < end; at++) places.push(...(text.codes[at] > 0xffff ? [at, at] : [at]));
      places.push(end);
    }
    const place = (unit: number) => places?.[unit] ?? start + unit;
    let covered = start;
    let lastEnd = -1;
    for (const match of word.matchAll(pattern)) {
      const [begin, finish] = [place(match.index), place(match.index + match[0].length)];
      if (begin === finish && finish === lastEnd) continue; // nothing, right behind something
      lastEnd = finish;
      if (covered !== begin) matches.push(covered, begin, false);
      matches.push(begin, finish, true);
      covered = finish;
    }
    if (covered !== end) matches.push(covered, end, false);
    return matches;
  };
}

function inverted(find: Finder): Finder {
  return (text, start, end) => {
    const { starts, ends, matched } = find(text, start, end);
    const matches = new Matches();
    matched.forEach((match, i) => matches.push(starts[i], ends[i], !match));
    return matches;
  };
}

function splitter(find: Finder, behavior: SplitBehavior): PreTokenizer {
  return {
    preTokenize(text, words) {
      const pieces = new Splits();
      for (let i = 0; i < words.length; i++) join(find(text, words.starts[i], words.ends[i]), behavior, pieces);
      return pieces;
    },
  };
}

/** Adds what becomes of a word. A run of matches joins its neighbour with the nearest of them only. */
function join({ starts, ends, matched }: Matches, behavior: SplitBehavior, pieces: Splits): void {
  const count = starts.length;
  for (let first = 0; first < count;) {
    let last = first;
    if (behavior === 'Contiguous') {
      while (last + 1 < count && matched[last + 1] === matched[first]) last++;
    } else if (behavior === 'MergedWithPrevious') {
      if (!matched[first] && last + 1 < count && matched[last + 1]) last++;
    } else if (behavior === 'MergedWithNext') {
      if (matched[first] && last + 1 < count && !matched[last + 1]) last++;
    }
    if (behavior !== 'Removed' || !matched[first]) pieces.push(starts[first], ends[last]);
    first = last + 1;
  }
}

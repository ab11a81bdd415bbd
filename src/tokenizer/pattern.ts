/**
 * What `Replace` looks for: a text, or the regular expressions of tokenizer.json files, of which the ones without groups
 * are understood. They are not left to the JavaScript engine: its `\s` is not that of Oniguruma, which Rust's side uses.
 */
import type { JsonField } from './jsonField.ts';
import { NormalizedString } from './normalizedString.ts';
import { unicode, WHITESPACE } from './unicode.ts';

const NEWLINE = 0x0a;

export interface Pattern {
  /** Where the match that begins at an index ends; -1 when there is none. */
  matchAt(text: NormalizedString, index: number): number;
}

/** The `pattern` of a Replace: `{"String": …}` or `{"Regex": …}`. */
export function readPattern(json: JsonField): Pattern {
  const text = json.get('String').optional((field) => field.string() || field.fail('a text that is not empty'));
  if (text !== undefined) return textPattern(text);
  const regex = json.get('Regex');
  if (regex.isMissing) json.fail('a String or a Regex');
  const pattern = parse(regex.string());
  return (
    pattern ?? regex.fail('a regular expression of characters, classes, repetitions and |', 'others are not supported')
  );
}

/** Puts code points in place of every match. They get the range of the last character that goes. */
export function replaceAll(text: NormalizedString, pattern: Pattern, content: Int32Array): void {
  const { starts, ends } = text;
  let result: NormalizedString | undefined;
  for (let i = 0; i < text.length;) {
    const end = pattern.matchAt(text, i);
    if (end > i) {
      result ??= text.slice(0, i);
      for (const code of content) result.push(code, starts[end - 1], ends[end - 1]);
      i = end;
    } else {
      result?.push(text.codes[i], starts[i], ends[i]);
      i++;
    }
  }
  if (result) text.assign(result);
}

function textPattern(text: string): Pattern {
  const { codes: wanted, length: count } = new NormalizedString(text);
  return {
    matchAt({ codes, length }, index) {
      if (index + count > length) return -1;
      for (let i = 0; i < count; i++) if (codes[index + i] !== wanted[i]) return -1;
      return index + count;
    },
  };
}

/** A part of an alternative: an anchor, or a character of a set, repeated. */
type Part = ((text: NormalizedString, index: number) => boolean) | { has: CodeSet; least: number; most: number };
type CodeSet = (code: number) => boolean;

/** @returns undefined for what is not supported */
function parse(source: string): Pattern | undefined {
  const alternatives: Part[][] = [[]];
  const tokens = source.match(/\\.|\[(?:\\.|[^\]\\])+\]|\{\d+(?:,\d*)?\}|[^]/gu) ?? [];
  for (const token of tokens) {
    const parts = alternatives.at(-1)!;
    if (token === '|') {
      alternatives.push([]);
    } else if (/^(?:[*+?]|\{\d.*\})$/.test(token)) {
      const last = parts.at(-1);
      if (last === undefined || typeof last === 'function' || last.least !== 1 || last.most !== 1) return undefined;
      const [least, most] = repetition(token);
      parts[parts.length - 1] = { has: last.has, least, most };
    } else {
      const part = anchor(token) ?? single(token);
      if (part === undefined) return undefined;
      parts.push(part);
    }
  }
  // A match of nothing would be found everywhere.
  const canBeEmpty = alternatives.some((parts) =>
    parts.every((part) => typeof part === 'function' || part.least === 0),
  );
  return canBeEmpty ? undefined : { matchAt: (text, index) => firstMatch(alternatives, text, index) };
}

function repetition(token: string): [number, number] {
  if (!token.startsWith('{')) return [token === '+' ? 1 : 0, token === '?' ? 1 : Infinity];
  const [least, most] = token.slice(1, -1).split(',');
  return [Number(least), most === undefined ? Number(least) : most === '' ? Infinity : Number(most)];
}

function anchor(token: string): Part | undefined {
  if (token === '\\A') return (_, index) => index === 0;
  if (token === '\\z') return (text, index) => index === text.length;
  if (token === '^') return (text, index) => index === 0 || text.codes[index - 1] === NEWLINE;
  if (token === '$') return (text, index) => index === text.length || text.codes[index] === NEWLINE;
  return undefined;
}

function single(token: string): Part | undefined {
  const has = token.startsWith('[') && token.length > 1 ? classSet(token) : characterSet(token);
  return has && { has, least: 1, most: 1 };
}

/** `[…]`, without nested classes, intersections and POSIX names. */
function classSet(token: string): CodeSet | undefined {
  const isNegated = token[1] === '^';
  const members = token.slice(isNegated ? 2 : 1, -1).match(/\\.|[^]/gu) ?? [];
  if (members.length === 0 || members.some((member) => member === '[' || member === '&')) return undefined;
  const sets: CodeSet[] = [];
  for (let i = 0; i < members.length; i++) {
    if (members[i + 1] === '-' && i + 2 < members.length) {
      const [first, last] = [codeOf(members[i]), codeOf(members[i + 2])];
      if (first === undefined || last === undefined) return undefined;
      sets.push((code) => code >= first && code <= last);
      i += 2;
      continue;
    }
    const set = members[i].length > 1 ? characterSet(members[i]) : only(members[i].codePointAt(0)!);
    if (set === undefined) return undefined;
    sets.push(set);
  }
  return (code) => sets.some((has) => has(code)) !== isNegated;
}

function characterSet(token: string): CodeSet | undefined {
  const isSpace: CodeSet = (code) => (unicode().classes[code] & WHITESPACE) !== 0;
  if (token === '\\s') return isSpace;
  if (token === '\\S') return (code) => !isSpace(code);
  if (token === '.') return (code) => code !== NEWLINE;
  const code = codeOf(token);
  return code === undefined || '()[]{}'.includes(token) ? undefined : only(code);
}

function only(wanted: number): CodeSet {
  return (code) => code === wanted;
}

/** Of a character as it is, or escaped. */
function codeOf(token: string): number | undefined {
  if (!token.startsWith('\\')) return token.codePointAt(0);
  if (token === '\\n') return NEWLINE;
  if (token === '\\r') return 0x0d;
  if (token === '\\t') return 0x09;
  return /^\\[a-z0-9]$/i.test(token) ? undefined : token.codePointAt(1);
}

function firstMatch(alternatives: readonly Part[][], text: NormalizedString, index: number): number {
  for (const parts of alternatives) {
    const end = matchParts(parts, 0, text, index);
    if (end >= 0) return end;
  }
  return -1;
}

/** As many repetitions as there are, then fewer, until the rest matches, too. */
function matchParts(parts: readonly Part[], from: number, text: NormalizedString, index: number): number {
  if (from === parts.length) return index;
  const part = parts[from];
  if (typeof part === 'function') return part(text, index) ? matchParts(parts, from + 1, text, index) : -1;
  let count = 0;
  while (count < part.most && index + count < text.length && part.has(text.codes[index + count])) count++;
  for (; count >= part.least; count--) {
    const end = matchParts(parts, from + 1, text, index + count);
    if (end >= 0) return end;
  }
  return -1;
}

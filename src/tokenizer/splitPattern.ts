import { categories, LETTER, NUMBER } from './categories.ts';
import { unicode, WHITESPACE } from './unicode.ts';

/** What stands behind each class that patterns may name. */
const CLASSES: Record<string, () => string> = {
  L: () => rangesOf((code) => (categories()[code] & LETTER) !== 0),
  N: () => rangesOf((code) => (categories()[code] & NUMBER) !== 0),
  s: () => rangesOf((code) => (unicode().classes[code] & WHITESPACE) !== 0),
};

/** What in a pattern has a meaning of its own; all else stands for itself. */
const TOKENS =
  /\\p\{(?<property>[A-Za-z]+)\}|\\(?<space>s)|\\S|\\P\{(?<noProperty>[A-Za-z]+)\}|\\[^]|\(\?(?<group>:|=|!|i:)|\(\?|[()[\]|.^$]|[?*+]\??|\{\d*,?\d*\}\??|&&|[^]/gu;

/** Two letters that some single character equals when case is ignored: ß, ﬁ and the like. */
const LIGATURES = /ss|st|ff|fi|fl/i;

/**
 * A regular expression of Oniguruma, as the `Split` of a tokenizer.json has it, as one of JavaScript. Classes of
 * characters are written out, for engines disagree about Unicode, and about each other's syntax. Only what means the same
 * in both is taken: no anchors, no look-behind, no possessive quantifiers, and of classes `\p{L}`, `\p{N}`, `\s`.
 *
 * @param refuse called with what was expected instead of something else
 */
export function compilePattern(pattern: string, refuse: (expected: string) => never): RegExp {
  let source = '';
  let inClass = false;
  let afterQuantifier = false;
  let ignoreCaseFrom = -1; // depth of the group in which case is ignored
  let depth = 0;
  const written = new Map<string, string>();
  const classOf = (name: string) => {
    if (!Object.hasOwn(CLASSES, name)) refuse('no classes but those of letters (L), numbers (N) and spaces (s)');
    if (!written.has(name)) written.set(name, CLASSES[name]());
    return written.get(name)!;
  };
  const unsupported = (what: string): never => refuse(`a pattern without ${what}`);
  for (const match of pattern.matchAll(TOKENS)) {
    const [token] = match;
    const { property, space, noProperty, group } = match.groups!;
    const isQuantifier = !inClass && /^([?*+]|\{\d)/.test(token);
    if (isQuantifier && afterQuantifier) unsupported('possessive quantifiers');
    afterQuantifier = isQuantifier;
    const name = property ?? space;
    if (name !== undefined) source += inClass ? classOf(name) : `[${classOf(name)}]`;
    else if (token === '\\S' || noProperty !== undefined) {
      if (inClass) unsupported(`${token} in a class`);
      source += `[^${classOf(noProperty ?? 's')}]`;
    } else if (isQuantifier) source += token;
    else if (inClass) {
      if (token === '[' || token === '&&') unsupported('classes in classes');
      if (token === ']') inClass = false;
      source += token === ']' || token === '^' || token === '-' ? token : literal(token, false, unsupported);
    } else if (token === '[') {
      inClass = true;
      source += token;
    } else if (token.startsWith('(')) {
      if (token === '(?' && group === undefined) unsupported('look-behind or other special groups');
      depth++;
      if (group === 'i:' && ignoreCaseFrom < 0) ignoreCaseFrom = depth;
      source += group === 'i:' ? '(?:' : token;
    } else if (token === ')') {
      if (depth === ignoreCaseFrom) ignoreCaseFrom = -1;
      depth--;
      source += token;
    } else if (token === '^' || token === '$') unsupported('anchors');
    else if (token === '.') source += '[^\\n]';
    else source += token === '|' ? token : literal(token, ignoreCaseFrom >= 0, unsupported);
  }
  if (/\(\?i:[^)]*/.exec(pattern)?.[0].match(LIGATURES)) unsupported('ss, st, ff, fi or fl where case is ignored');
  try {
    return new RegExp(source, 'gu');
  } catch {
    return refuse('a regular expression');
  }
}

/** A character that stands for itself. */
function literal(token: string, ignoreCase: boolean, unsupported: (what: string) => never): string {
  if (/^\\[rnt]$/.test(token)) return token;
  if (/^\\[A-Za-z0-9_]?$/.test(token)) unsupported(token);
  const character = token.startsWith('\\') ? token.slice(1) : token;
  const code = character.codePointAt(0)!;
  const escape = (point: number) => `\\u{${point.toString(16)}}`;
  if (!ignoreCase || !/[a-z]/i.test(character)) {
    return ignoreCase && code > 0x7f ? unsupported(`${character} where case is ignored`) : escape(code);
  }
  const capital = code & ~0x20;
  const others: Record<number, number[]> = { 0x53: [0x17f], 0x4b: [0x212a] }; // long s, kelvin sign
  const forms = [capital, capital | 0x20, ...(others[capital] ?? [])];
  return `[${forms.map(escape).join('')}]`;
}

/** The code points that `isOf` holds for, as the inside of a class. */
function rangesOf(isOf: (code: number) => boolean): string {
  let text = '';
  for (let code = 0; code < 0x110000; code++) {
    if (!isOf(code)) continue;
    const first = code;
    while (code + 1 < 0x110000 && isOf(code + 1)) code++;
    text += `\\u{${first.toString(16)}}-\\u{${code.toString(16)}}`;
  }
  return text;
}

/** NFC, NFKC and NFKD (Unicode Standard 3.11), at the Unicode version of Rust's unicode-normalization-alignments. */
import { compatibility, excludedFromComposition } from './normalFormTables.ts';
import type { NormalizedString } from './normalizedString.ts';
import { decodeRuns, TableReader } from './tableReader.ts';
import { HANGUL_FIRST, HANGUL_LAST, REARRANGED, unicode } from './unicode.ts';
import { eachDecomposed, JAMO_L, JAMO_T, JAMO_V, TRAILING, VOWELS } from './unicodeNormalizers.ts';

const LEADING = 19;

interface NormalForms {
  /** Full compatibility decompositions, where they are not the canonical ones. */
  readonly compatibility: ReadonlyMap<number, readonly number[]>;
  /** What two code points compose to, by `pairKey`, but for Hangul. */
  readonly compositions: ReadonlyMap<number, number>;
  /** 1 for each code point without which text is composed already: marks, second parts, what is never a result. */
  readonly composes: Uint8Array;
}

let decoded: NormalForms | undefined;

function normalForms(): NormalForms {
  decoded ??= decode();
  return decoded;
}

function decode(): NormalForms {
  const { decompositions, combiningClasses } = unicode();
  const excluded = new Set<number>();
  for (const [first, end] of decodeRuns(excludedFromComposition)) for (let c = first; c < end; c++) excluded.add(c);
  const whole = new Map<string, number>(); // by the full decomposition
  for (const [code, parts] of decompositions) if (!excluded.has(code)) whole.set(parts.join(), code);
  const compositions = new Map<number, number>();
  const composes = new Uint8Array(0x110000);
  for (const [code, parts] of decompositions) {
    if (excluded.has(code)) {
      composes[code] = 1;
      continue;
    }
    const last = parts.at(-1)!;
    const first = parts.length === 2 ? parts[0] : whole.get(parts.slice(0, -1).join());
    if (first === undefined) continue;
    compositions.set(pairKey(first, last), code);
    composes[last] = 1;
  }
  for (const code of combiningClasses.keys()) composes[code] = 1;
  composes.fill(1, JAMO_V, JAMO_V + VOWELS);
  composes.fill(1, JAMO_T + 1, JAMO_T + TRAILING);
  return { compatibility: decodeDecompositions(compatibility), compositions, composes };
}

/** By length of the values: the keys, then each value as its difference from the one before it in its column. */
function decodeDecompositions(groups: readonly (readonly string[])[]): Map<number, number[]> {
  const result = new Map<number, number[]>();
  groups.forEach(([keys, values], index) => {
    const reader = new TableReader(values);
    let column: number[] = new Array(index + 1).fill(0);
    for (const [first, end] of decodeRuns(keys)) {
      for (let code = first; code < end; code++) {
        column = column.map((previous, place) => previous + reader.signed(place));
        result.set(code, column);
      }
    }
  });
  return result;
}

function pairKey(first: number, second: number): number {
  return first * 0x110000 + second;
}

export function compose(text: NormalizedString): void {
  const { composes } = normalForms();
  const { codes, length } = text;
  for (let i = 0; i < length; i++) if (composes[codes[i]] === 1) return recompose(text);
}

export function composeCompatibly(text: NormalizedString): void {
  const { compatibility } = normalForms();
  if (hasAny(text, compatibility)) recompose(text, compatibility);
  else compose(text);
}

export function decomposeCompatibly(text: NormalizedString): void {
  const { compatibility } = normalForms();
  if (!(text.classes() & REARRANGED) && !hasAny(text, compatibility)) return;
  const result: number[] = [];
  const changes: number[] = [];
  eachDecomposed(
    text,
    (code, begins) => {
      result.push(code);
      changes.push(begins ? 0 : 1);
    },
    compatibility,
  );
  text.rewrite(result, changes);
}

function hasAny({ codes, length }: NormalizedString, map: ReadonlyMap<number, unknown>): boolean {
  for (let i = 0; i < length; i++) if (codes[i] > 127 && map.has(codes[i])) return true;
  return false;
}

/**
 * Decomposes and composes again. The ranges of the result follow from how many characters each code point is counted
 * for, marks that stand between the two parts of a composition not taken into account, as in that crate.
 */
function recompose(text: NormalizedString, more?: ReadonlyMap<number, readonly number[]>): void {
  const { combiningClasses } = unicode();
  const codes: number[] = [];
  const changes: number[] = [];
  let starter = -1; // where it is in `codes`
  let lastClass = -1; // of what stands between the starter and the end; -1 for nothing
  const emit = (code: number, begins: boolean) => {
    const change = begins ? 0 : 1;
    const combiningClass = combiningClasses.get(code) ?? 0;
    const isBlocked = starter < 0 || lastClass >= combiningClass;
    const composed = isBlocked ? undefined : composition(codes[starter], code);
    if (composed !== undefined) {
      codes[starter] = composed;
      changes[starter] += change - 1;
      return;
    }
    if (combiningClass === 0) {
      starter = codes.length;
      lastClass = -1;
    } else if (starter >= 0) {
      lastClass = combiningClass;
    }
    codes.push(code);
    changes.push(change);
  };
  eachDecomposed(text, emit, more);
  text.rewrite(codes, changes);
}

function composition(first: number, second: number): number | undefined {
  const leading = first - JAMO_L;
  const vowel = second - JAMO_V;
  if (leading >= 0 && leading < LEADING && vowel >= 0 && vowel < VOWELS) {
    return HANGUL_FIRST + (leading * VOWELS + vowel) * TRAILING;
  }
  const trailing = second - JAMO_T;
  const isOpen = first >= HANGUL_FIRST && first <= HANGUL_LAST && (first - HANGUL_FIRST) % TRAILING === 0;
  if (isOpen && trailing > 0 && trailing < TRAILING) return first + trailing;
  return normalForms().compositions.get(pairKey(first, second));
}

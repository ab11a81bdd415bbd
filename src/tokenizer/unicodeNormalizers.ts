/** The steps that normalizers are made of: lower case, canonical decomposition. */
import { NormalizedString } from './normalizedString.ts';
import { HANGUL_FIRST, HANGUL_LAST, LOWERED, REARRANGED, unicode } from './unicode.ts';

/** Lower case a code point at a time, as Rust's `char::to_lowercase`; İ becomes two code points. */
export function toLowercase(text: NormalizedString): void {
  const { classes, lowercase } = unicode();
  const { codes, length } = text;
  for (let i = 0; i < length; i++) {
    const code = codes[i];
    if (!(classes[code] & LOWERED)) continue;
    if (code < 128) {
      codes[i] = code + 32;
      continue;
    }
    const lower = lowercase.get(code)!;
    if (lower.length > 1) return lowercaseFrom(i, text);
    codes[i] = lower[0]!;
  }
}

/** Rewrites the text, because from here on a lower case may be longer than its capital. */
function lowercaseFrom(index: number, text: NormalizedString): void {
  const { lowercase } = unicode();
  const result = text.slice(0, index);
  for (let i = index; i < text.length; i++) {
    const code = text.codes[i];
    for (const lower of lowercase.get(code) ?? [code]) result.push(lower, text.starts[i], text.ends[i]);
  }
  text.assign(result);
}

/**
 * Canonical decomposition, NFD (Unicode Standard 3.11), at the Unicode version of Rust's unicode-normalization-alignments.
 *
 * Marks that change places do not take their origin along: as in that crate, the k-th code point that begins a
 * decomposition gets the range of the k-th code point of the input.
 */
export function decompose(text: NormalizedString): void {
  if (!(text.classes() & REARRANGED)) return;
  const result = new NormalizedString();
  let source = -1;
  eachDecomposed(text, (code, begins) => {
    if (begins) source++;
    result.push(code, text.starts[source], text.ends[source]);
  });
  text.assign(result);
}

/**
 * The code points of the canonical decomposition, in order, and whether each begins the decomposition of a character.
 *
 * @param more further decompositions, to the end
 */
export function eachDecomposed(
  text: NormalizedString,
  emit: (code: number, begins: boolean) => void,
  more?: ReadonlyMap<number, readonly number[]>,
): void {
  const { classes, decompositions, combiningClasses } = unicode();
  const pending: Pending[] = []; // marks after a starter, not yet in their order
  const flush = () => {
    if (pending.length === 0) return;
    pending.sort((a, b) => a.combiningClass - b.combiningClass); // stable since ES2019
    for (const { code, begins } of pending) emit(code, begins);
    pending.length = 0;
  };
  for (let i = 0; i < text.length; i++) {
    const original = text.codes[i];
    let parts = more?.get(original);
    if (parts === undefined && !(classes[original] & REARRANGED)) {
      flush();
      emit(original, true);
      continue;
    }
    parts ??= isHangulSyllable(original) ? hangulParts(original) : decompositions.get(original);
    let begins = true;
    for (const code of parts ?? [original]) {
      const combiningClass = combiningClasses.get(code);
      if (combiningClass === undefined) {
        flush();
        emit(code, begins);
      } else {
        pending.push({ code, combiningClass, begins });
      }
      begins = false;
    }
  }
  flush();
}

interface Pending {
  code: number;
  combiningClass: number;
  /** Whether it is the first of its decomposition. */
  begins: boolean;
}

export const JAMO_L = 0x1100;
export const JAMO_V = 0x1161;
export const JAMO_T = 0x11a7;
export const VOWELS = 21;
export const TRAILING = 28; // with none

function isHangulSyllable(code: number): boolean {
  return code >= HANGUL_FIRST && code <= HANGUL_LAST;
}

function hangulParts(syllable: number): number[] {
  const index = syllable - HANGUL_FIRST;
  const parts = [
    JAMO_L + Math.floor(index / (VOWELS * TRAILING)),
    JAMO_V + Math.floor((index % (VOWELS * TRAILING)) / TRAILING),
  ];
  const trailing = index % TRAILING;
  if (trailing > 0) parts.push(JAMO_T + trailing);
  return parts;
}

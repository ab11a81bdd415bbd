/**
 * Extended grapheme clusters (Unicode Standard Annex 29), at the version of Rust's unicode-segmentation. Regional
 * indicators are taken for any other character: the Precompiled normalizer, which asks, never looks a pair of them up.
 */
import { graphemes, linkers } from './graphemeTables.ts';
import { decodeRuns, TableReader } from './tableReader.ts';
import { HANGUL_FIRST, HANGUL_LAST } from './unicode.ts';
import { TRAILING } from './unicodeNormalizers.ts';

// The order is that of tools/unicode/generate.py; what follows CONSONANT is told apart here.
const [, CR, LF, CONTROL, EXTEND, ZWJ, SPACING_MARK, PREPEND, L, V, T, PICTOGRAPH, CONSONANT] = Array(13).keys();
const [LV, LVT, LINKER, ZWNJ] = [13, 14, 15, 16]; // the last two extend, too

let decoded: Uint8Array | undefined;

function decode(): Uint8Array {
  const classes = new Uint8Array(0x110000);
  const reader = new TableReader(graphemes);
  let [end, type] = [0, 0];
  for (let runs = reader.number(0); runs > 0; runs--) {
    type = reader.number(3 + type);
    const first = end + reader.number(1);
    end = first + reader.number(2);
    classes.fill(type, first, end);
  }
  for (const [first, last] of decodeRuns(linkers)) classes.fill(LINKER, first, last);
  classes[0x200c] = ZWNJ;
  for (let code = HANGUL_FIRST; code <= HANGUL_LAST; code++) {
    classes[code] = (code - HANGUL_FIRST) % TRAILING === 0 ? LV : LVT;
  }
  return classes;
}

/** Where the cluster that begins at `start` ends. */
export function graphemeEnd(codes: Int32Array, start: number, length: number): number {
  decoded ??= decode();
  let before = decoded[codes[start]];
  let conjunct = before === CONSONANT ? 1 : 0; // a consonant was met; 2: and a linker since
  let emoji = before === PICTOGRAPH ? 1 : 0; // a pictograph with its extensions was met; 2: and then a joiner
  for (let at = start + 1; at < length; at++) {
    const after = decoded[codes[at]];
    const joins = (after === CONSONANT && conjunct === 2) || (after === PICTOGRAPH && emoji === 2);
    if (!joins && isBoundary(before, after)) return at;
    if (after === CONSONANT) conjunct = 1;
    else if (after === LINKER) conjunct = conjunct && 2;
    else if (after !== EXTEND && after !== ZWJ) conjunct = 0;
    if (after === PICTOGRAPH) emoji = 1;
    else if (after === ZWJ) emoji = emoji === 1 ? 2 : 0;
    else if (emoji === 2 || (after !== EXTEND && after !== LINKER && after !== ZWNJ)) emoji = 0;
    before = after;
  }
  return length;
}

/** Rules GB3 to GB9b and GB999, on the classes of two neighbours. */
function isBoundary(before: number, after: number): boolean {
  if (before === CR && after === LF) return false;
  if (isControl(before) || isControl(after)) return true;
  if (before === L && (after === L || after === V || after === LV || after === LVT)) return false;
  if ((before === LV || before === V) && (after === V || after === T)) return false;
  if ((before === LVT || before === T) && after === T) return false;
  const isExtended = after === EXTEND || after === ZWJ || after === LINKER || after === ZWNJ || after === SPACING_MARK;
  return !isExtended && before !== PREPEND;
}

function isControl(type: number): boolean {
  return type === CONTROL || type === CR || type === LF;
}

import { TokenizerError } from '../errors.ts';
import { graphemeEnd } from './graphemes.ts';
import type { JsonField } from './jsonField.ts';
import type { NormalizedString } from './normalizedString.ts';
import type { Normalizer } from './normalizer.ts';

const CR = 0x0d;
const LEAST_EXTENDING = 0x300; // below, CR LF is the only cluster of two
const LONGEST_CLUSTER = 5; // bytes; a longer one is never looked up as a whole

/**
 * SentencePiece's normalization: a table of what becomes what (`precompiled_charsmap`), which most often is NFKC with
 * some additions. The table is a double-array trie over UTF-8 bytes (Aoe 1989, as Darts-clone stores it), whose values
 * point into a text of replacements.
 *
 * It is applied as by Rust's spm_precompiled, not as by SentencePiece: to grapheme clusters of up to five bytes, each
 * replaced whole by what the *shortest* entry that it begins with becomes, and to the characters of all others.
 */
export class Precompiled implements Normalizer {
  readonly #name: string;
  readonly #units: Uint32Array; // of the trie
  readonly #replacements: Uint8Array; // UTF-8, each ended by a NUL
  readonly #decoded = new Map<number, readonly number[]>(); // by where they begin
  readonly #ofCharacter = new Int32Array(0x10000); // where its replacement begins + 2, 1 for none, 0 for not yet known
  readonly #bytes = new Uint8Array(4 * LONGEST_CLUSTER);

  /**
   * @param name what messages call the table
   * @throws TokenizerError when the bytes are no such table
   */
  constructor(charsmap: Uint8Array, name = 'precompiled_charsmap') {
    this.#name = name;
    const view = new DataView(charsmap.buffer, charsmap.byteOffset, charsmap.byteLength);
    const size = charsmap.length < 4 ? 0 : view.getUint32(0, true);
    if (size < 4 || 4 + size > charsmap.length) {
      const got =
        charsmap.length < 4 ? `${charsmap.length} bytes` : `${size} bytes, of ${charsmap.length - 4} that follow`;
      this.#fail('the size of a trie and the trie', got);
    }
    this.#units = Uint32Array.from({ length: size >> 2 }, (_, i) => view.getUint32(4 + 4 * i, true));
    this.#replacements = charsmap.subarray(4 + 4 * this.#units.length);
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(this.#replacements);
    } catch {
      this.#fail('replacements in UTF-8', 'other bytes');
    }
  }

  normalize(text: NormalizedString): void {
    const { codes, length } = text;
    let changed: Rewriting | undefined;
    for (let i = 0; i < length;) {
      const isAlone =
        i + 1 === length || (codes[i + 1] < LEAST_EXTENDING && codes[i] < LEAST_EXTENDING && codes[i] !== CR);
      const end = isAlone ? i + 1 : graphemeEnd(codes, i, length);
      const whole = end > i + 1 ? this.#findCluster(codes, i, end) : -1;
      if (whole >= 0) {
        changed ??= new Rewriting(text, i);
        changed.replace(end - i, this.#replacementAt(whole));
        i = end;
      }
      for (; i < end; i++) {
        const found = this.#findCharacter(codes[i]);
        if (found >= 0) {
          changed ??= new Rewriting(text, i);
          changed.replace(1, this.#replacementAt(found));
        } else {
          changed?.keep(codes[i]);
        }
      }
    }
    if (changed) text.rewrite(changed.codes, changed.changes);
  }

  #findCharacter(code: number): number {
    const known = code < 0x10000 ? this.#ofCharacter[code] : 0;
    if (known > 0) return known - 2;
    const found = this.#find(writeUtf8(code, this.#bytes, 0));
    if (code < 0x10000) this.#ofCharacter[code] = found + 2;
    return found;
  }

  #findCluster(codes: Int32Array, start: number, end: number): number {
    let count = 0;
    for (let i = start; i < end; i++) {
      count = writeUtf8(codes[i], this.#bytes, count);
      if (count > LONGEST_CLUSTER) return -1;
    }
    return this.#find(count);
  }

  /** The value of the shortest entry that the first `count` of `#bytes` begin with; -1 when there is none. */
  #find(count: number): number {
    const units = this.#units;
    let at = offsetOf(units[0]);
    for (let i = 0; i < count; i++) {
      const byte = this.#bytes[i];
      if (byte === 0) return -1;
      at ^= byte;
      const unit = this.#unitAt(at);
      if ((unit & 0x800000ff) !== byte) return -1;
      at ^= offsetOf(unit);
      if (unit & 0x100) return this.#unitAt(at) & 0x7fffffff;
    }
    return -1;
  }

  #unitAt(index: number): number {
    return index < this.#units.length ? this.#units[index] : this.#fail('nodes inside its trie', `node ${index}`);
  }

  #replacementAt(begin: number): readonly number[] {
    const known = this.#decoded.get(begin);
    if (known) return known;
    const bytes = this.#replacements;
    if (begin > bytes.length) this.#fail(`replacements among its ${bytes.length} bytes of text`, `one at ${begin}`);
    const end = bytes.indexOf(0, begin);
    let text = '';
    try {
      text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
        bytes.subarray(begin, end < 0 ? undefined : end),
      );
    } catch {
      this.#fail('replacements that begin with a character', `one inside of a character, at ${begin}`);
    }
    const codes = Array.from(text, (character) => character.codePointAt(0)!);
    this.#decoded.set(begin, codes);
    return codes;
  }

  #fail(expected: string, got: string): never {
    throw new TokenizerError({ what: this.#name, expected, got, fix: 'download the file again' });
  }
}

/** The text as it becomes, for `NormalizedString.rewrite`. */
class Rewriting {
  readonly codes: number[] = [];
  readonly changes: number[] = [];

  /** @param kept how many of the first characters stay as they are */
  constructor(text: NormalizedString, kept: number) {
    for (let i = 0; i < kept; i++) this.keep(text.codes[i]);
  }

  keep(code: number): void {
    this.codes.push(code);
    this.changes.push(0);
  }

  /** Puts code points in place of the next `count`. Of the ones deleted at the very beginning, nothing is known later. */
  replace(count: number, codes: readonly number[]): void {
    const { changes } = this;
    for (let i = 0; i < codes.length; i++) {
      this.codes.push(codes[i]);
      changes.push(i < count ? 0 : 1);
    }
    if (codes.length < count && changes.length > 0) changes[changes.length - 1] += codes.length - count;
  }
}

function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}

/** Writes a code point at an index; returns the index after it. */
function writeUtf8(code: number, bytes: Uint8Array, at: number): number {
  if (code < 0x80) {
    bytes[at++] = code;
  } else if (code < 0x800) {
    bytes[at++] = 0xc0 | (code >> 6);
    bytes[at++] = 0x80 | (code & 63);
  } else {
    if (code < 0x10000) {
      bytes[at++] = 0xe0 | (code >> 12);
    } else {
      bytes[at++] = 0xf0 | (code >> 18);
      bytes[at++] = 0x80 | ((code >> 12) & 63);
    }
    bytes[at++] = 0x80 | ((code >> 6) & 63);
    bytes[at++] = 0x80 | (code & 63);
  }
  return at;
}

/** The table in base64, or its bytes. */
export function readPrecompiled(json: JsonField): Precompiled {
  const field = json.get('precompiled_charsmap');
  const name = `${json.file}: ${field.path}`;
  if (field.value instanceof Uint8Array) return new Precompiled(field.value, name);
  const text = field.string();
  let bytes: string;
  try {
    bytes = atob(text);
  } catch {
    return field.fail('base64', 'download the file again');
  }
  return new Precompiled(
    Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)),
    name,
  );
}

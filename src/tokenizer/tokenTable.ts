/**
 * Strings and their ids in a hash table over typed arrays, so that a text is looked up where it lies, as code points,
 * without making a string of it.
 *
 * The hash of a string is computed from left to right, so one pass over a word gives the hashes of all its beginnings.
 */
export class TokenTable {
  /** Where the last match of `longestPrefix` ends. */
  matchEnd = 0;

  readonly #slots: Int32Array; // where the record of an entry begins, by hash; 0 where free; a collision goes to the next
  readonly #records: Int32Array; // hash, id, length, codes, of one entry after another
  readonly #prefixHashes: Int32Array; // by length
  readonly #longest = new Uint16Array(REACHES); // of the entries that begin with three codes, by the hash of those

  constructor(entries: ReadonlyMap<string, number>) {
    this.#slots = new Int32Array(powerOfTwoFrom(entries.size * 2));
    const records: number[] = [0]; // so that no record begins at 0
    let longest = 0;
    for (const [text, id] of entries) {
      const begin = records.push(0, id, 0) - 3;
      let hash = EMPTY_HASH;
      let reach = -1;
      for (const character of text) {
        const code = character.codePointAt(0)!;
        records.push(code);
        hash = extendHash(hash, code);
        if (records.length === begin + 6) reach = hash & (REACHES - 1);
      }
      const length = records.length - begin - 3;
      records[begin] = hash;
      records[begin + 2] = length;
      let slot = this.#slotOf(hash);
      while (this.#slots[slot] !== 0) slot = this.#nextSlot(slot);
      this.#slots[slot] = begin;
      longest = Math.max(longest, length);
      if (reach >= 0) this.#longest[reach] = Math.max(this.#longest[reach], length);
    }
    this.#records = Int32Array.from(records);
    this.#prefixHashes = new Int32Array(longest + 1);
  }

  /**
   * The id of the longest entry that `codes` begins with between `start` and `end`; `matchEnd` tells where it ends.
   *
   * @returns -1 when no entry does
   */
  longestPrefix(codes: Int32Array, start: number, end: number): number {
    const hashes = this.#prefixHashes;
    let longest = Math.min(end - start, hashes.length - 1);
    let hash = EMPTY_HASH;
    for (let length = 1; length <= longest; length++) {
      hash = extendHash(hash, codes[start + length - 1]);
      hashes[length] = hash;
      if (length === 3) longest = Math.min(longest, Math.max(2, this.#longest[hash & (REACHES - 1)]));
    }
    for (let length = longest; length > 0; length--) {
      const id = this.find(hashes[length], codes, start, length);
      if (id < 0) continue;
      this.matchEnd = start + length;
      return id;
    }
    return -1;
  }

  /** The id of the entry that consists of `length` codes from `start` on, whose hash is known; -1 when there is none. */
  find(hash: number, codes: Int32Array, start: number, length: number): number {
    const records = this.#records;
    for (let slot = this.#slotOf(hash); ; slot = this.#nextSlot(slot)) {
      const record = this.#slots[slot];
      if (record === 0) return -1;
      if (records[record] !== hash || records[record + 2] !== length) continue;
      let same = 0;
      while (same < length && records[record + 3 + same] === codes[start + same]) same++;
      if (same === length) return records[record + 1];
    }
  }

  #slotOf(hash: number): number {
    return (hash ^ (hash >>> 15)) & (this.#slots.length - 1);
  }

  #nextSlot(slot: number): number {
    return (slot + 1) & (this.#slots.length - 1);
  }
}

const REACHES = 1 << 14;

/** FNV-1a, over code points in place of bytes. */
export const EMPTY_HASH = 0x811c9dc5 | 0;

/** The hash of a string with one more code point at its end. */
export function extendHash(hash: number, code: number): number {
  return Math.imul(hash ^ code, 0x01000193);
}

function powerOfTwoFrom(minimum: number): number {
  let size = 16;
  while (size < minimum) size *= 2;
  return size;
}

/** What is known of the strings with a hash, as bits of `#known`; of two with the same place there, both. */
const GOES_ON = 1; // an entry begins with it and is longer
const ENDS = 2; // it is an entry

/**
 * Strings and their ids in a hash table over typed arrays, so that a text is looked up where it lies, as code points,
 * without making a string of it.
 *
 * The hash of a string is computed from left to right, so one pass over a word gives the hashes of all its beginnings.
 */
export class TokenTable {
  /** Where the last match of `longestPrefix` ends. */
  matchEnd = 0;

  readonly #slots: Int32Array; // by hash: a hash, and where its record begins, 0 where free; a collision goes to the next
  readonly #records: Int32Array; // id, length, codes, of one entry after another
  readonly #known: Uint8Array; // two bits a place, by hash: small enough for a cache, and sparse enough to be rarely wrong

  constructor(entries: ReadonlyMap<string, number>) {
    this.#slots = new Int32Array(2 * powerOfTwoFrom(entries.size * 2));
    this.#known = new Uint8Array(powerOfTwoFrom(entries.size * 2));
    let size = 1; // so that no record begins at 0
    for (const text of entries.keys()) size += 2 + text.length;
    this.#records = new Int32Array(size); // or less, where a character is two UTF-16 codes
    let begin = 1;
    entries.forEach((id, text) => (begin = this.#add(begin, text, id)));
  }

  /** Every process that embeds does this for a whole vocabulary, before anything is compiled. @returns where the record ends */
  #add(begin: number, text: string, id: number): number {
    const slots = this.#slots;
    const records = this.#records;
    const known = this.#known;
    const mask = known.length - 1;
    let hash = EMPTY_HASH;
    let end = begin + 2;
    for (let i = 0; i < text.length; i++) {
      known[(hash >>> 2) & mask] |= GOES_ON << ((hash & 3) << 1);
      let code = text.charCodeAt(i);
      if ((code & 0xfc00) === 0xd800) {
        code = text.codePointAt(i)!;
        if (code > 0xffff) i++;
      }
      records[end++] = code;
      hash = extendHash(hash, code);
    }
    known[(hash >>> 2) & mask] |= ENDS << ((hash & 3) << 1);
    records[begin] = id;
    records[begin + 1] = end - begin - 2;
    let slot = this.#slotOf(hash);
    while (slots[slot + 1] !== 0) slot = this.#nextSlot(slot);
    slots[slot] = hash;
    slots[slot + 1] = begin;
    return end;
  }

  /**
   * The id of the longest entry that `codes` begins with between `start` and `end`; `matchEnd` tells where it ends.
   *
   * @returns -1 when no entry does
   */
  longestPrefix(codes: Int32Array, start: number, end: number): number {
    for (let limit = end; ;) {
      let match = start;
      let matchHash = EMPTY_HASH;
      let hash = EMPTY_HASH;
      for (let i = start; i < limit; i++) {
        hash = extendHash(hash, codes[i]);
        const bits = this.#bitsAt(hash);
        if (bits & ENDS) {
          match = i + 1;
          matchHash = hash;
        }
        if (!(bits & GOES_ON)) break;
      }
      if (match === start) return -1;
      const id = this.find(matchHash, codes, start, match - start);
      if (id >= 0) {
        this.matchEnd = match;
        return id;
      }
      limit = match - 1; // another string has the same place
    }
  }

  /** The id of the entry that consists of `length` codes from `start` on, whose hash is known; -1 when there is none. */
  find(hash: number, codes: Int32Array, start: number, length: number): number {
    const slots = this.#slots;
    const records = this.#records;
    for (let slot = this.#slotOf(hash); ; slot = this.#nextSlot(slot)) {
      const record = slots[slot + 1];
      if (record === 0) return -1;
      if (slots[slot] !== hash || records[record + 1] !== length) continue;
      let same = 0;
      while (same < length && records[record + 2 + same] === codes[start + same]) same++;
      if (same === length) return records[record];
    }
  }

  #bitsAt(hash: number): number {
    return this.#known[(hash >>> 2) & (this.#known.length - 1)] >>> ((hash & 3) << 1);
  }

  #slotOf(hash: number): number {
    return ((hash ^ (hash >>> 15)) << 1) & (this.#slots.length - 1);
  }

  #nextSlot(slot: number): number {
    return (slot + 2) & (this.#slots.length - 1);
  }
}

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

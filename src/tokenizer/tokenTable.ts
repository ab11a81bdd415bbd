/**
 * Strings and their ids in a hash table over typed arrays, so that a text is looked up where it lies, as code points,
 * without making a string of it.
 *
 * The hash of a string is computed from left to right, so one pass over a word gives the hashes of all its beginnings.
 */
export class TokenTable {
  /** Where the last match of `longestPrefix` ends. */
  matchEnd = 0;

  readonly #slots: Int32Array; // entry + 1 by hash, 0 where free; a collision goes to the next slot
  readonly #hashes: Int32Array; // by entry, as the three below
  readonly #ids: Int32Array;
  readonly #begins: Int32Array; // the codes of entry e are #codes[#begins[e] … #begins[e + 1])
  readonly #codes: Int32Array;
  readonly #prefixHashes: Int32Array; // by length

  constructor(entries: ReadonlyMap<string, number>) {
    const count = entries.size;
    this.#slots = new Int32Array(powerOfTwoFrom(count * 2));
    this.#hashes = new Int32Array(count);
    this.#ids = new Int32Array(count);
    this.#begins = new Int32Array(count + 1);
    const codes: number[] = [];
    let longest = 0;
    let entry = 0;
    for (const [text, id] of entries) {
      let hash = EMPTY_HASH;
      for (const character of text) {
        const code = character.codePointAt(0)!;
        codes.push(code);
        hash = extend(hash, code);
      }
      this.#ids[entry] = id;
      this.#begins[entry + 1] = codes.length;
      this.#hashes[entry] = hash;
      let slot = this.#slotOf(hash);
      while (this.#slots[slot] !== 0) slot = this.#nextSlot(slot);
      this.#slots[slot] = ++entry;
      longest = Math.max(longest, codes.length - this.#begins[entry - 1]);
    }
    this.#codes = Int32Array.from(codes);
    this.#prefixHashes = new Int32Array(longest + 1);
  }

  /**
   * The id of the longest entry that `codes` begins with between `start` and `end`; `matchEnd` tells where it ends.
   *
   * @returns -1 when no entry does
   */
  longestPrefix(codes: Int32Array, start: number, end: number): number {
    const hashes = this.#prefixHashes;
    const longest = Math.min(end - start, hashes.length - 1);
    let hash = EMPTY_HASH;
    for (let length = 1; length <= longest; length++) {
      hash = extend(hash, codes[start + length - 1]);
      hashes[length] = hash;
    }
    for (let length = longest; length > 0; length--) {
      const id = this.#find(hashes[length], codes, start, length);
      if (id < 0) continue;
      this.matchEnd = start + length;
      return id;
    }
    return -1;
  }

  #find(hash: number, codes: Int32Array, start: number, length: number): number {
    for (let slot = this.#slotOf(hash); ; slot = this.#nextSlot(slot)) {
      const entry = this.#slots[slot] - 1;
      if (entry < 0) return -1;
      if (this.#hashes[entry] === hash && this.#equals(entry, codes, start, length)) return this.#ids[entry];
    }
  }

  #equals(entry: number, codes: Int32Array, start: number, length: number): boolean {
    const begin = this.#begins[entry];
    if (this.#begins[entry + 1] - begin !== length) return false;
    for (let i = 0; i < length; i++) if (this.#codes[begin + i] !== codes[start + i]) return false;
    return true;
  }

  #slotOf(hash: number): number {
    return (hash ^ (hash >>> 15)) & (this.#slots.length - 1);
  }

  #nextSlot(slot: number): number {
    return (slot + 1) & (this.#slots.length - 1);
  }
}

/** FNV-1a, over code points in place of bytes. */
const EMPTY_HASH = 0x811c9dc5 | 0;

function extend(hash: number, code: number): number {
  return Math.imul(hash ^ code, 0x01000193);
}

function powerOfTwoFrom(minimum: number): number {
  let size = 16;
  while (size < minimum) size *= 2;
  return size;
}

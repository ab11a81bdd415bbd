/** The pieces of a word: `count` of them, the k-th being `ids[k]` and ending before the word's code point `ends[k]`. */
export interface Pieces {
  count: number;
  readonly ids: Int32Array;
  readonly ends: Int32Array;
}

const SLOTS = 1 << 14;
const ROOM = 1 << 18; // 1 MB

/**
 * Remembers how words were cut, within fixed memory: of running text few words are new. When full, it forgets all and
 * begins anew, which in running text costs little and needs no bookkeeping.
 */
export class WordMemo {
  readonly #slots = new Int32Array(SLOTS); // where a record begins, by hash; 0 where free; a collision goes to the next
  readonly #records = new Int32Array(ROOM); // hash, length, count, codes, ids, ends, of one word after another
  #words = 0;
  #end = 1; // of the records; none begins at 0

  /** Whether the word of `length` codes from `start` on is known; if so, `pieces` become its own. */
  recall(hash: number, codes: Int32Array, start: number, length: number, pieces: Pieces): boolean {
    const records = this.#records;
    for (let slot = slotOf(hash); ; slot = (slot + 1) & (SLOTS - 1)) {
      const record = this.#slots[slot];
      if (record === 0) return false;
      if (records[record] !== hash || records[record + 1] !== length) continue;
      let at = record + 3;
      let same = 0;
      while (same < length && records[at + same] === codes[start + same]) same++;
      if (same < length) continue;
      const count = records[record + 2];
      at += length;
      for (let k = 0; k < count; k++) {
        pieces.ids[k] = records[at + k];
        pieces.ends[k] = records[at + count + k];
      }
      pieces.count = count;
      return true;
    }
  }

  /** Takes down the pieces of a word that is not known yet. */
  remember(hash: number, codes: Int32Array, start: number, length: number, { count, ids, ends }: Pieces): void {
    const size = 3 + length + 2 * count;
    if (size > ROOM / 64) return;
    if (this.#end + size > ROOM || ++this.#words > SLOTS / 2) {
      this.#slots.fill(0);
      this.#words = this.#end = 1;
    }
    const records = this.#records;
    let slot = slotOf(hash);
    while (this.#slots[slot] !== 0) slot = (slot + 1) & (SLOTS - 1);
    let at = this.#end;
    this.#slots[slot] = at;
    records[at++] = hash;
    records[at++] = length;
    records[at++] = count;
    for (let k = 0; k < length; k++) records[at++] = codes[start + k];
    for (let k = 0; k < count; k++) records[at++] = ids[k];
    for (let k = 0; k < count; k++) records[at++] = ends[k];
    this.#end = at;
  }
}

function slotOf(hash: number): number {
  return (hash ^ (hash >>> 15)) & (SLOTS - 1);
}

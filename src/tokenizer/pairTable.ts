/** Pairs of token ids, numbered in the order in which they were added: a hash table over typed arrays. */
export class PairTable {
  /** How many pairs there are. */
  size = 0;
  /** Both ids of each pair. */
  firsts = new Int32Array(64);
  seconds = new Int32Array(64);
  #slots = new Int32Array(128); // index + 1, 0 where free; a collision goes to the next slot

  /** The number of a pair, -1 when it is not there. */
  find(first: number, second: number): number {
    const slots = this.#slots;
    for (let slot = this.#slotOf(first, second); ; slot = (slot + 1) & (slots.length - 1)) {
      const index = slots[slot] - 1;
      if (index < 0 || (this.firsts[index] === first && this.seconds[index] === second)) return index;
    }
  }

  /** The number of a pair, which is `size - 1` when it is a new one. */
  add(first: number, second: number): number {
    const found = this.find(first, second);
    if (found >= 0) return found;
    if (this.size === this.firsts.length) this.#grow();
    this.firsts[this.size] = first;
    this.seconds[this.size] = second;
    this.#place(this.size);
    return this.size++;
  }

  #place(index: number): void {
    const slots = this.#slots;
    let slot = this.#slotOf(this.firsts[index], this.seconds[index]);
    while (slots[slot] !== 0) slot = (slot + 1) & (slots.length - 1);
    slots[slot] = index + 1;
  }

  #grow(): void {
    const { firsts, seconds } = this;
    this.firsts = new Int32Array(firsts.length * 2);
    this.seconds = new Int32Array(seconds.length * 2);
    this.firsts.set(firsts);
    this.seconds.set(seconds);
    this.#slots = new Int32Array(this.#slots.length * 2);
    for (let index = 0; index < this.size; index++) this.#place(index);
  }

  #slotOf(first: number, second: number): number {
    const hash = Math.imul(first, 0x9e3779b1) ^ Math.imul(second, 0x85ebca6b);
    return (hash ^ (hash >>> 15)) & (this.#slots.length - 1);
  }
}

/** Numbers to a slot: the parent node + 1 (0 where the slot is free), a code point, the child node, the child's value + 1. */
const SLOT = 4;

/**
 * Strings, each with a number, as a trie: a walk along a text, where it lies, meets all that the text begins with, the
 * shortest first. Its edges are one hash table over a typed array, so that a step looks at one place of memory.
 */
export class PrefixTrie {
  /** The value at the node that the last `step` reached; -1 where no string ends. */
  value = -1;

  #slots = new Int32Array(1024 * SLOT);
  #nodes = 1; // node 0 is the root

  constructor(entries: ReadonlyMap<string, number>) {
    for (const [text, value] of entries) this.#add(text, value);
  }

  /** The node that a code point leads to from a node (from 0, the root); -1 when none does. */
  step(node: number, code: number): number {
    const slots = this.#slots;
    const at = slotOf(slots, node, code);
    if (slots[at] === 0) return -1;
    this.value = slots[at + 3] - 1;
    return slots[at + 2];
  }

  /** The value of a string between two indices of a text; -1 when there is none. */
  find(codes: Int32Array, start: number, end: number): number {
    let node = 0;
    this.value = -1;
    for (let i = start; i < end && node >= 0; i++) node = this.step(node, codes[i]);
    return node < 0 ? -1 : this.value;
  }

  #add(text: string, value: number): void {
    let node = 0;
    let at = -1;
    for (const character of text) {
      const code = character.codePointAt(0)!;
      at = slotOf(this.#slots, node, code);
      if (this.#slots[at] === 0) {
        if (this.#nodes * SLOT > this.#slots.length * 0.6) {
          this.#grow();
          at = slotOf(this.#slots, node, code);
        }
        this.#slots.set([node + 1, code, this.#nodes++], at);
      }
      node = this.#slots[at + 2];
    }
    if (at >= 0) this.#slots[at + 3] = value + 1;
  }

  #grow(): void {
    const old = this.#slots;
    const slots = new Int32Array(old.length * 2);
    for (let at = 0; at < old.length; at += SLOT) {
      if (old[at] !== 0) slots.set(old.subarray(at, at + SLOT), slotOf(slots, old[at] - 1, old[at + 1]));
    }
    this.#slots = slots;
  }
}

/** Where the edge is, or would be. */
function slotOf(slots: Int32Array, node: number, code: number): number {
  const mask = slots.length / SLOT - 1;
  let hash = Math.imul(node, 0x9e3779b1) ^ Math.imul(code, 0x85ebca6b);
  hash ^= hash >>> 15;
  for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
    const at = slot * SLOT;
    if (slots[at] === 0 || (slots[at] === node + 1 && slots[at + 1] === code)) return at;
  }
}

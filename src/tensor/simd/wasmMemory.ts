import { MemoryError } from '../../errors.ts';
import type { FloatArray } from '../kernels/kernels.ts';
import type { Block, Memory } from '../memory.ts';

export const PAGE_BYTES = 65536;
/** 4 GiB, all that 32-bit addresses reach. */
export const MAXIMUM_PAGES = 65536;
/** Growing is rare, and never by less than this. */
const GROWTH_PAGES = 256;
/** A cache line; more than any vector load asks for. */
const ALIGNMENT = 64;

const align = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/**
 * One WebAssembly memory: what stays lies at the bottom, above it scopes stack up and fall down. What is given
 * back earlier waits for a block of the same length. So there is nothing to leak, and after the first few passes it no longer grows.
 */
export class WasmMemory implements Memory {
  readonly memory: WebAssembly.Memory;
  /** First free byte. */
  #top = ALIGNMENT; // address 0 stays free: it means "none" to kernels
  /** Where bytes begin that were never taken, which are zeros. */
  #fresh = ALIGNMENT;
  /** Where each open scope began, and the addresses that were given back to it, by length. */
  readonly #scopes: { start: number; free: Map<number, number[]> }[] = [];

  constructor(memory: WebAssembly.Memory) {
    this.memory = memory;
  }

  get bytes(): number {
    return this.memory.buffer.byteLength;
  }

  keepFloats(length: number): WasmBlock {
    return new WasmBlock(this.memory, this.#zeros(4 * length), length);
  }

  keepBytes(length: number): Block<Int8Array> {
    const { memory } = this;
    const address = this.#zeros(length);
    return {
      get data() {
        return new Int8Array(memory.buffer, address, length);
      },
    };
  }

  floats(length: number): Block {
    if (this.#scopes.length === 0) return { data: new Float32Array(length) };
    const address = this.#scopes.at(-1)!.free.get(length)?.pop();
    return new WasmBlock(this.memory, address ?? this.take(4 * length), length);
  }

  giveBack(block: Block): void {
    const scope = this.#scopes.at(-1);
    if (!scope || !(block instanceof WasmBlock) || block.address < scope.start) return;
    const { length } = block.data;
    scope.free.set(length, [...(scope.free.get(length) ?? []), block.address]);
  }

  openScope(): void {
    this.#scopes.push({ start: this.#top, free: new Map() });
  }

  closeScope(leaving: readonly Block[]): void {
    const { start } = this.#scopes.pop()!;
    // Distinct blocks of this scope; each moves down, never onto one that has yet to move.
    const blocks = [...new Set(leaving)].filter(
      (block) => block instanceof WasmBlock && block.address >= start,
    ) as WasmBlock[];
    if (this.#scopes.length === 0) {
      for (const block of blocks) block.leave();
      this.#top = start;
      return;
    }
    let top = start;
    for (const block of blocks.sort((a, b) => a.address - b.address)) top = block.moveTo(top);
    this.#top = align(top);
  }

  /** Bytes at the top, for a kernel; give them back with `release(mark)`. Their value is arbitrary. */
  take(bytes: number): number {
    const address = this.#top;
    const top = address + align(bytes);
    const missing = top - this.memory.buffer.byteLength;
    if (missing > 0) this.#grow(Math.ceil(missing / PAGE_BYTES));
    this.#top = top;
    this.#fresh = Math.max(this.#fresh, top);
    return address;
  }

  #grow(pages: number): void {
    const now = this.memory.buffer.byteLength / PAGE_BYTES;
    try {
      this.memory.grow(Math.min(Math.max(pages, GROWTH_PAGES), Math.max(pages, MAXIMUM_PAGES - now)));
    } catch (cause) {
      throw new MemoryError({
        what: 'memory of the engine',
        expected: `at most ${MAXIMUM_PAGES / 16} MiB, and as much as the system gives`,
        got: `${Math.round((now + pages) / 16)} MiB asked for`,
        fix: 'compute fewer or shorter texts at a time, or load with dtype "q8"',
        cause,
      });
    }
  }

  holds({ buffer }: FloatArray): boolean {
    return buffer === this.memory.buffer || !(buffer instanceof ArrayBuffer); // shared memory that grows has a new buffer
  }

  mark(): number {
    return this.#top;
  }

  release(mark: number): void {
    this.#top = mark;
  }

  /** Bytes at the top that are zeros. */
  #zeros(bytes: number): number {
    const fresh = this.#fresh;
    const address = this.take(bytes);
    if (address < fresh) new Uint8Array(this.memory.buffer, address, Math.min(bytes, fresh - address)).fill(0);
    return address;
  }
}

/** Floats in a WebAssembly memory, until they leave it. */
class WasmBlock implements Block {
  readonly #memory: WebAssembly.Memory;
  readonly #length: number;
  #view: Float32Array;
  address: number;

  constructor(memory: WebAssembly.Memory, address: number, length: number) {
    this.#memory = memory;
    this.#length = length;
    this.address = address;
    this.#view = new Float32Array(memory.buffer, address, length);
  }

  get data(): Float32Array {
    // Growing the memory empties its views, or, when it is shared, leaves them views of a buffer that is no longer its own.
    const left = this.address < 0;
    if (!left && this.#view.buffer !== this.#memory.buffer) {
      this.#view = new Float32Array(this.#memory.buffer, this.address, this.#length);
    }
    return this.#view;
  }

  /** @returns the first free byte after it */
  moveTo(address: number): number {
    if (address !== this.address) {
      new Uint8Array(this.#memory.buffer).copyWithin(address, this.address, this.address + 4 * this.#length);
      this.address = address;
      this.#view = new Float32Array(this.#memory.buffer, address, this.#length);
    }
    return align(address + 4 * this.#length);
  }

  /** From here on the numbers are an array of their own. */
  leave(): void {
    this.#view = this.data.slice();
    this.address = -1;
  }
}

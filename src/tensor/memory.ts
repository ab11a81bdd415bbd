import type { FloatArray } from './kernels/kernels.ts';

/** Numbers in an engine's memory. Take `data` anew each time: memory that grows or is tidied moves its views. */
export interface Block<A = FloatArray> {
  readonly data: A;
}

/** Where an engine keeps numbers. Some stay; the rest belongs to scopes, which open and close like brackets. */
export interface Memory {
  /** Zeros that stay as long as the engine. Not while a scope is open. */
  keepFloats(length: number): Block;
  keepBytes(length: number): Block<Int8Array>;
  /** Numbers of the innermost open scope, of any value. Without an open scope they are the garbage collector's. */
  floats(length: number): Block;
  openScope(): void;
  /** Takes back what was made since the last `openScope`, but for `leaving`: that now belongs to the scope around it. */
  closeScope(leaving: readonly Block[]): void;
  /** Takes back one block of the innermost open scope, for the next of the same length there. */
  giveBack(block: Block): void;
  /** Whether an array is a view of this memory, which scopes take back and growth moves. */
  holds(array: FloatArray): boolean;
  /** What it occupies now. */
  readonly bytes: number;
}

/** Ordinary JavaScript arrays; the garbage collector does the rest. */
export class HeapMemory implements Memory {
  readonly bytes = 0;
  readonly #makeFloats: (length: number) => FloatArray;

  constructor(makeFloats: (length: number) => FloatArray) {
    this.#makeFloats = makeFloats;
  }

  keepFloats(length: number): Block {
    return { data: this.#makeFloats(length) };
  }

  keepBytes(length: number): Block<Int8Array> {
    return { data: new Int8Array(length) };
  }

  floats(length: number): Block {
    return { data: this.#makeFloats(length) };
  }

  openScope(): void {}

  closeScope(): void {}

  giveBack(): void {}

  holds(): boolean {
    return false;
  }
}

import { mulAdd } from './simd/arithmetic.ts';
import { defineDots } from './simd/dots.ts';
import { Machine } from './simd/machine.ts';

/** How rows are compared with a query, by what they are made of. */
const comparisons = {
  float32: { kernel: 'dots', Rows: Float32Array, Query: Float32Array, Results: Float32Array, step: 16 },
  int8: { kernel: 'dotsInt8', Rows: Int8Array, Query: Int16Array, Results: Int32Array, step: 16 },
  bits: { kernel: 'differingBits', Rows: Int32Array, Query: Int32Array, Results: Int32Array, step: 4 },
} as const;

export type RowType = keyof typeof comparisons;
type Numbers = Float32Array | Int32Array | Int16Array | Int8Array;

/**
 * Rows that stay where they are compared with one query after another: in a WebAssembly memory of their own, or, where that
 * cannot be had, in an array. Float32 and int8 rows are multiplied by the query; of rows of bits, in words, those that differ
 * are counted.
 */
export class StoredRows {
  readonly count: number;
  /** Numbers of each. */
  readonly size: number;
  readonly #type: RowType;
  /** Numbers from one row to the next: they are filled up with zeros. */
  readonly #stride: number;
  readonly #rows: Numbers;
  readonly #query: Numbers;
  readonly #results: Float32Array | Int32Array;
  readonly #run: () => void;

  /** Rows of zeros, to be set. `useSimd` is false to do without WebAssembly, as where there is none. */
  constructor(type: RowType, count: number, size: number, useSimd = true) {
    const { kernel, Rows, Query, Results, step } = comparisons[type];
    this.count = count;
    this.size = size;
    this.#type = type;
    this.#stride = Math.ceil(size / step) * step;
    const lengths = [count * this.#stride, this.#stride, count];
    const sizes = [Rows, Query, Results].map(({ BYTES_PER_ELEMENT }, i) => BYTES_PER_ELEMENT * lengths[i]);
    const machine = useSimd ? startMachine() : null;
    const addresses = sizes.map((bytes) => machine?.memory.take(bytes) ?? 0);
    const bufferOf = (i: number) => machine?.memory.memory.buffer ?? new ArrayBuffer(sizes[i]);
    this.#rows = new Rows(bufferOf(0), addresses[0], lengths[0]);
    this.#query = new Query(bufferOf(1), addresses[1], lengths[1]);
    this.#results = new Results(bufferOf(2), addresses[2], lengths[2]);
    const [x, query, y] = addresses;
    this.#run = machine
      ? () => void machine.exports[kernel](y, x, query, count, this.#stride / step)
      : () => this.#runHere();
  }

  set(row: number, numbers: ArrayLike<number>): void {
    this.#rows.set(numbers, row * this.#stride);
  }

  /** A view of a row. */
  get(row: number): Numbers {
    return this.#rows.subarray(row * this.#stride, row * this.#stride + this.size);
  }

  /**
   * Of each row its product with the query, or the number of bits in which they differ. Whole numbers for int8 rows, whose
   * products with it must fit into 32 bits, and for bits. Good until the next call. [count]
   */
  compare(query: ArrayLike<number>): Float32Array | Int32Array {
    this.#query.set(query);
    this.#run();
    return this.#results;
  }

  #runHere(): void {
    const [rows, query, results] = [this.#rows, this.#query, this.#results];
    for (let r = 0, at = 0; r < this.count; r++) {
      let sum = 0;
      if (this.#type === 'bits') for (const word of query) sum += countBits(word ^ rows[at++]);
      else for (let i = 0; i < query.length; i++) sum += query[i] * rows[at++];
      results[r] = sum;
    }
  }
}

/** @returns null where there is no WebAssembly with vectors */
function startMachine(): Machine | null {
  try {
    const machine = new Machine({ rows: 1, vectors: 1 }, mulAdd);
    machine.load(defineDots);
    return machine;
  } catch {
    return null;
  }
}

/** How many bits of a word are 1. Source: Warren, Hacker's Delight, §5–1. */
function countBits(word: number): number {
  word -= (word >>> 1) & 0x55555555;
  word = (word & 0x33333333) + ((word >>> 2) & 0x33333333);
  return Math.imul((word + (word >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

import { ConfigError, expectOptions, InputError, show } from '../errors.ts';
import { StoredRows } from '../tensor/index.ts';
import type { SearchHit } from './similarity.ts';
import { expectCount, expectOneOf } from './scores.ts';

const precisions = ['float32', 'int8', 'binary'] as const;
export type IndexPrecision = (typeof precisions)[number];

export interface VectorIndexOptions {
  /**
   * What is compared first. 'float32': everything, exactly. 'int8': a byte per number, in less than half the time. 'binary': a
   * bit per number, by how many differ, in a third of it. The best of the last two are then compared exactly. Default
   * 'float32'.
   */
  precision?: IndexPrecision;
}

export interface VectorSearchOptions {
  /** How many, the best first. Default 10. */
  topK?: number;
  /**
   * How many times `topK` are compared exactly, after int8 or binary chose them. Default: 4 for int8; 20 for binary, and 200
   * vectors at least. Of the ten nearest of 6,000 sentences (all-MiniLM-L6-v2), int8 then finds all, binary 98 %, and 99.5 %
   * with 40.
   */
  rescore?: number;
}

/**
 * Vectors that are searched for those most like another, by their cosine. They are kept at length 1, row by row.
 *
 * Sources: int8 and binary with rescoring, Shakir et al. 2024, "Binary and scalar embedding quantization".
 */
export class VectorIndex {
  readonly size: number;
  /** Numbers of each vector. */
  readonly dimensions: number;
  readonly precision: IndexPrecision;
  /** [size, dimensions] */
  readonly #vectors: StoredRows;
  /** The same in bytes, with a scale for each row, or in bits, in words of 32 dimensions; null for float32. */
  readonly #rough: StoredRows | null = null;
  readonly #scales: Float32Array;

  /**
   * @param vectors as rows, or end to end in one array with their `dimensions`
   * @throws InputError unless all are of one length and finite
   */
  constructor(
    vectors: readonly ArrayLike<number>[] | { data: Float32Array; dimensions: number },
    options: VectorIndexOptions = {},
  ) {
    expectOptions('options of VectorIndex', options, ['precision']);
    const { precision = 'float32' } = options;
    this.precision = expectOneOf('precision', precision, precisions);
    const isFlat = typeof vectors === 'object' && vectors !== null && 'data' in vectors;
    const { data, dimensions } = isFlat ? vectors : endToEnd(vectors);
    if (!(Number.isSafeInteger(dimensions) && dimensions > 0) || data.length % dimensions !== 0) {
      throw new InputError({
        what: 'vectors',
        expected: `rows of ${dimensions} numbers`,
        got: `${data.length} in all`,
      });
    }
    this.dimensions = dimensions;
    this.size = data.length / dimensions;
    this.#vectors = new StoredRows('float32', this.size, dimensions);
    if (precision === 'int8') this.#rough = new StoredRows('int8', this.size, dimensions);
    if (precision === 'binary') this.#rough = new StoredRows('bits', this.size, Math.ceil(dimensions / 32));
    this.#scales = new Float32Array(precision === 'int8' ? this.size : 0);
    for (let row = 0; row < this.size; row++) {
      const unit = unitVector(data.subarray(row * dimensions, (row + 1) * dimensions), `vector ${row}`);
      this.#vectors.set(row, unit);
      if (precision === 'binary') this.#rough!.set(row, toBits(unit));
      if (precision === 'int8') this.#rough!.set(row, toWhole(unit, (this.#scales[row] = scaleTo(127, unit))));
    }
  }

  /**
   * The vectors most like one, the best first, by their exact cosine; equal ones in their order.
   *
   * @throws InputError if it is of another length; ConfigError for a bad option
   */
  search(query: ArrayLike<number>, options: VectorSearchOptions = {}): SearchHit[] {
    expectOptions('options of search', options, ['topK', 'rescore']);
    const { topK = 10, rescore } = options;
    expectCount('topK', topK, 0);
    if (query?.length !== this.dimensions) {
      const expected = `${this.dimensions} numbers, as the vectors of the index have`;
      const fix = 'use the model and the options that made the index';
      throw new InputError({ what: 'query', expected, got: `${query?.length ?? show(query)}`, fix });
    }
    const wanted = unitVector(query, 'query');
    const usual = this.precision === 'binary' ? Math.max(20, Math.ceil(LEAST_CANDIDATES / Math.max(topK, 1))) : 4;
    const chosen = this.#choose(wanted, topK, topK * expectCount('rescore', rescore ?? usual));
    const hits = chosen.map((index) => ({ index, score: this.#cosine(wanted, index) }));
    return hits.sort((a, b) => b.score - a.score || a.index - b.index).slice(0, topK);
  }

  /** Rows that may be among the best. */
  #choose(query: Float32Array, topK: number, candidates: number): number[] {
    const rough = candidates < this.size ? this.#rough : null;
    const likeness = new Float64Array(this.size);
    if (!rough) likeness.set(this.#vectors.compare(query));
    else if (this.precision === 'binary') rough.compare(toBits(query)).forEach((bits, row) => (likeness[row] = -bits));
    else {
      // As many bits as leave room for the sum.
      const most = Math.min(32767, Math.floor(2 ** 31 / (127 * this.dimensions)));
      const products = rough.compare(toWhole(query, scaleTo(most, query)));
      for (let row = 0; row < this.size; row++) likeness[row] = products[row] * this.#scales[row];
    }
    // A few more than are wanted: the lengths' rounding may still turn the order of the last.
    return largest(likeness, rough ? candidates : Math.min(topK + 16, this.size));
  }

  /** Lengths are 1 but for rounding, which is taken out here, or a vector would be 1.00000004 like itself. */
  #cosine(query: Float32Array, row: number): number {
    const vector = this.#vectors.get(row);
    const product = dot(query, vector);
    if (product === 0) return 0;
    return Math.min(Math.max(product / Math.sqrt(dot(query, query) * dot(vector, vector)), -1), 1);
  }
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

function endToEnd(rows: readonly ArrayLike<number>[]): { data: Float32Array; dimensions: number } {
  if (!Array.isArray(rows) || rows.length === 0) {
    throw new ConfigError({ what: 'VectorIndex', expected: 'one vector at least', got: show(rows) });
  }
  const dimensions = rows[0].length;
  const data = new Float32Array(rows.length * dimensions);
  rows.forEach((row, r) => {
    if (row.length !== dimensions) {
      throw new InputError({ what: `vector ${r}`, expected: `${dimensions} numbers`, got: `${row.length}` });
    }
    data.set(row, r * dimensions);
  });
  return { data, dimensions };
}

/** A vector of length 1 in its direction; zeros stay zeros. */
function unitVector(vector: ArrayLike<number>, what: string): Float32Array {
  let most = 0;
  for (let i = 0; i < vector.length; i++) {
    if (!Number.isFinite(vector[i])) throw new InputError({ what, expected: 'finite numbers', got: `${vector[i]}` });
    most = Math.max(most, Math.abs(vector[i]));
  }
  // Scaled first: the square of 1e200 is infinite, and that of 1e-200 is 0.
  let sum = 0;
  for (let i = 0; i < vector.length; i++) sum += (vector[i] / most) ** 2;
  const length = Math.sqrt(sum);
  const unit = new Float32Array(vector.length);
  if (most > 0) for (let i = 0; i < unit.length; i++) unit[i] = vector[i] / most / length;
  return unit;
}

/** What makes `most` of the largest of some numbers, when they are divided by it. */
function scaleTo(most: number, numbers: Float32Array): number {
  return numbers.reduce((largest, x) => Math.max(largest, Math.abs(x)), 0) / most;
}

const toWhole = (numbers: Float32Array, scale: number): Float32Array =>
  numbers.map((x) => (scale > 0 ? Math.round(x / scale) : 0));

/** A bit per number, 1 where it is above zero. */
function toBits(numbers: Float32Array): Int32Array {
  const bits = new Int32Array(Math.ceil(numbers.length / 32));
  numbers.forEach((x, i) => {
    if (x > 0) bits[i >> 5] |= 1 << (i & 31);
  });
  return bits;
}

/** Bits tell near vectors from far ones only roughly: so few are soon compared. */
const LEAST_CANDIDATES = 200;

/** Indices of the `count` largest numbers, in any order; of equal ones the first. */
function largest(values: Float64Array, count: number): number[] {
  if (count === 0) return [];
  // The best so far, and what came since that is better than the worst of them.
  const best = new Float64Array(2 * count);
  let [held, least] = [0, -Infinity];
  const cut = () => {
    best.subarray(0, held).sort();
    best.copyWithin(0, held - count, held);
    [held, least] = [count, best[0]];
  };
  for (const x of values) {
    if (held >= count && x <= least) continue;
    best[held++] = x;
    if (held === best.length) cut();
  }
  cut();
  const above: number[] = [];
  const equal: number[] = [];
  values.forEach((x, i) => (x > least ? above.push(i) : x === least && equal.push(i)));
  return [...above, ...equal.slice(0, count - above.length)];
}

import { ConfigError, show } from '../../errors.ts';
import { randomStream, randomUniform } from '../../tensor/index.ts';

/**
 * The numbers below n in a random order, which only the seed and the epoch decide. Source: Fisher & Yates 1938; Durstenfeld 1964.
 */
export function permutation(n: number, seed: number, epoch: number): Int32Array {
  const order = Int32Array.from({ length: n }, (_, i) => i);
  const stream = randomStream(seed, `order of epoch ${epoch}`);
  for (let last = n - 1; last > 0; last--) {
    const other = Math.floor(randomUniform(stream, last) * (last + 1));
    [order[last], order[other]] = [order[other], order[last]];
  }
  return order;
}

export interface BatchOptions {
  batchSize: number;
  /** Default true: a new order in every epoch. False keeps the order of the list exactly. */
  shuffle?: boolean;
  seed?: number;
  epoch?: number;
  /**
   * Lengths of the examples. With them, a shuffled epoch puts examples of like length into one batch (within stretches of 50
   * batches), which evens out how long steps take; there is no padding to be saved.
   */
  lengths?: ArrayLike<number>;
  /** Drop the last batch when it is not full. Default false. */
  dropLast?: boolean;
}

/** Batches whose lengths are sorted together. */
const STRETCH = 50;

/** The batches of one epoch over `count` examples, as lists of their numbers. */
export function epochBatches(count: number, options: BatchOptions): Int32Array[] {
  const { batchSize, shuffle = true, seed = 0, epoch = 0, lengths, dropLast = false } = options;
  if (!Number.isSafeInteger(batchSize) || batchSize < 1) {
    throw new ConfigError({ what: 'batchSize', expected: 'a whole number of at least 1', got: show(batchSize) });
  }
  const order = shuffle ? permutation(count, seed, epoch) : Int32Array.from({ length: count }, (_, i) => i);
  if (shuffle && lengths) {
    for (let start = 0; start < count; start += STRETCH * batchSize) {
      order.subarray(start, start + STRETCH * batchSize).sort((a, b) => lengths[a] - lengths[b]);
    }
  }
  const batches: Int32Array[] = [];
  for (let start = 0; start < count; start += batchSize) batches.push(order.slice(start, start + batchSize));
  if (dropLast && (batches.at(-1)?.length ?? batchSize) < batchSize) batches.pop();
  if (!shuffle || !lengths) return batches;
  return Array.from(permutation(batches.length, seed ^ 0x5bd1e995, epoch), (i) => batches[i]); // long ones not all in a row
}

/** Examples of a stream that does not fit into memory, in a random order within a window of `size`. */
export async function* shuffleStream<T>(
  items: AsyncIterable<T> | Iterable<T>,
  { size = 10_000, seed = 0 }: { size?: number; seed?: number } = {},
): AsyncGenerator<T> {
  if (!Number.isSafeInteger(size) || size < 1) {
    throw new ConfigError({ what: 'shuffleStream: size', expected: 'a whole number of at least 1', got: show(size) });
  }
  const stream = randomStream(seed, 'order of a stream');
  const window: T[] = [];
  let draws = 0;
  const draw = () => Math.floor(randomUniform(stream, draws++) * window.length);
  for await (const item of items) {
    if (window.length < size) {
      window.push(item);
      continue;
    }
    const i = draw();
    yield window[i];
    window[i] = item;
  }
  while (window.length > 0) {
    const i = draw();
    yield window[i];
    window[i] = window[window.length - 1];
    window.pop();
  }
}

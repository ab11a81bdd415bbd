import { ConfigError, show } from '../errors.ts';

/** From logits to scores, in float64: float32 would round a good many of them to 1. */

/** exp(x) / Σ exp(x), of numbers of any size. */
export function softmax(logits: ArrayLike<number>): Float64Array {
  const values = Float64Array.from(logits);
  const most = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = values.map((x) => Math.exp(x - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((x) => x / sum);
}

export function sigmoid(logit: number): number {
  return logit >= 0 ? 1 / (1 + Math.exp(-logit)) : Math.exp(logit) / (1 + Math.exp(logit));
}

/** The index of the largest number; of equal ones the first. */
export function argmax(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/** Indices of the largest numbers, the largest first; equal ones in their order. @param count null is all of them */
export function topIndices(values: ArrayLike<number>, count: number | null): number[] {
  const indices = Array.from(values, (_, i) => i);
  return indices.sort((a, b) => values[b] - values[a]).slice(0, count ?? indices.length);
}

/** Rows of numbers, each with a weight, as one row. */
export function weightedMean(rows: readonly ArrayLike<number>[], weights: readonly number[]): Float64Array {
  const total = weights.reduce((a, b) => a + b, 0);
  return Float64Array.from(rows[0], (_, i) => rows.reduce((sum, row, r) => sum + row[i] * (weights[r] / total), 0));
}

/** @throws ConfigError unless it is a whole number of at least `least` */
export function expectCount(option: string, value: number, least = 1): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new ConfigError({ what: option, expected: `a whole number of at least ${least}`, got: show(value) });
}

/** @throws ConfigError unless it is one of the names */
export function expectOneOf<T extends string>(option: string, value: T, names: readonly T[]): T {
  if (names.includes(value)) return value;
  throw new ConfigError({ what: option, expected: `one of ${names.join(', ')}`, got: show(value) });
}

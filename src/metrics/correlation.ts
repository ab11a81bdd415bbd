import { expectFinite, expectPairs, sumOf } from './check.ts';
import { groupsByScore } from './scores.ts';

/** Pearson's correlation coefficient, -1 to 1; NaN when either list is constant, as in scipy. At least two numbers each. */
export function pearson(a: readonly number[], b: readonly number[]): number {
  expectPairs('pearson', a, b, 2);
  expectFinite('pearson', a);
  expectFinite('pearson', b);
  if (a.every((x) => x === a[0]) || b.every((x) => x === b[0])) return NaN;
  const [x, y] = [centred(a), centred(b)];
  const dot = sumOf(x.map((value, i) => value * y[i]));
  return Math.min(Math.max(dot, -1), 1);
}

/** Deviations from the mean, divided by their Euclidean length. */
function centred(numbers: readonly number[]): number[] {
  const mean = sumOf(numbers) / numbers.length;
  const deviations = numbers.map((x) => x - mean);
  const largest = deviations.reduce((most, x) => Math.max(most, Math.abs(x)), 0); // squares of it neither vanish nor overflow
  const length = largest * Math.sqrt(sumOf(deviations.map((x) => (x / largest) ** 2)));
  return deviations.map((x) => x / length);
}

/** Spearman's rank correlation; equal numbers share the mean of their ranks. NaN when either list is constant. */
export function spearman(a: readonly number[], b: readonly number[]): number {
  expectPairs('spearman', a, b, 2);
  expectFinite('spearman', a);
  expectFinite('spearman', b);
  return pearson(ranks(a), ranks(b));
}

function ranks(numbers: readonly number[]): number[] {
  const ranks = new Array<number>(numbers.length);
  let before = 0;
  for (const group of groupsByScore(numbers)) {
    for (const i of group) ranks[i] = before + (group.length + 1) / 2;
    before += group.length;
  }
  return ranks;
}

/** Mean of the squared differences. */
export function meanSquaredError(labels: readonly number[], predictions: readonly number[]): number {
  return meanOf('meanSquaredError', labels, predictions, (difference) => difference ** 2);
}

/** Mean of the absolute differences. */
export function meanAbsoluteError(labels: readonly number[], predictions: readonly number[]): number {
  return meanOf('meanAbsoluteError', labels, predictions, Math.abs);
}

function meanOf(what: string, labels: readonly number[], predictions: readonly number[], of: (d: number) => number) {
  expectPairs(what, labels, predictions);
  expectFinite(`${what}: labels`, labels);
  expectFinite(`${what}: predictions`, predictions);
  return sumOf(labels.map((label, i) => of(label - predictions[i]))) / labels.length;
}

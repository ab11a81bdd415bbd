import { InputError, show } from '../errors.ts';

/** The name of a class: its number or its label. */
export type Label = string | number;

/** @throws InputError unless both lists have the same length, of at least `least` */
export function expectPairs(what: string, a: ArrayLike<unknown>, b: ArrayLike<unknown>, least = 1): void {
  if (a.length !== b.length) {
    throw new InputError({ what, expected: 'two lists of one length', got: `${a.length} and ${b.length}` });
  }
  if (a.length < least) {
    throw new InputError({ what, expected: `at least ${least} item${least > 1 ? 's' : ''}`, got: `${a.length}` });
  }
}

/** @throws InputError naming the first number that is NaN or infinite */
export function expectFinite(what: string, numbers: ArrayLike<number>): void {
  for (let i = 0; i < numbers.length; i++) {
    if (Number.isFinite(numbers[i])) continue;
    throw new InputError({ what: `${what}: number ${i}`, expected: 'a finite number', got: show(numbers[i]) });
  }
}

/** @throws InputError naming the first label that is neither text nor a finite number */
export function expectLabels(what: string, labels: ArrayLike<Label>): void {
  for (let i = 0; i < labels.length; i++) {
    if (typeof labels[i] === 'string' || Number.isFinite(labels[i])) continue;
    throw new InputError({ what: `${what}: label ${i}`, expected: 'text or a number', got: show(labels[i]) });
  }
}

/** Numbers by size, before text by code unit; each once. */
export function sortedLabels(labels: Iterable<Label>): Label[] {
  const rank = (label: Label) => (typeof label === 'number' ? 0 : 1);
  return [...new Set(labels)].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

/** numerator / denominator, or `otherwise` for nothing out of nothing. */
export function ratio(numerator: number, denominator: number, otherwise = 0): number {
  return denominator === 0 ? otherwise : numerator / denominator;
}

export const sumOf = (numbers: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < numbers.length; i++) sum += numbers[i];
  return sum;
};

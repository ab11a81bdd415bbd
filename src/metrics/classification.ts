import { ConfigError, show } from '../errors.ts';
import { expectLabels, expectPairs, ratio, sortedLabels, sumOf, type Label } from './check.ts';

/**
 * How often the predictions are right.
 *
 * @param labels      the true classes
 * @param predictions the predicted ones, in the same order
 * @throws InputError if the lists differ in length, are empty, or hold NaN; so do all metrics here
 */
export function accuracy(labels: readonly Label[], predictions: readonly Label[]): number {
  expectPairs('accuracy', labels, predictions);
  expectLabels('accuracy', labels);
  expectLabels('accuracy', predictions);
  return labels.filter((label, i) => label === predictions[i]).length / labels.length;
}

export interface ConfusionMatrix {
  /** Every class that occurs, sorted. */
  classes: Label[];
  /** counts[t][p]: items of true class t that were predicted as class p. */
  counts: number[][];
}

/** @param classes of the rows and columns; by default every class that occurs */
export function confusionMatrix(
  labels: readonly Label[],
  predictions: readonly Label[],
  classes?: readonly Label[],
): ConfusionMatrix {
  expectPairs('confusionMatrix', labels, predictions);
  expectLabels('confusionMatrix', labels);
  expectLabels('confusionMatrix', predictions);
  const names = classes ? [...classes] : sortedLabels([...labels, ...predictions]);
  const rowOf = new Map(names.map((name, i) => [name, i]));
  const counts = names.map(() => new Array<number>(names.length).fill(0));
  labels.forEach((label, i) => {
    const [row, column] = [rowOf.get(label), rowOf.get(predictions[i])];
    if (row !== undefined && column !== undefined) counts[row][column]++;
  });
  return { classes: names, counts };
}

export interface Scores {
  precision: number;
  recall: number;
  f1: number;
  /** Items whose true class it is. */
  support: number;
}

/** 'micro' counts items, 'macro' gives every class the same weight, 'weighted' its share of the items. */
export type Average = 'micro' | 'macro' | 'weighted';

export interface PrecisionRecallOptions {
  /** Classes that count. Default: all that occur. */
  classes?: readonly Label[];
  /** The value of nothing out of nothing: the precision of a class that was never predicted. Default 0. */
  zeroDivision?: number;
}

/** Precision, recall and F1 of each class, as scikit-learn's precision_recall_fscore_support. */
export function scoresByClass(
  labels: readonly Label[],
  predictions: readonly Label[],
  { classes, zeroDivision = 0 }: PrecisionRecallOptions = {},
): Map<Label, Scores> {
  expectPairs('scoresByClass', labels, predictions);
  expectLabels('scoresByClass', labels);
  expectLabels('scoresByClass', predictions);
  const counts = new Map<Label, Counts>();
  for (const name of classes ?? sortedLabels([...labels, ...predictions])) counts.set(name, noCounts());
  labels.forEach((label, i) => {
    const [truth, guess] = [counts.get(label), counts.get(predictions[i])];
    if (truth) truth.support++;
    if (guess) guess.predicted++;
    if (truth && label === predictions[i]) truth.right++;
  });
  return new Map([...counts].map(([name, count]) => [name, scoresOf(count, zeroDivision)]));
}

/** One number each for all classes together. */
export function precisionRecallF1(
  labels: readonly Label[],
  predictions: readonly Label[],
  average: Average = 'macro',
  options: PrecisionRecallOptions = {},
): Scores {
  if (!['micro', 'macro', 'weighted'].includes(average)) {
    throw new ConfigError({ what: 'average', expected: '"micro", "macro" or "weighted"', got: show(average) });
  }
  const byClass = scoresByClass(labels, predictions, options);
  if (average !== 'micro') return averageScores([...byClass.values()], average, options.zeroDivision);
  const names = new Set(byClass.keys());
  return scoresOf(
    {
      right: labels.filter((label, i) => label === predictions[i] && names.has(label)).length,
      predicted: predictions.filter((label) => names.has(label)).length,
      support: labels.filter((label) => names.has(label)).length,
    },
    options.zeroDivision,
  );
}

/** Means over classes: plain ones, or weighted by support; plain ones too where no class has support, as in scikit-learn. */
export function averageScores(scores: readonly Scores[], average: 'macro' | 'weighted', zeroDivision = 0): Scores {
  const support = sumOf(scores.map((score) => score.support));
  const weights = scores.map((score) => (average === 'macro' || support === 0 ? 1 : score.support));
  const mean = (key: 'precision' | 'recall' | 'f1') =>
    ratio(sumOf(scores.map((score, i) => score[key] * weights[i])), sumOf(weights), zeroDivision);
  return { precision: mean('precision'), recall: mean('recall'), f1: mean('f1'), support };
}

export interface Counts {
  /** True positives. */
  right: number;
  predicted: number;
  support: number;
}

export const noCounts = (): Counts => ({ right: 0, predicted: 0, support: 0 });

export function scoresOf({ right, predicted, support }: Counts, zeroDivision = 0): Scores {
  return {
    precision: ratio(right, predicted, zeroDivision),
    recall: ratio(right, support, zeroDivision),
    f1: ratio(2 * right, predicted + support, zeroDivision),
    support,
  };
}

/**
 * Matthews' correlation of labels and predictions, for any number of classes: 1 is perfect, 0 no better than chance (also
 * when all labels, or all predictions, are one class). Source: Gorodkin 2004; scikit-learn's matthews_corrcoef.
 */
export function matthewsCorrelation(labels: readonly Label[], predictions: readonly Label[]): number {
  const { counts } = confusionMatrix(labels, predictions);
  const total = labels.length;
  const truth = counts.map(sumOf);
  const guess = counts.map((_, column) => sumOf(counts.map((row) => row[column])));
  const products = (a: number[], b: number[]) => sumOf(a.map((x, i) => x * b[i]));
  const covariance = sumOf(counts.map((row, i) => row[i])) * total - products(truth, guess);
  const spread = (total ** 2 - products(truth, truth)) * (total ** 2 - products(guess, guess));
  return ratio(covariance, Math.sqrt(spread));
}

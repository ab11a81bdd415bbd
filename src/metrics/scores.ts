import { ConfigError, InputError, show } from '../errors.ts';
import { expectFinite, expectPairs, ratio, sumOf } from './check.ts';

/** Items with a score, the best first, those of equal score together. */
export function groupsByScore(scores: ArrayLike<number>): number[][] {
  const order = Array.from({ length: scores.length }, (_, i) => i).sort((a, b) => scores[b] - scores[a] || a - b);
  const groups: number[][] = [];
  for (const i of order) {
    const group = groups.at(-1);
    if (group !== undefined && scores[group[0]] === scores[i]) group.push(i);
    else groups.push([i]);
  }
  return groups;
}

/** @throws InputError unless every label is 0 or 1 and every score finite */
export function expectBinary(what: string, labels: readonly number[], scores: readonly number[], least = 1): void {
  expectPairs(what, labels, scores, least);
  expectFinite(`${what}: scores`, scores);
  const bad = labels.findIndex((label) => label !== 0 && label !== 1);
  if (bad >= 0) throw new InputError({ what: `${what}: label ${bad}`, expected: '0 or 1', got: show(labels[bad]) });
}

/**
 * Area under the ROC curve: how often a positive item has a higher score than a negative one, ties counting half.
 * NaN when there are only positive or only negative items.
 *
 * @param labels 0 or 1
 * @param scores higher for 1
 */
export function rocAuc(labels: readonly number[], scores: readonly number[]): number {
  expectBinary('rocAuc', labels, scores);
  const positives = sumOf(labels);
  const negatives = labels.length - positives;
  let [above, wins] = [0, 0]; // positives with a higher score
  for (const group of groupsByScore(scores)) {
    const here = sumOf(group.map((i) => labels[i]));
    wins += (group.length - here) * (above + here / 2);
    above += here;
  }
  return positives === 0 || negatives === 0 ? NaN : wins / (positives * negatives);
}

/**
 * Area under the precision-recall curve, as the mean precision at each positive item (scikit-learn's
 * average_precision_score). 0 without positive items.
 */
export function averagePrecision(labels: readonly number[], scores: readonly number[]): number {
  expectBinary('averagePrecision', labels, scores);
  let [seen, found, sum] = [0, 0, 0];
  for (const group of groupsByScore(scores)) {
    const here = sumOf(group.map((i) => labels[i]));
    seen += group.length;
    found += here;
    sum += here * (found / seen);
  }
  return ratio(sum, found);
}

/**
 * Expected calibration error: how far confidence is from accuracy, in the mean over `bins` even stretches of confidence,
 * each without its lower end. Source: Guo et al. 2017, arXiv:1706.04599, equation 3.
 *
 * @param confidences of the predictions, 0 to 1
 * @param correct     whether each was right
 */
export function calibrationError(confidences: readonly number[], correct: readonly boolean[], bins = 15): number {
  expectPairs('calibrationError', confidences, correct);
  expectFinite('calibrationError: confidences', confidences);
  if (!Number.isSafeInteger(bins) || bins < 1) {
    throw new ConfigError({
      what: 'calibrationError: bins',
      expected: 'a whole number of at least 1',
      got: show(bins),
    });
  }
  const bad = confidences.findIndex((p) => p < 0 || p > 1);
  if (bad >= 0) {
    const what = `calibrationError: confidence ${bad}`;
    throw new InputError({
      what,
      expected: '0 to 1',
      got: show(confidences[bad]),
      fix: 'give probabilities, not logits',
    });
  }
  const gaps = new Float64Array(bins); // Σ confidence - Σ correct
  confidences.forEach((p, i) => {
    gaps[Math.max(Math.ceil(p * bins) - 1, 0)] += p - Number(correct[i]);
  });
  return sumOf(gaps.map(Math.abs)) / confidences.length;
}

/** e to the mean negative log-likelihood of a token. @throws InputError for NaN, or for no tokens */
export function perplexity(negativeLogLikelihoods: readonly number[]): number {
  expectPairs('perplexity', negativeLogLikelihoods, negativeLogLikelihoods);
  expectFinite('perplexity', negativeLogLikelihoods);
  return Math.exp(sumOf(negativeLogLikelihoods) / negativeLogLikelihoods.length);
}

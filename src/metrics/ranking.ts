import { ConfigError, InputError, show } from '../errors.ts';
import { expectFinite, expectPairs, ratio, sumOf } from './check.ts';
import { averagePrecision, groupsByScore } from './scores.ts';

/** The candidates of one query. */
export interface RankedQuery {
  /** How relevant each is: 0 not at all, 1 (or more, for graded relevance) relevant. */
  relevance: readonly number[];
  /** How high each was ranked. */
  scores: readonly number[];
}

/**
 * Mean over the queries of 1 / rank of the first relevant candidate, 0 where none is among the first k. Candidates of equal
 * score rank in their order.
 */
export function meanReciprocalRank(queries: readonly RankedQuery[], k = Infinity): number {
  return meanOver('meanReciprocalRank', queries, k, (query) => {
    const first = ranked(query).findIndex((relevance) => relevance > 0);
    return first >= 0 && first < k ? 1 / (first + 1) : 0;
  });
}

/** Mean over the queries of the share of relevant candidates that are among the first k; a query without any counts 0. */
export function recallAt(queries: readonly RankedQuery[], k: number): number {
  return meanOver('recallAt', queries, k, (query) => {
    const relevant = (list: number[]) => list.filter((relevance) => relevance > 0).length;
    return ratio(relevant(ranked(query).slice(0, k)), relevant([...query.relevance]));
  });
}

/** Mean over the queries of the average precision (scikit-learn's). */
export function meanAveragePrecision(queries: readonly RankedQuery[]): number {
  return meanOver('meanAveragePrecision', queries, 1, ({ relevance, scores }) =>
    averagePrecision(
      relevance.map((grade) => Number(grade > 0)),
      scores,
    ),
  );
}

/**
 * Normalized discounted cumulative gain of the first k, the mean over the queries. Candidates of equal score share the mean
 * of their gains, as in scikit-learn's ndcg_score. Source: Järvelin & Kekäläinen 2002, with linear gains.
 */
export function ndcg(queries: readonly RankedQuery[], k = Infinity): number {
  return meanOver('ndcg', queries, k, ({ relevance, scores }) =>
    ratio(discountedGain(relevance, scores, k), discountedGain(relevance, relevance, k)),
  );
}

function discountedGain(relevance: readonly number[], scores: readonly number[], k: number): number {
  let [rank, sum] = [0, 0];
  for (const group of groupsByScore(scores)) {
    const gain = sumOf(group.map((i) => relevance[i])) / group.length;
    for (const end = rank + group.length; rank < end; rank++) if (rank < k) sum += gain / Math.log2(rank + 2);
  }
  return sum;
}

/** Relevance in the order of the scores. */
const ranked = ({ relevance, scores }: RankedQuery): number[] =>
  groupsByScore(scores)
    .flat()
    .map((i) => relevance[i]);

function meanOver(
  what: string,
  queries: readonly RankedQuery[],
  k: number,
  of: (query: RankedQuery) => number,
): number {
  if (!(k >= 1)) throw new ConfigError({ what: `${what}: k`, expected: 'at least 1', got: show(k) });
  if (queries.length === 0) throw new InputError({ what, expected: 'at least 1 query', got: '0' });
  queries.forEach(({ relevance, scores }, q) => {
    expectPairs(`${what}: query ${q}`, relevance, scores);
    expectFinite(`${what}: scores of query ${q}`, scores);
    expectFinite(`${what}: relevance of query ${q}`, relevance);
    if (relevance.every((grade) => grade >= 0)) return;
    throw new InputError({ what: `${what}: relevance of query ${q}`, expected: 'no number below 0' });
  });
  return sumOf(queries.map(of)) / queries.length;
}

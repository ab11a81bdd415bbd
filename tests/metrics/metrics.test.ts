import { describe, expect, it } from 'vitest';
import { ConfigError, InputError } from '../../src/errors.ts';
import * as m from '../../src/metrics/index.ts';
import { readFixture } from '../support/fixtures.ts';

// Every number below comes from scikit-learn, scipy, seqeval or the rules of the SQuAD script: tools/reference/metrics.py.

interface Prf {
  precision: number;
  recall: number;
  f1: number;
}
interface Oracle {
  classification: ({
    labels: m.Label[];
    predictions: m.Label[];
    classes: m.Label[];
    confusion: number[][];
    byClass: number[][];
  } & Record<'accuracy' | 'mcc', number> &
    Record<`${m.Average}${0 | 1}`, Prf>)[];
  numbers: { a: number[]; b: number[]; pearson: number | null; spearman: number | null; mse: number; mae: number }[];
  binary: { labels: number[]; scores: number[]; auc: number | null; ap: number }[];
  calibration: { p: number[]; right: boolean[]; bins: number; ece: number }[];
  ranking: ({ queries: m.RankedQuery[]; k: number } & Record<'ndcg' | 'ndcgK' | 'map' | 'mrrK' | 'recallK', number>)[];
  entities: ({
    labels: string[][];
    predictions: string[][];
    scheme: m.TagScheme | null;
    entities: [string, number, number][][];
  } & Record<m.Average, Prf>)[];
  squad: { prediction: string; answers: string[]; exact: number; f1: number }[];
}
const oracle = JSON.parse(new TextDecoder().decode(readFixture('metrics.json'))) as Oracle;

const near = (got: number, expected: number | null) => {
  if (expected === null) return expect(got).toBeNaN();
  expect(Math.abs(got - expected)).toBeLessThanOrEqual(1e-12 * Math.max(1, Math.abs(expected)));
};
const nearScores = (got: m.Scores, expected: Prf) =>
  (['precision', 'recall', 'f1'] as const).forEach((key) => near(got[key], expected[key]));

describe('classification, as scikit-learn', () => {
  it.each(oracle.classification.map((c, i) => [i, c] as const))('case %i', (_, expected) => {
    const { labels, predictions } = expected;
    near(m.accuracy(labels, predictions), expected.accuracy);
    near(m.matthewsCorrelation(labels, predictions), expected.mcc);
    expect(m.confusionMatrix(labels, predictions)).toEqual({ classes: expected.classes, counts: expected.confusion });
    const byClass = [...m.scoresByClass(labels, predictions)];
    expect(byClass.map(([label]) => label)).toEqual(expected.classes);
    byClass.forEach(([, { precision, recall, f1, support }], i) =>
      [precision, recall, f1, support].forEach((value, j) => near(value, expected.byClass[i][j])),
    );
    for (const average of ['micro', 'macro', 'weighted'] as const) {
      for (const zeroDivision of [0, 1] as const) {
        const got = m.precisionRecallF1(labels, predictions, average, { zeroDivision });
        nearScores(got, expected[`${average}${zeroDivision}`]);
      }
    }
  });

  it('counts only the classes that are asked for', () => {
    const { f1, support } = m.precisionRecallF1([0, 1, 1, 2], [0, 1, 2, 2], 'micro', { classes: [1, 2] });
    expect([f1, support]).toEqual([2 / 3, 3]);
    expect(m.confusionMatrix([0, 1], [1, 1], [1, 0]).counts).toEqual([
      [1, 0],
      [1, 0],
    ]);
  });
});

describe('classes without support, as scikit-learn and seqeval', () => {
  it('count equally in weighted means', () => {
    const options = { classes: [1, 2], zeroDivision: 1 };
    const half = { precision: 0.5, recall: 1, f1: 0.5, support: 0 };
    expect(m.precisionRecallF1([0, 0], [0, 1], 'weighted', options)).toEqual(half);
    const none = { precision: 0, recall: 1, f1: 0, support: 0 };
    expect(m.entityScores([['O']], [['B-PER']], { zeroDivision: 1 }).weighted).toEqual(none);
  });
});

describe('correlations and errors, as scipy and scikit-learn', () => {
  it.each(oracle.numbers.map((c, i) => [i, c] as const))('case %i', (_, { a, b, ...expected }) => {
    near(m.pearson(a, b), expected.pearson);
    near(m.spearman(a, b), expected.spearman);
    near(m.meanSquaredError(a, b), expected.mse);
    near(m.meanAbsoluteError(a, b), expected.mae);
  });

  it('neither overflow nor vanish', () => {
    expect(m.pearson([1e200, 2e200, 3e200], [1e-200, 2e-200, 3e-200])).toBeCloseTo(1, 12);
  });
});

describe('scores, as scikit-learn', () => {
  it.each(oracle.binary.map((c, i) => [i, c] as const))('area under curves, case %i', (_, expected) => {
    near(m.rocAuc(expected.labels, expected.scores), expected.auc);
    near(m.averagePrecision(expected.labels, expected.scores), expected.ap);
  });

  it.each(oracle.calibration.map((c, i) => [i, c] as const))(
    'calibration error, case %i',
    (_, { p, right, bins, ece }) => {
      near(m.calibrationError(p, right, bins), ece);
    },
  );

  it.each(oracle.ranking.map((c, i) => [i, c] as const))('ranking, case %i', (_, { queries, k, ...expected }) => {
    near(m.ndcg(queries), expected.ndcg);
    near(m.ndcg(queries, k), expected.ndcgK);
    near(m.meanAveragePrecision(queries), expected.map);
    near(m.meanReciprocalRank(queries, k), expected.mrrK);
    near(m.recallAt(queries, k), expected.recallK);
  });

  it('perplexity is e to the mean loss', () => {
    expect(m.perplexity([Math.log(8), Math.log(2)])).toBeCloseTo(4, 12);
  });
});

describe('entities, as seqeval', () => {
  it.each(oracle.entities.map((c, i) => [c.scheme ?? 'default', i, c] as const))('%s, case %i', (_, __, expected) => {
    const { labels, predictions } = expected;
    const scheme = expected.scheme ?? undefined;
    const found = labels.map((tags) => m.entitiesOf(tags, scheme).map(({ type, start, end }) => [type, start, end]));
    expect(found).toEqual(expected.entities);
    const report = m.entityScores(labels, predictions, scheme ? { scheme } : {});
    for (const average of ['micro', 'macro', 'weighted'] as const) {
      // Without any entity seqeval takes the mean of nothing, NaN; here that is nothing out of nothing, 0.
      const { precision, recall, f1 } = expected[average];
      nearScores(report[average], { precision: precision ?? 0, recall: recall ?? 0, f1: f1 ?? 0 });
    }
  });

  it('differ between the modes', () => {
    const tags = ['I-PER', 'O'];
    expect(m.entitiesOf(tags)).toEqual([{ type: 'PER', start: 0, end: 1 }]);
    expect(m.entitiesOf(tags, 'IOB2')).toEqual([]);
    expect(() => m.entitiesOf(['S-PER'], 'IOB2')).toThrow(InputError);
    expect(() => m.entitiesOf(tags, 'BIO' as m.TagScheme)).toThrow(ConfigError);
  });
});

describe('answers, by the rules of SQuAD', () => {
  it.each(oracle.squad.map((c) => [c.prediction, c] as const))('%j', (_, { prediction, answers, exact, f1 }) => {
    expect(m.exactMatch(prediction, answers)).toBe(exact);
    near(m.answerF1(prediction, answers), f1);
  });

  it('are summed up in per cent, with and without an answer', () => {
    const scores = m.squadScores(['a cat', '', 'dog'], [['the cat'], [], ['']]);
    near(scores.exact, 200 / 3);
    near(scores.f1, 200 / 3);
    expect(scores).toMatchObject({
      total: 3,
      hasAnswer: { exact: 100, f1: 100, total: 1 },
      noAnswer: { exact: 50, f1: 50, total: 2 },
    });
    expect(m.squadScores(['cat', 'dog'], [['cat'], []], { noAnswer: [0.2, 0.9], threshold: 0.5 }).exact).toBe(100);
    expect(m.squadScores(['cat'], [['cat']])).toEqual({ exact: 100, f1: 100, total: 1 });
  });
});

describe('bad input is refused', () => {
  const cases: [string, () => unknown][] = [
    ['lists of two lengths', () => m.accuracy([1, 2], [1])],
    ['nothing', () => m.accuracy([], [])],
    ['NaN among labels', () => m.precisionRecallF1([NaN], [0])],
    ['NaN among numbers', () => m.pearson([1, NaN], [1, 2])],
    ['one number', () => m.spearman([1], [1])],
    ['NaN among scores', () => m.rocAuc([0, 1], [0.5, NaN])],
    ['a label that is no 0 or 1', () => m.rocAuc([0, 2], [0.5, 1])],
    ['a confidence above 1', () => m.calibrationError([1.5], [true])],
    ['negative relevance', () => m.ndcg([{ relevance: [-1], scores: [1] }])],
    ['no queries', () => m.meanReciprocalRank([])],
    ['sentences of two lengths', () => m.entityScores([['O']], [['O', 'O']])],
    ['an empty tag', () => m.entityScores([['']], [['O']])],
    ['no answers', () => m.exactMatch('a', [])],
    ['NaN in a loss', () => m.perplexity([NaN])],
  ];
  it.each(cases)('%s', (_, call) => expect(call).toThrow(InputError));

  it('options without sense are a ConfigError', () => {
    expect(() => m.calibrationError([0.5], [true], 0)).toThrow(ConfigError);
    expect(() => m.recallAt([{ relevance: [1], scores: [1] }], 0)).toThrow(ConfigError);
    expect(() => m.precisionRecallF1([1], [1], 'sum' as m.Average)).toThrow(ConfigError);
  });
});

export {
  accuracy,
  confusionMatrix,
  matthewsCorrelation,
  precisionRecallF1,
  scoresByClass,
  type Average,
  type ConfusionMatrix,
  type PrecisionRecallOptions,
  type Scores,
} from './classification.ts';
export type { Label } from './check.ts';
export { meanAbsoluteError, meanSquaredError, pearson, spearman } from './correlation.ts';
export {
  entitiesOf,
  entityScores,
  type EntityReport,
  type EntityScoresOptions,
  type TaggedEntity,
  type TagScheme,
} from './entities.ts';
export { answerF1, exactMatch, squadScores, type SquadScores } from './questionAnswering.ts';
export { meanAveragePrecision, meanReciprocalRank, ndcg, recallAt, type RankedQuery } from './ranking.ts';
export { averagePrecision, calibrationError, perplexity, rocAuc } from './scores.ts';

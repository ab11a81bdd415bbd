export { epochBatches, permutation, shuffleStream, type BatchOptions } from './data/batches.ts';
export {
  readConll,
  readDocuments,
  readLabelledTexts,
  readScoredTexts,
  readSquad,
  type LabelledText,
  type QuestionExample,
  type ScoredText,
  type TaggedSentence,
} from './data/examples.ts';
export { linesOf, textOf, type Line, type TextSource } from './data/source.ts';
export { readTable, type TableFormat, type TableOptions, type TableRow } from './data/table.ts';
export { heatmap, lineChart, type ChartOptions, type Series } from './curve.ts';
export { schedule, type Schedule, type ScheduleName, type ScheduleOptions } from './schedules.ts';
export {
  binaryCrossEntropy,
  cosineEmbeddingLoss,
  crossEntropy,
  distillationLoss,
  meanOf,
  meanSquared,
  multipleNegativesRanking,
  tripletLoss,
  type CrossEntropyOptions,
} from './losses.ts';
export {
  Adam,
  AdamW,
  clipFactor,
  gradientNorm,
  isBiasOrNorm,
  Optimizer,
  SGD,
  type AdamOptions,
  type OptimizerOptions,
  type SgdOptions,
  type Trainable,
} from './optimizers.ts';
export * from './recipes/index.ts';
export {
  Trainer,
  type LogRecord,
  type Metrics,
  type Settings,
  type Progress,
  type TrainerOptions,
  type TrainingResult,
  type TrainingStore,
} from './trainer.ts';

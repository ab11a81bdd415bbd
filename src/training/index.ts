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
export { lineChart, type ChartOptions, type Series } from './curve.ts';
export { schedule, type Schedule, type ScheduleName, type ScheduleOptions } from './schedules.ts';

export { attentionRollout, type AttentionRollout, type AttentionRolloutOptions } from './attentionRollout.ts';
export {
  extractiveSummarization,
  type ExtractiveSummarization,
  type SummarizationOptions,
  type Summary,
  type SummarySentence,
} from './extractiveSummarization.ts';
export {
  featureExtraction,
  type EmbeddingOptions,
  type FeatureExtraction,
  type TokenEmbeddingOptions,
  type TokenEmbeddings,
} from './featureExtraction.ts';
export { fillMask, type FillMask, type FillMaskOptions, type FillMaskResult, type MaskFilling } from './fillMask.ts';
export {
  integratedGradients,
  type IntegratedGradients,
  type IntegratedGradientsOptions,
} from './integratedGradients.ts';
export { loadTask, type Head, type TaskModel, type TaskOptions } from './load.ts';
export { pipeline, type TaskName, type Tasks } from './pipeline.ts';
export {
  questionAnswering,
  type Answer,
  type QuestionAnswering,
  type QuestionAnsweringOptions,
  type QuestionAnsweringResult,
  type QuestionInContext,
} from './questionAnswering.ts';
export { rerank, type RankedDocument, type Rerank, type RerankOptions } from './rerank.ts';
export type { Inputs, Overflow, RunOptions, Task, TextReport } from './run.ts';
export { search, type SearchResult, type SemanticSearch, type TextIndex } from './search.ts';
export { SentenceEncoder } from './autoSentenceEncoder.ts';
export { BertSentenceEncoder, type EncodeTextOptions, type SentenceEmbedding } from './sentenceEncoder.ts';
export { poolings, readSentenceModules, type PoolingMode, type SentenceModules } from './sentenceModules.ts';
export { sentenceSimilarity, type SentenceSimilarities, type SentenceSimilarity } from './sentenceSimilarity.ts';
export { sentenceVectors } from './sentenceVectors.ts';
export { StaticEmbeddings } from './staticEmbeddings.ts';
export { cosineSimilarity, searchVectors, type SearchHit } from './similarity.ts';
export {
  textClassification,
  type LabelScore,
  type TextClassification,
  type TextClassificationOptions,
  type TextClassificationResult,
} from './textClassification.ts';
export {
  tokenClassification,
  type Entity,
  type TokenClassification,
  type TokenClassificationOptions,
  type TokenClassificationResult,
} from './tokenClassification.ts';
export { VectorIndex, type IndexPrecision, type VectorIndexOptions, type VectorSearchOptions } from './vectorIndex.ts';
export type { TextOrPair } from './windows.ts';
export {
  zeroShotClassification,
  type ZeroShotClassification,
  type ZeroShotOptions,
  type ZeroShotResult,
} from './zeroShotClassification.ts';

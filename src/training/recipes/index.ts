export {
  Distillation,
  EmbeddingDistillation,
  MaskedLMDistillation,
  type DistillationOptions,
  type EmbeddingDistillationOptions,
  type LogitsRecipe,
  type MaskedLMDistillationOptions,
} from './distillation.ts';
export { MaskedLanguageModelling, type MaskedLMOptions, type TokenExample } from './maskedLM.ts';
export { maskStream, maskTokens, type MaskedTokens, type MaskingOptions, type MaskVocabulary } from './masking.ts';
export { MultipleChoice, type ChoiceExample } from './multipleChoice.ts';
export { PreTraining, sentencePairs, type SentencePairOptions } from './pretraining.ts';
export {
  importanceByGradient,
  importanceByNorm,
  prunedFiles,
  type Importance,
  type PruningOptions,
} from './pruning.ts';
export { fineTune, setDropout, stepsOf, type ExampleBatch, type FineTuneOptions, type Recipe } from './recipe.ts';
export {
  SentenceSimilarity,
  similarityExample,
  similarityMetrics,
  type SimilarityExample,
  type SimilarityLoss,
  type SimilarityOptions,
} from './similarity.ts';
export { TextClassification, TextRegression, type TextRecipeOptions } from './textClassification.ts';
export { TokenClassification } from './tokenClassification.ts';
export { AnswerExtraction, type QuestionRecipeOptions } from './questionAnswering.ts';
export { prunedVocabulary, type PrunedVocabulary } from './vocabulary.ts';

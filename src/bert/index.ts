export { adapterFiles, addLora, loadAdapter, loadWithAdapter, mergeAdapters, type LoraTraining } from './adapters.ts';
export {
  AutoModel,
  AutoModelForMaskedLM,
  AutoModelForMultipleChoice,
  AutoModelForNextSentencePrediction,
  AutoModelForPreTraining,
  AutoModelForQuestionAnswering,
  AutoModelForSequenceClassification,
  AutoModelForTokenClassification,
  configClassOf,
  loadAnyModel,
  readAnyConfig,
  type AutoClass,
} from './auto.ts';
export { openCheckpoint, type CheckpointStore, type LoadReport } from './checkpoint.ts';
export { BertConfig, type BertConfigOptions, type ConfigClass } from './config.ts';
export { BertEmbeddings } from './embeddings.ts';
export { BertEncoder, BertLayer } from './encoder.ts';
export { positionsOf, type Family } from './families/family.ts';
export { openModelFiles } from './files.ts';
export * from './families/index.ts';
export { MaskedLanguageModelHead } from './headModules.ts';
export * from './heads.ts';
export type { Labels } from './losses.ts';
export { BertModel, BertPooler } from './model.ts';
export { modelInputs } from './modelInputs.ts';
export * from './outputs.ts';
export { BertPreTrainedModel, randomWeights, type LoadOptions, type ModelClass } from './preTrainedModel.ts';
export { quantizationConfig, quantizeRows, quantizeTensors, toInt8Range } from './quantization.ts';
export { filesOf, modelFiles } from './save.ts';

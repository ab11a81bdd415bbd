export { MultiHeadSelfAttention, SelfAttention, type Relations, type Trace } from './attention.ts';
export { Dropout } from './dropout.ts';
export { Embedding } from './embedding.ts';
export { FeedForward, GatedFeedForward } from './feedForward.ts';
export { LayerNorm } from './layerNorm.ts';
export { Linear } from './linear.ts';
export { Module, type Hook, type Observer } from './module.ts';
export { LoraAdapter, type LoraOptions } from './lora.ts';
export { PackedBatch, type ModelInputs } from './packedBatch.ts';
export { RotarySelfAttention } from './rotaryAttention.ts';
export {
  MatrixParameter,
  Parameter,
  RandomStore,
  renamed,
  Weights,
  type Initializer,
  type ParameterStore,
  type Renames,
} from './weights.ts';

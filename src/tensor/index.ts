export {
  checkpoint,
  record,
  readGradient,
  withGradients,
  withoutGradients,
  zeroGradients,
  type Backward,
  type Differentiable,
  type RunBackward,
  type StepSeed,
} from './autograd.ts';
export { Engine, type EngineInfo, type EngineOptions, type FloatType } from './engine.ts';
export { isActivationName } from './kernels/activations.ts';
export { backwardKernels } from './backward.ts';
export type { AdamStep, AttentionDropout, BackwardKernels, DropoutMask } from './kernels/backwardKernels.ts';
export { Matrix } from './matrix.ts';
export type {
  ActivationName,
  FloatArray,
  FunctionName,
  Kernels,
  PackedMatrix,
  Pooling,
  WeightType,
} from './kernels/kernels.ts';
export type { PositionKernels, RotaryShape } from './kernels/positionKernels.ts';
export { referencePositions } from './kernels/positions.ts';
export { positionKernels } from './positionKernels.ts';
export { referenceKernels } from './kernels/reference.ts';
export { referenceBackward } from './kernels/referenceBackward.ts';
export { erf } from './kernels/special.ts';
export {
  attention,
  type AttentionOptions,
  type AttentionResult,
  type TokenKeys,
  type Window,
} from './ops/attention.ts';
export { convolution, type ConvolutionOptions } from './ops/convolution.ts';
export { crossEntropy, crossEntropyRows, type CrossEntropyOptions } from './ops/crossEntropy.ts';
export { dropout } from './ops/dropout.ts';
export {
  abs,
  activation,
  activationInPlace,
  add,
  divide,
  exp,
  gate,
  log,
  multiply,
  scale,
  softplus,
  sqrt,
  subtract,
} from './ops/elementwise.ts';
export { concatRows, embedding, embeddingSum, gather, selectColumns, selectRows } from './ops/gather.ts';
export { layerNorm } from './ops/layerNorm.ts';
export { binaryCrossEntropy, meanSquared } from './ops/losses.ts';
export { linear, matmul } from './ops/linear.ts';
export {
  disentangledBias,
  relativeBias,
  relativeBuckets,
  rotary,
  rotationOf,
  type DisentangledOptions,
  type Places,
  type RotaryOptions,
  type Rotation,
} from './ops/positions.ts';
export { logSoftmax, mean, normalizeRows, poolSequences, softmax, sum } from './ops/reduce.ts';
export { fillNormal, fillUniform, randomStream, randomUniform } from './random.ts';
export type { Shape } from './shape.ts';
export { StoredRows, type RowType } from './storedRows.ts';
export { Tensor, type NestedNumbers } from './tensor.ts';

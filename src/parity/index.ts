export {
  compareTensors,
  compareWithReference,
  type CompareOptions,
  type Comparison,
  type NumericTensor,
  type Report,
} from './compare.ts';
export { firstDivergingModule } from './divergence.ts';
export { isInputName, isLabelName, isOutputName, parseReference, type Reference } from './reference.ts';
export { runReference, type NamedTensor, type RunOptions } from './run.ts';

import { activationInPlace, add, linear, type ActivationName, type Tensor } from '../tensor/index.ts';
import type { LoraAdapter } from './lora.ts';
import { Module } from './module.ts';
import type { MatrixParameter, Parameter, Weights } from './weights.ts';

/** A fully connected layer. Parameters: weight [outFeatures, inFeatures], and, unless it has none, bias [outFeatures]. */
export class Linear extends Module {
  readonly weight: MatrixParameter;
  readonly bias: Parameter | null;
  /** Changes of low rank that are added to its output; mostly none. */
  adapters: LoraAdapter[] = [];

  constructor(weights: Weights, inFeatures: number, outFeatures: number, { bias = true } = {}) {
    super(weights.path);
    this.weight = weights.getMatrix('weight', outFeatures, inFeatures, 'normal');
    this.bias = bias ? weights.get('bias', [outFeatures], 'zeros') : null;
  }

  /** x: [rows, inFeatures] → [rows, outFeatures]; the activation, if any, is fused into the product. */
  forward(x: Tensor, activation: ActivationName = 'linear'): Tensor {
    if (this.adapters.length === 0) return linear(x, this.weight, this.bias, activation);
    const sum = this.adapters.reduce((y, adapter) => add(y, adapter.forward(x)), linear(x, this.weight, this.bias));
    return activation === 'linear' ? sum : activationInPlace(sum, activation);
  }
}

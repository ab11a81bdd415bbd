import { linear, type ActivationName, type Tensor } from '../tensor/index.ts';
import { Module } from './module.ts';
import type { Parameter, Weights } from './weights.ts';

/** A fully connected layer. Parameters: weight [outFeatures, inFeatures], bias [outFeatures]. */
export class Linear extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;

  /** @param weight one that another module owns, for tied weights; by default it is read from `weights` */
  constructor(weights: Weights, inFeatures: number, outFeatures: number, weight?: Parameter) {
    super(weights.path);
    this.weight = weight ?? weights.get('weight', [outFeatures, inFeatures], 'normal');
    this.bias = weights.get('bias', [outFeatures], 'zeros');
  }

  /** x: [rows, inFeatures] → [rows, outFeatures]; the activation, if any, is fused into the product. */
  forward(x: Tensor, activation: ActivationName = 'linear'): Tensor {
    return linear(x, this.weight, this.bias, activation);
  }
}

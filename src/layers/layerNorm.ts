import { layerNorm, type Tensor } from '../tensor/index.ts';
import { Module } from './module.ts';
import type { Parameter, Weights } from './weights.ts';

/** Layer normalization (Ba et al. 2016). Parameters: weight [size], and, unless it has none, bias [size]. */
export class LayerNorm extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  readonly eps: number;

  constructor(weights: Weights, size: number, eps: number, { bias = true } = {}) {
    super(weights.path);
    this.weight = weights.get('weight', [size], 'ones');
    this.bias = bias ? weights.get('bias', [size], 'zeros') : null;
    this.eps = eps;
  }

  /** x, residual: [rows, size] → normalized x + residual, [rows, size] */
  forward(x: Tensor, residual: Tensor | null = null): Tensor {
    return layerNorm(x, this.weight, this.bias, this.eps, residual);
  }
}

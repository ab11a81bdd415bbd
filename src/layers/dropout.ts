import { ConfigError } from '../errors.ts';
import type { Tensor } from '../tensor/index.ts';
import { Module } from './module.ts';

/** Dropout (Srivastava et al. 2014). The identity in evaluation, which is the only mode so far. */
export class Dropout extends Module {
  readonly probability: number;

  constructor(probability: number) {
    super('');
    this.probability = probability;
  }

  forward(x: Tensor): Tensor {
    if (!this.training || this.probability === 0) return x;
    throw new ConfigError({
      what: 'Dropout',
      expected: 'evaluation mode',
      got: 'training mode',
      fix: 'call model.eval()',
    });
  }
}

import type { ActivationName, Tensor } from '../tensor/index.ts';
import type { Linear } from './linear.ts';
import { Module } from './module.ts';

/** The position-wise feed-forward network: down(activation(up(x))). Source: Vaswani et al. 2017, §3.3. */
export class FeedForward extends Module {
  readonly up: Linear;
  readonly down: Linear;
  readonly activation: ActivationName;

  constructor(up: Linear, down: Linear, activation: ActivationName) {
    super('');
    this.up = up;
    this.down = down;
    this.activation = activation;
  }

  /** x: [tokens, hiddenSize] → [tokens, hiddenSize], by way of [tokens, intermediateSize] */
  forward(x: Tensor): Tensor {
    return this.down.forward(this.up.forward(x, this.activation));
  }
}

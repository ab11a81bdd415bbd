import { gate, multiply, type ActivationName, type Tensor } from '../tensor/index.ts';
import { Dropout } from './dropout.ts';
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

/**
 * A gated feed-forward network: down(activation(first half of up(x)) · second half). With a layer of its own for the half that
 * is activated, `gate`, it is down(activation(gate(x)) · up(x)). Source: Shazeer 2020, arXiv:2002.05202.
 */
export class GatedFeedForward extends Module {
  readonly up: Linear;
  readonly down: Linear;
  readonly activation: ActivationName;
  readonly gate: Linear | null;
  /** Of what the gate lets through. */
  readonly dropout: Dropout;

  constructor(
    name: string,
    up: Linear,
    down: Linear,
    activation: ActivationName,
    { gate = null, dropout = 0 }: { gate?: Linear | null; dropout?: number } = {},
  ) {
    super(name);
    this.dropout = new Dropout(dropout);
    this.up = up;
    this.down = down;
    this.activation = activation;
    this.gate = gate;
  }

  /** x: [tokens, hiddenSize] → [tokens, hiddenSize] */
  forward(x: Tensor, keys?: Int32Array): Tensor {
    const gated = this.gate
      ? multiply(this.gate.forward(x, this.activation), this.up.forward(x))
      : gate(this.up.forward(x), this.activation);
    return this.down.forward(this.dropout.forward(gated, keys));
  }
}

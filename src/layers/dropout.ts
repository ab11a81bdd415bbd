import { dropout, type Tensor } from '../tensor/index.ts';
import { Module } from './module.ts';

/** Dropout (Srivastava et al. 2014). The identity in evaluation. In training it draws by the seed of `withGradients`. */
export class Dropout extends Module {
  probability: number;

  constructor(probability: number) {
    super('');
    this.probability = probability;
  }

  /**
   * @param x    [rows, …]
   * @param keys what names each row, `PackedBatch.tokenKeys` or `sequenceKeys`; by default its number
   */
  forward(x: Tensor, keys?: Int32Array): Tensor {
    if (!this.training || this.probability === 0) return x;
    return dropout(x, this.probability, keys ?? Int32Array.from({ length: x.shape[0] }, (_, row) => row));
  }
}

import { embedding, type Tensor } from '../tensor/index.ts';
import { Module } from './module.ts';
import type { MatrixParameter, Weights } from './weights.ts';

/** A table of vectors looked up by id. Parameter: weight [entries, size]. */
export class Embedding extends Module {
  readonly weight: MatrixParameter;
  /** The row that training leaves as it is, as in PyTorch; null when there is none. */
  readonly paddingId: number | null;

  /** @param paddingId the row that starts at zero and has no gradient */
  constructor(weights: Weights, entries: number, size: number, paddingId: number | null = null) {
    super(weights.path);
    this.paddingId = paddingId;
    const initializer = paddingId === null ? 'normal' : { normalExceptRow: paddingId };
    this.weight = weights.getMatrix('weight', entries, size, initializer);
  }

  /** ids: [rows] → [rows, size] */
  forward(ids: Int32Array): Tensor {
    return embedding(this.weight, ids, this.name, this.paddingId);
  }
}

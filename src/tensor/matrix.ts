import { ConfigError } from '../errors.ts';
import type { Engine } from './engine.ts';
import type { PackedMatrix, WeightType } from './kernels/kernels.ts';
import { expectShape, type Shape } from './shape.ts';
import type { Tensor } from './tensor.ts';

/**
 * A weight matrix [outFeatures, inFeatures] in the order in which its engine's kernels read it, float32 or int8. It lives as
 * long as the engine. Linear layers multiply by it, embeddings look its rows up; `toTensor` gives it in the usual order.
 */
export class Matrix {
  readonly engine: Engine;
  readonly shape: Shape;
  readonly packed: PackedMatrix;

  constructor(engine: Engine, packed: PackedMatrix) {
    this.engine = engine;
    this.packed = packed;
    this.shape = [packed.outFeatures, packed.inFeatures];
  }

  get dtype(): WeightType {
    return this.packed.dtype;
  }

  /** Number of weights. */
  get size(): number {
    return this.shape[0] * this.shape[1];
  }

  /** Gives it new numbers, row-major. @throws ShapeError unless there are as many as it has; ConfigError for int8 */
  set(rows: ArrayLike<number>): void {
    expectShape('Matrix.set: rows', [rows.length], [this.size]);
    if (this.dtype !== 'f32') {
      throw new ConfigError({
        what: 'Matrix.set',
        expected: 'a float matrix',
        got: this.dtype,
        fix: 'load with dtype "f32"',
      });
    }
    this.engine.kernels.packRows(this.packed, 0, this.engine.tensor(rows, this.shape).data);
  }

  /** Its numbers, row-major, int8 ones times their scales: a copy. */
  toTensor(): Tensor {
    const y = this.engine.empty(this.shape);
    const rows = Int32Array.from({ length: this.shape[0] }, (_, row) => row);
    this.engine.kernels.unpackRows(y.data, this.packed, rows);
    return y;
  }
}

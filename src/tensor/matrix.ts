import { ConfigError } from '../errors.ts';
import type { Engine } from './engine.ts';
import type { FloatArray, PackedMatrix, WeightType } from './kernels/kernels.ts';
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
  /** The gradient that `withGradients` adds to, packed as `data`, with zeros for padding; null until it is wanted. */
  grad: Tensor | null = null;

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

  /** Its numbers as they are packed, for loops over them all; padding is zero and must stay so. @throws ConfigError for int8 */
  get data(): FloatArray {
    this.#expectFloats('Matrix.data');
    return this.packed.data as FloatArray;
  }

  /** Gives it new numbers, row-major. @throws ShapeError unless there are as many as it has; ConfigError for int8 */
  set(rows: ArrayLike<number>): void {
    expectShape('Matrix.set: rows', [rows.length], [this.size]);
    this.#expectFloats('Matrix.set');
    this.engine.kernels.packRows(this.packed, 0, this.engine.tensor(rows, this.shape).data);
  }

  /** Its numbers, row-major, int8 ones times their scales: a copy. */
  toTensor(): Tensor {
    return this.#rowsOf(this.packed);
  }

  /** Its gradient, row-major: a copy; null when there is none. */
  gradToTensor(): Tensor | null {
    const { grad, packed } = this;
    if (!grad) return null;
    const { outFeatures, inFeatures, dtype } = packed;
    return this.#rowsOf({
      ...{ outFeatures, inFeatures, dtype, scale: null },
      get data() {
        return grad.data;
      },
    });
  }

  #rowsOf(packed: PackedMatrix): Tensor {
    const y = this.engine.empty(this.shape);
    const rows = Int32Array.from({ length: this.shape[0] }, (_, row) => row);
    this.engine.kernels.unpackRows(y.data, packed, rows);
    return y;
  }

  #expectFloats(what: string): void {
    if (this.dtype === 'f32') return;
    throw new ConfigError({ what, expected: 'a float matrix', got: this.dtype, fix: 'load with dtype "f32"' });
  }
}

import { ScopeError, ShapeError } from '../errors.ts';
import type { Engine, Scope } from './engine.ts';
import type { FloatArray } from './kernels/kernels.ts';
import type { Block } from './memory.ts';
import { showShape, sizeOf, type Shape } from './shape.ts';

/**
 * A block of numbers with a shape: contiguous, row-major, float32 (or float64 on a float64 engine).
 * It carries the engine whose memory holds it and whose kernels compute with it. It has no arithmetic of its own:
 * that is in `ops/`. Tensors are made by an engine, `engine.tensor([1, 2, 3, 4], [2, 2])`.
 */
export class Tensor {
  readonly engine: Engine;
  readonly shape: Shape;
  /** The scope whose end takes this tensor's memory back; null when nothing does. */
  scope: Scope | null;
  /** Where the numbers are; shared by reshaped tensors. */
  readonly block: Block;
  /** The gradient that `withGradients` adds to, of the same layout; null until it is wanted. */
  grad: Tensor | null = null;

  constructor(engine: Engine, block: Block, shape: Shape, scope: Scope | null) {
    if (block.data.length !== sizeOf(shape)) {
      throw new ShapeError({
        what: 'Tensor',
        expected: `${sizeOf(shape)} numbers for shape ${showShape(shape)}`,
        got: `${block.data.length}`,
      });
    }
    this.engine = engine;
    this.shape = shape;
    this.scope = scope;
    this.block = block;
  }

  /**
   * The numbers, not a copy. Take it anew each time: it is a view, good until the tensor's scope closes.
   * @throws ScopeError after the scope that owned the tensor has closed
   */
  get data(): FloatArray {
    this.#expectOpen();
    return this.block.data;
  }

  get size(): number {
    return this.block.data.length;
  }

  get rank(): number {
    return this.shape.length;
  }

  /** The same numbers under another shape; nothing is copied. */
  reshape(shape: Shape): Tensor {
    this.#expectOpen();
    return new Tensor(this.engine, this.block, shape, this.scope);
  }

  /** As nested plain arrays, for printing and for JSON. */
  toArray(): NestedNumbers {
    const nest = (axis: number, begin: number, size: number): NestedNumbers => {
      if (axis === this.rank) return this.data[begin];
      const step = size / this.shape[axis];
      return Array.from({ length: this.shape[axis] }, (_, i) => nest(axis + 1, begin + i * step, step));
    };
    return nest(0, 0, this.size);
  }

  #expectOpen(): void {
    if (this.scope?.closed) {
      throw new ScopeError({
        what: `Tensor ${showShape(this.shape)}`,
        expected: 'use inside the scope it was made in',
        got: 'use after that scope closed',
        fix: 'return the tensor from the scope, or copy its data before the end',
      });
    }
  }
}

export type NestedNumbers = number | NestedNumbers[];

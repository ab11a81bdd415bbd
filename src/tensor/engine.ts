import { ScopeError, ShapeError } from '../errors.ts';
import type { FloatArray, Kernels } from './kernels/kernels.ts';
import { referenceKernels } from './kernels/reference.ts';
import { sizeOf, type Shape } from './shape.ts';
import { Tensor } from './tensor.ts';

export type FloatType = 'float32' | 'float64';

export interface EngineOptions {
  /** Working precision. float64 is for proofs; it needs twice the memory. Default float32. */
  dtype?: FloatType;
  kernels?: Kernels;
}

export interface EngineInfo {
  kernels: string;
  dtype: FloatType;
  threads: number;
  /** Why something faster is not in use, one reason per feature. */
  notes: string[];
}

/** A stretch of computation whose tensors are given back together at its end. */
export interface Scope {
  readonly parent: Scope | null;
  closed: boolean;
}

/** A kernel set with the memory that it computes in. Every tensor belongs to one; there is no global engine. */
export class Engine {
  readonly kernels: Kernels;
  readonly dtype: FloatType;
  #scope: Scope | null = null;

  constructor({ dtype = 'float32', kernels = referenceKernels }: EngineOptions = {}) {
    this.dtype = dtype;
    this.kernels = kernels;
  }

  /** A tensor of zeros in the open scope, if there is one. */
  zeros(shape: Shape): Tensor {
    return this.tensor(this.#allocate(sizeOf(shape)), shape);
  }

  /** A tensor of the given numbers, copied and converted unless they already are an array of the engine's dtype. */
  tensor(values: ArrayLike<number>, shape: Shape): Tensor {
    const fits = values instanceof (this.dtype === 'float32' ? Float32Array : Float64Array);
    const data = fits ? (values as FloatArray) : this.#allocate(values.length);
    if (!fits) data.set(values);
    return new Tensor(this, data, shape, this.#scope);
  }

  /**
   * Runs `body` with its own memory. The tensors in what it returns (itself, or inside arrays and plain objects) move to
   * the enclosing scope; every other tensor made inside is given back, and throws a ScopeError when used again.
   * `body` must not be asynchronous: another scope could open and close in the middle of it.
   */
  scope<T>(body: () => T): T {
    const scope: Scope = { parent: this.#scope, closed: false };
    this.#scope = scope;
    try {
      const result = body();
      if (result instanceof Promise) {
        result.catch(() => {}); // whatever it still runs into comes of the scope's being closed
        throw new ScopeError({ what: 'Engine.scope', expected: 'a synchronous body', got: 'an async one' });
      }
      for (const tensor of tensorsIn(result)) if (tensor.scope === scope) tensor.scope = scope.parent;
      return result;
    } finally {
      this.#scope = scope.parent;
      scope.closed = true;
    }
  }

  info(): EngineInfo {
    return {
      kernels: this.kernels.name,
      dtype: this.dtype,
      threads: 1,
      notes: ['SIMD: this version has reference kernels only', 'threads: this version computes on one thread'],
    };
  }

  #allocate(length: number): FloatArray {
    return this.dtype === 'float32' ? new Float32Array(length) : new Float64Array(length);
  }
}

/** @throws ShapeError unless all tensors live in one engine; returns it. */
export function sharedEngine(op: string, first: Tensor, ...others: (Tensor | null | undefined)[]): Engine {
  for (const other of others) {
    if (other && other.engine !== first.engine) {
      throw new ShapeError({
        what: op,
        expected: 'all operands on one engine',
        got: `${first.engine.dtype} ${first.engine.kernels.name} and ${other.engine.dtype} ${other.engine.kernels.name}`,
        fix: 'make every tensor and model with the same engine',
      });
    }
  }
  return first.engine;
}

function* tensorsIn(value: unknown): Generator<Tensor> {
  if (value instanceof Tensor) yield value;
  else if (Array.isArray(value)) for (const item of value) yield* tensorsIn(item);
  else if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    for (const item of Object.values(value)) yield* tensorsIn(item);
  }
}

import { ConfigError, ScopeError, ShapeError, show } from '../errors.ts';
import type { Tape } from './autograd.ts';
import type { BackwardKernels } from './kernels/backwardKernels.ts';
import type { FloatArray, Kernels, WeightType } from './kernels/kernels.ts';
import type { PositionKernels } from './kernels/positionKernels.ts';
import { referenceKernels } from './kernels/reference.ts';
import { Matrix } from './matrix.ts';
import { HeapMemory, type Memory } from './memory.ts';
import { sizeOf, type Shape } from './shape.ts';
import { startSimd, type Simd } from './simd/start.ts';
import { Tensor } from './tensor.ts';
import { coreCount, type ThreadPool } from './threads/pool.ts';

export type FloatType = 'float32' | 'float64';

export interface EngineOptions {
  /** Working precision. float64 is for proofs: it runs on the reference kernels, and needs twice the memory. Default float32. */
  dtype?: FloatType;
  /**
   * 'auto' takes the WebAssembly kernels where they can be had, else the reference kernels; or kernels of your own, which need
   * those of `BackwardKernels` too for training, unless they read weights row by row. Default 'auto'.
   */
  kernels?: 'auto' | 'simd' | 'reference' | Kernels | (Kernels & Partial<BackwardKernels & PositionKernels>);
  /** Threads that share the work, the calling one included; 'auto' is one per core, 8 at most. Default 'auto'. */
  threads?: number | 'auto';
  /** In browsers whose page policy forbids blob: workers: the address of a script with the text of `workerSource`. */
  workerUrl?: string;
  /** Ask V8 for pairs of vectors (Node 24 and later) or fused multiply-add (Node 20): flags of the whole process. Default false. */
  turbo?: boolean;
}

export interface EngineInfo {
  kernels: string;
  dtype: FloatType;
  /** How products are added, which alone decides the last bits of a forward pass. */
  arithmetic: string;
  /** Rows and columns of a product that are summed at a time. */
  tile: string | null;
  /** Whether V8 was asked for more than it has by itself. */
  turbo: boolean;
  threads: number;
  /** Of the engine's own memory, in bytes; 0 when that is the garbage collector's. */
  memory: number;
  /** Why something faster is not in use, one reason per feature. */
  notes: string[];
}

/** Activations reach 2047 and weights -128: so many products stay within int32. */
const LONGEST_INT8_SUM = 8192;

/** A stretch of computation whose tensors are given back together at its end. */
export interface Scope {
  readonly parent: Scope | null;
  closed: boolean;
}

/** A kernel set with the memory that it computes in. Every tensor belongs to one; there is no global engine. */
export class Engine {
  readonly kernels: Kernels;
  readonly dtype: FloatType;
  readonly #memory: Memory;
  readonly #simd: Simd | null;
  readonly #notes: string[];
  #scope: Scope | null = null;
  /** Where ops are recorded for their gradients; null, as in inference, when none are wanted. See `withGradients`. */
  tape: Tape | null = null;

  /** @throws ConfigError if 'simd' is asked for and cannot be had */
  constructor({ dtype = 'float32', kernels = 'auto', threads = 'auto', turbo = false, workerUrl }: EngineOptions = {}) {
    this.dtype = dtype;
    const wanted = kernels === 'simd' || kernels === 'auto';
    const count = threads === 'auto' ? coreCount() : threads;
    if (!Number.isSafeInteger(count) || count < 1 || count > 64) {
      throw new ConfigError({ what: 'Engine: threads', expected: '"auto", or 1 to 64', got: show(threads) });
    }
    let simd: Simd | string = 'not asked for';
    if (wanted && dtype === 'float64') simd = 'float64 has reference kernels only';
    else if (wanted) simd = startSimd({ threads: count, turbo, workerUrl });
    if (kernels === 'simd' && typeof simd === 'string') {
      throw new ConfigError({ what: 'Engine: kernels', expected: 'simd', got: simd, fix: 'use "auto" or "reference"' });
    }
    this.#simd = typeof simd === 'object' ? simd : null;
    this.#notes = typeof simd === 'object' ? simd.notes : [`SIMD: ${simd}`];
    this.kernels = this.#simd?.kernels ?? (typeof kernels === 'object' ? kernels : referenceKernels);
    const makeFloats = (length: number) => (dtype === 'float32' ? new Float32Array(length) : new Float64Array(length));
    this.#memory = this.#simd?.memory ?? new HeapMemory(makeFloats);
    if (this.#simd?.pool) abandonedPools.register(this, this.#simd.pool);
  }

  /** A tensor of zeros. */
  zeros(shape: Shape): Tensor {
    const tensor = this.empty(shape);
    tensor.data.fill(0);
    return tensor;
  }

  /** A tensor of whatever numbers were there before, for an op that writes every one. */
  empty(shape: Shape): Tensor {
    return new Tensor(this, this.#memory.floats(sizeOf(shape)), shape, this.#scope);
  }

  /**
   * A tensor of the given numbers. They are copied and converted, unless they are an array of the engine's dtype: that is
   * taken as it is. (Another tensor's `data` is copied: it goes when that tensor's scope does.)
   */
  tensor(values: ArrayLike<number>, shape: Shape): Tensor {
    if (values instanceof (this.dtype === 'float32' ? Float32Array : Float64Array)) {
      const data = values as FloatArray;
      if (!this.#memory.holds(data)) return new Tensor(this, { data }, shape, this.#scope);
    }
    const block = this.#memory.floats(values.length);
    block.data.set(values);
    return new Tensor(this, block, shape, this.#scope);
  }

  /** Zeros that stay as long as the engine: for parameters. Not inside a scope. */
  keep(shape: Shape): Tensor {
    this.#expectNoScope('Engine.keep');
    return new Tensor(this, this.#memory.keepFloats(sizeOf(shape)), shape, null);
  }

  /** An empty weight matrix that stays as long as the engine, in the order its kernels like. Not inside a scope. */
  keepMatrix(outFeatures: number, inFeatures: number, dtype: WeightType): Matrix {
    this.#expectNoScope('Engine.keepMatrix');
    if (dtype === 'q8' && inFeatures > LONGEST_INT8_SUM) {
      throw new ConfigError({
        what: 'Engine.keepMatrix: columns of an int8 matrix',
        expected: `at most ${LONGEST_INT8_SUM}, whose sums fit into 32 bits`,
        got: `${inFeatures}`,
        fix: 'load with dtype "f32"',
      });
    }
    const length = this.kernels.packedLength(outFeatures, inFeatures, dtype);
    const numbers = dtype === 'q8' ? this.#memory.keepBytes(length) : this.#memory.keepFloats(length);
    // Kernels read scales by the panel, beyond the last row too.
    const scales = dtype === 'q8' ? this.#memory.keepFloats(outFeatures + 64) : null;
    return new Matrix(this, {
      outFeatures,
      inFeatures,
      dtype,
      get data() {
        return numbers.data;
      },
      get scale() {
        return scales && scales.data;
      },
    });
  }

  /**
   * Runs `body` with its own memory. The tensors in what it returns (itself, or inside arrays and plain objects) move to
   * the enclosing scope; every other tensor made inside is given back, and throws a ScopeError when used again.
   * `body` must not be asynchronous: another scope could open and close in the middle of it.
   * While a tape records there are no inner scopes: what backward needs stays until the scope of the tape ends.
   */
  scope<T>(body: () => T): T {
    if (this.tape?.recording) return body();
    const scope: Scope = { parent: this.#scope, closed: false };
    this.#scope = scope;
    this.#memory.openScope();
    let leaving: Tensor[] = [];
    try {
      const result = body();
      if (result instanceof Promise) {
        result.catch(() => {}); // whatever it still runs into comes of the scope's being closed
        throw new ScopeError({ what: 'Engine.scope', expected: 'a synchronous body', got: 'an async one' });
      }
      leaving = [...tensorsIn(result)].filter((tensor) => tensor.scope === scope);
      return result;
    } finally {
      this.#memory.closeScope(leaving.map(({ block }) => block));
      for (const tensor of leaving) tensor.scope = scope.parent;
      this.#scope = scope.parent;
      scope.closed = true;
    }
  }

  /** Runs `body` with this tape, or with none. */
  withTape<T>(tape: Tape | null, body: () => T): T {
    const outer = this.tape;
    this.tape = tape;
    try {
      return body();
    } finally {
      this.tape = outer;
    }
  }

  /** Gives the memory of a tensor of the innermost scope back before its end. The tensor must not be used again. */
  giveBack({ block }: Tensor): void {
    this.#memory.giveBack(block);
  }

  /** What stays would lie among what goes. */
  #expectNoScope(what: string): void {
    if (this.#scope === null) return;
    throw new ScopeError({
      what,
      expected: 'no open scope, since parameters outlive every scope',
      got: 'a call inside one',
      fix: 'make or load the model before Engine.scope',
    });
  }

  /** Ends the worker threads; later work runs on this thread. Not needed: it also happens when the engine is forgotten. */
  close(): void {
    this.#simd?.pool?.close();
  }

  info(): EngineInfo {
    const simd = this.#simd;
    return {
      kernels: this.kernels.name,
      dtype: this.dtype,
      arithmetic: simd ? `float32 ${simd.arithmetic}` : 'float64 sums',
      tile: simd ? `${simd.tile.rows}x${4 * simd.tile.vectors}` : null,
      turbo: simd?.turbo ?? false,
      threads: simd?.threads ?? 1,
      memory: this.#memory.bytes,
      notes: this.#notes,
    };
  }
}

/** Workers hold on to the memory that they share, so they are ended when nobody has the engine any more. */
const abandonedPools = /* @__PURE__ */ new FinalizationRegistry<ThreadPool>((pool) => pool.close());

/** @throws ShapeError unless all tensors live in one engine; returns it. */
export function sharedEngine(
  op: string,
  first: { engine: Engine },
  ...others: ({ engine: Engine } | null | undefined)[]
): Engine {
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

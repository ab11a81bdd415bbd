import { fillNormal, randomStream, Tensor, type Engine, type Shape } from '../tensor/index.ts';

/** How a parameter starts when no checkpoint gives it; the vector of the padding token starts at zero. */
export type Initializer = 'normal' | 'zeros' | 'ones' | { normalExceptRow: number };

/** A tensor that training changes. `name` is its key in the checkpoint, verbatim. */
export class Parameter extends Tensor {
  readonly name: string;

  constructor(name: string, { engine, data, shape }: Tensor) {
    super(engine, data, shape, null); // parameters outlive every scope
    this.name = name;
  }
}

/** Where parameters come from: a checkpoint, or random numbers. Keys are whole, such as `encoder.layer.0.output.dense.bias`. */
export interface ParameterStore {
  readonly engine: Engine;
  /** True when no parameter was trained, so that every key can be had and none is stored. */
  readonly untrained: boolean;
  /** Whether a checkpoint holds the key. */
  has(key: string): boolean;
  /** The numbers of a parameter. A store checks that the shape is the one asked for. */
  load(key: string, shape: Shape, initializer: Initializer): Tensor;
}

/**
 * A view of a parameter store below one path. Modules are built from it, so that constructing a model is loading it:
 * `new Linear(weights.scope('query'), 384, 384)` reads `query.weight` and `query.bias` there and then.
 */
export class Weights {
  readonly store: ParameterStore;
  /** The path so far, without a trailing dot; '' at the root. */
  readonly path: string;

  constructor(store: ParameterStore, path = '') {
    this.store = store;
    this.path = path;
  }

  scope(name: string): Weights {
    return new Weights(this.store, this.#key(name));
  }

  has(name: string): boolean {
    return this.store.has(this.#key(name));
  }

  get(name: string, shape: Shape, initializer: Initializer): Parameter {
    const key = this.#key(name);
    return new Parameter(key, this.store.load(key, shape, initializer));
  }

  #key(name: string): string {
    return this.path ? `${this.path}.${name}` : name;
  }
}

/**
 * Untrained parameters, as transformers starts them: matrices normal with the config's `initializer_range`, biases zero,
 * layer norms one. Each is drawn from a stream of its own name, so the same seed gives the same numbers whatever else there is.
 */
export class RandomStore implements ParameterStore {
  readonly engine: Engine;
  readonly untrained = true;
  readonly std: number;
  readonly seed: number;

  constructor(engine: Engine, std: number, seed: number) {
    this.engine = engine;
    this.std = std;
    this.seed = seed;
  }

  has(): boolean {
    return false;
  }

  load(key: string, shape: Shape, initializer: Initializer): Tensor {
    const tensor = this.engine.zeros(shape);
    if (initializer === 'ones') tensor.data.fill(1);
    if (initializer === 'normal' || typeof initializer === 'object') {
      fillNormal(tensor.data, this.std, randomStream(this.seed, key));
    }
    if (typeof initializer === 'object') {
      const size = shape[1];
      tensor.data.fill(0, initializer.normalExceptRow * size, (initializer.normalExceptRow + 1) * size);
    }
    return tensor;
  }
}

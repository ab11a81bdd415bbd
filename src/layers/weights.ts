import { fillNormal, Matrix, randomStream, Tensor, type Engine, type FloatArray, type Shape } from '../tensor/index.ts';

/** How a parameter starts when no checkpoint gives it; the vector of the padding token starts at zero. */
export type Initializer = 'normal' | 'zeros' | 'ones' | { normalExceptRow: number };

/** A tensor that training changes. `name` is its key in the checkpoint, verbatim. */
export class Parameter extends Tensor {
  readonly name: string;
  /** False freezes it: `withGradients` leaves it alone. */
  requiresGrad = true;

  constructor(name: string, { engine, block, shape }: Tensor) {
    super(engine, block, shape, null); // parameters outlive every scope
    this.name = name;
  }
}

/** A parameter that linear layers multiply by, or that embeddings look up: a matrix in the order its engine likes. */
export class MatrixParameter extends Matrix {
  readonly name: string;
  /** False freezes it. Int8 is always frozen. */
  requiresGrad: boolean;

  constructor(name: string, { engine, packed }: Matrix) {
    super(engine, packed);
    this.name = name;
    this.requiresGrad = packed.dtype === 'f32';
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
  /** The same for a matrix [outFeatures, inFeatures]. */
  loadMatrix(key: string, outFeatures: number, inFeatures: number, initializer: Initializer): Matrix;
}

/** Paths, or parts of paths, as this library has them, and as a checkpoint of another family has them. */
export type Renames = readonly (readonly [ours: string, theirs: string])[];

/**
 * A path with its parts renamed, from left to right, each by the first rule that fits whole names:
 * with `['output.dense', 'ffn.lin2']`, `layer.0.output.dense.weight` is `layer.0.ffn.lin2.weight`.
 */
export function renamed(path: string, renames: Renames): string {
  if (renames.length === 0) return path;
  let [rest, result] = [path, ''];
  while (rest !== '') {
    const rule = renames.find(([ours]) => rest === ours || rest.startsWith(`${ours}.`));
    const [taken, put] = rule ?? [rest.split('.', 1)[0], rest.split('.', 1)[0]];
    result += result === '' ? put : `.${put}`;
    rest = rest.slice(taken.length + 1);
  }
  return result;
}

/**
 * A view of a parameter store below one path. Modules are built from it, so that constructing a model is loading it:
 * `new Linear(weights.scope('query'), 384, 384)` reads `query.weight` and `query.bias` there and then.
 */
export class Weights {
  readonly store: ParameterStore;
  /** The path so far, without a trailing dot; '' at the root. */
  readonly #path: string;
  readonly #renames: Renames;

  /** @param renames what the store calls paths otherwise than the modules that ask for them */
  constructor(store: ParameterStore, path = '', renames: Renames = []) {
    this.store = store;
    this.#path = path;
    this.#renames = renames;
  }

  /** The path so far as the store calls it. */
  get path(): string {
    return renamed(this.#path, this.#renames);
  }

  scope(name: string): Weights {
    return new Weights(this.store, this.#join(name), this.#renames);
  }

  has(name: string): boolean {
    return this.store.has(this.#key(name));
  }

  get(name: string, shape: Shape, initializer: Initializer): Parameter {
    const key = this.#key(name);
    return new Parameter(key, this.store.load(key, shape, initializer));
  }

  getMatrix(name: string, outFeatures: number, inFeatures: number, initializer: Initializer): MatrixParameter {
    const key = this.#key(name);
    return new MatrixParameter(key, this.store.loadMatrix(key, outFeatures, inFeatures, initializer));
  }

  #join(name: string): string {
    return this.#path ? `${this.#path}.${name}` : name;
  }

  #key(name: string): string {
    return renamed(this.#join(name), this.#renames);
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
    const tensor = this.engine.keep(shape);
    this.#fill(tensor.data, key, shape[shape.length - 1], initializer);
    return tensor;
  }

  loadMatrix(key: string, outFeatures: number, inFeatures: number, initializer: Initializer): Matrix {
    const matrix = this.engine.keepMatrix(outFeatures, inFeatures, 'f32');
    const rows = this.engine.zeros([outFeatures, inFeatures]);
    this.#fill(rows.data, key, inFeatures, initializer);
    this.engine.kernels.packRows(matrix.packed, 0, rows.data);
    return matrix;
  }

  #fill(numbers: FloatArray, key: string, rowSize: number, initializer: Initializer): void {
    if (initializer === 'ones') numbers.fill(1);
    if (initializer === 'normal' || typeof initializer === 'object') {
      fillNormal(numbers, this.std, randomStream(this.seed, key));
    }
    if (typeof initializer === 'object') {
      const row = initializer.normalExceptRow;
      numbers.fill(0, row * rowSize, (row + 1) * rowSize);
    }
  }
}

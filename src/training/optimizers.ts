import { ConfigError, expectOptions, show } from '../errors.ts';
import { MatrixParameter, type Parameter } from '../layers/index.ts';
import { backwardKernels, readGradient, type Engine, type Matrix, type Tensor } from '../tensor/index.ts';

/** What training changes. */
export type Trainable = Parameter | MatrixParameter;

export interface OptimizerOptions {
  /** Learning rate. */
  lr?: number;
  weightDecay?: number;
  /** Parameters that weight decay leaves alone, by name: usually biases and layer norms. Default: none. */
  decayExclude?: (name: string) => boolean;
}

export interface AdamOptions extends OptimizerOptions {
  /** How much of the running means of gradients and of their squares is kept at each step. Default [0.9, 0.999]. */
  betas?: readonly [number, number];
  /** Default 1e-8. */
  eps?: number;
}

export interface SgdOptions extends OptimizerOptions {
  /** Default 0. */
  momentum?: number;
  /** Default false. */
  nesterov?: boolean;
}

/** Numbers an optimizer keeps for a parameter, laid out as the parameter. */
type State = Tensor | Matrix;

/** Changes parameters by their gradients. `step` uses them; `zeroGradients` clears them for the next step. */
export abstract class Optimizer {
  readonly parameters: readonly Trainable[];
  /** The full learning rate; a schedule gives each step a share of it. */
  readonly lr: number;
  /** Steps made so far. */
  steps = 0;
  readonly #decay: readonly number[];
  readonly #state = new Map<string, State>();
  /** The gradient that each parameter has had in every step; null when there were several, or steps elsewhere. */
  readonly #gradients = new Map<string, Tensor | null>();
  #isLoaded = false;

  /** @param kinds names of what is kept for each parameter */
  constructor(
    parameters: readonly Trainable[],
    { lr, weightDecay, decayExclude }: Required<OptimizerOptions>,
    kinds: readonly string[],
  ) {
    expectRate('lr', lr);
    expectRate('weightDecay', weightDecay);
    this.parameters = parameters.filter(({ requiresGrad }) => requiresGrad);
    this.lr = lr;
    this.#decay = this.parameters.map(({ name }) => (decayExclude(name) ? 0 : weightDecay));
    const names = new Set(this.parameters.map(({ name }) => name));
    if (this.parameters.length === 0 || names.size < this.parameters.length) {
      const got = this.parameters.length === 0 ? 'none' : 'two of one name';
      throw new ConfigError({ what: 'parameters of an optimizer', expected: 'some, each once', got });
    }
    for (const kind of kinds) {
      for (const parameter of this.parameters) this.#state.set(`${kind}.${parameter.name}`, emptyLike(parameter));
    }
  }

  /** One parameter's step: number `steps`, counted from 1, with this rate and weight decay, its gradient times `gradScale`. */
  protected abstract update(parameter: Trainable, rate: number, decay: number, gradScale: number): void;

  /**
   * @param share     of the learning rate, from a schedule
   * @param gradScale what gradients are multiplied by first, from clipping
   */
  step(share = 1, gradScale = 1): void {
    this.steps++;
    this.parameters.forEach((parameter, i) => {
      const { name, grad } = parameter;
      if (!grad) return;
      const known = this.#gradients.get(name);
      if (known === undefined) this.#gradients.set(name, this.#isLoaded ? null : grad);
      else if (known !== grad) this.#gradients.set(name, null); // a new one does not know
      this.update(parameter, this.lr * share, this.#decay[i], gradScale);
    });
  }

  /** Whether what is kept for a parameter is zero wherever its gradient never was other than zero. */
  protected isZeroElsewhere({ name }: Trainable): boolean {
    return this.#gradients.get(name) !== null;
  }

  protected stateOf(kind: string, { name }: Trainable): State {
    return this.#state.get(`${kind}.${name}`)!;
  }

  /** What it keeps, by `<kind>.<parameter>`, rows in the usual order: to be saved. */
  stateDict(): Map<string, Tensor> {
    return new Map([...this.#state].map(([key, state]) => [key, 'packed' in state ? state.toTensor() : state]));
  }

  /** Takes back what `stateDict` gave, after as many steps. @throws ConfigError for a missing key */
  loadState(steps: number, read: (key: string) => ArrayLike<number>): void {
    for (const [key, state] of this.#state) {
      if ('packed' in state) state.set(read(key));
      else state.data.set(read(key));
    }
    this.steps = steps;
    this.#isLoaded = true;
    this.#gradients.clear();
  }
}

/** Zeros in the shape and the layout of a parameter, which stay. */
function emptyLike(parameter: Trainable): State {
  const engine: Engine = parameter.engine;
  if (!(parameter instanceof MatrixParameter)) return engine.keep(parameter.shape);
  const [rows, columns] = parameter.shape;
  return engine.keepMatrix(rows, columns, 'f32');
}

/** Stochastic gradient descent with momentum, as torch.optim.SGD. */
export class SGD extends Optimizer {
  readonly momentum: number;
  readonly nesterov: boolean;

  constructor(parameters: readonly Trainable[], options: SgdOptions = {}) {
    expectOptions('options of SGD', options, ['lr', 'weightDecay', 'decayExclude', 'momentum', 'nesterov']);
    const { lr = 1e-3, weightDecay = 0, decayExclude = () => false, momentum = 0, nesterov = false } = options;
    super(parameters, { lr, weightDecay, decayExclude }, ['momentum']);
    expectRate('momentum', momentum);
    this.momentum = momentum;
    this.nesterov = nesterov;
  }

  protected update(parameter: Trainable, rate: number, decay: number, gradScale: number): void {
    const [p, grad, velocity] = [parameter.data, parameter.grad!.data, this.stateOf('momentum', parameter).data];
    const { momentum, nesterov } = this;
    for (let i = 0; i < p.length; i++) {
      const g = grad[i] * gradScale + decay * p[i];
      velocity[i] = momentum * velocity[i] + g;
      p[i] -= rate * (nesterov ? g + momentum * velocity[i] : velocity[i]);
    }
  }
}

abstract class AdamBase extends Optimizer {
  readonly betas: readonly [number, number];
  readonly eps: number;

  constructor(parameters: readonly Trainable[], options: AdamOptions, defaultDecay: number) {
    expectOptions('options of Adam', options, ['lr', 'weightDecay', 'decayExclude', 'betas', 'eps']);
    const {
      lr = 1e-3,
      weightDecay = defaultDecay,
      decayExclude = () => false,
      betas = [0.9, 0.999],
      eps = 1e-8,
    } = options;
    super(parameters, { lr, weightDecay, decayExclude }, ['m', 'v']);
    expectRate('eps', eps);
    for (const beta of betas) {
      if (beta >= 0 && beta < 1) continue;
      throw new ConfigError({ what: 'betas', expected: 'numbers of at least 0 and less than 1', got: show(betas) });
    }
    this.betas = betas;
    this.eps = eps;
  }

  protected adam(parameter: Trainable, rate: number, gradScale: number, decay: number, l2: number): void {
    const [beta1, beta2] = this.betas;
    const [m, v] = [this.stateOf('m', parameter), this.stateOf('v', parameter)];
    const { values, runs } = readGradient(parameter.grad!);
    const step = {
      stepSize: rate / (1 - beta1 ** this.steps),
      beta1,
      beta2,
      eps: this.eps,
      inverseRootCorrection: 1 / Math.sqrt(1 - beta2 ** this.steps),
      decay,
      l2,
      gradScale,
    };
    const some = l2 === 0 && this.isZeroElsewhere(parameter) ? runs : null;
    backwardKernels(parameter.engine).adamW(parameter.data, values, m.data, v.data, step, some);
  }
}

/** Adam (Kingma & Ba 2015), as torch.optim.Adam: weight decay is part of the gradient. */
export class Adam extends AdamBase {
  constructor(parameters: readonly Trainable[], options: AdamOptions = {}) {
    super(parameters, options, 0);
  }

  protected update(parameter: Trainable, rate: number, decay: number, gradScale: number): void {
    this.adam(parameter, rate, gradScale, 1, decay);
  }
}

/** Adam with decoupled weight decay (Loshchilov & Hutter 2019), as torch.optim.AdamW. Default weight decay 0.01. */
export class AdamW extends AdamBase {
  constructor(parameters: readonly Trainable[], options: AdamOptions = {}) {
    super(parameters, options, 0.01);
  }

  protected update(parameter: Trainable, rate: number, decay: number, gradScale: number): void {
    this.adam(parameter, rate, gradScale, 1 - rate * decay, 0);
  }
}

/** Euclidean length of all gradients together. */
export function gradientNorm(parameters: readonly Trainable[]): number {
  let squares = 0;
  for (const { grad, engine } of parameters)
    if (grad) squares += backwardKernels(engine).sumSquares(readGradient(grad).values);
  return Math.sqrt(squares);
}

/** What to multiply gradients by so that their norm is at most `maxNorm`, as torch.nn.utils.clip_grad_norm_. */
export function clipFactor(norm: number, maxNorm: number): number {
  return Math.min(1, maxNorm / (norm + 1e-6));
}

/** Biases and layer norms by name: what BERT's own training leaves out of weight decay. */
export function isBiasOrNorm(name: string): boolean {
  return /(^|[._])bias$|norm[^.]*\.weight$/i.test(name);
}

function expectRate(what: string, value: number): void {
  if (Number.isFinite(value) && value >= 0) return;
  throw new ConfigError({ what: `optimizer: ${what}`, expected: 'a number of at least 0', got: show(value) });
}

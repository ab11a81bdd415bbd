import { InputError, ScopeError } from '../errors.ts';
import { backwardKernels } from './backward.ts';
import { sharedEngine, type Engine } from './engine.ts';
import type { BackwardKernels, Run } from './kernels/backwardKernels.ts';
import type { FloatArray } from './kernels/kernels.ts';
import type { Matrix } from './matrix.ts';
import type { Block } from './memory.ts';
import { randomStream } from './random.ts';
import { showShape, type Shape } from './shape.ts';
import { Tensor } from './tensor.ts';

/**
 * Automatic differentiation: while a tape is open, ops record how the gradient of their output becomes gradients of their
 * inputs, and `backward` plays that in reverse. Nothing is recorded, and nothing costs time, without an open tape.
 *
 * ```ts
 * const parameters = model.parameters();
 * zeroGradients(parameters);
 * const loss = withGradients(parameters, (backward) => {
 *   const loss = crossEntropy(model.forward(batch).logits, labels);
 *   backward(loss); // adds to each parameter's `grad`
 *   return loss.data[0];
 * });
 * for (const { data, grad } of parameters) ... // an optimizer: flat loops over both, in the same order
 * ```
 *
 * What an optimizer relies on: `parameter.grad` is made by the first `withGradients` that names the parameter and stays, as
 * the parameter does; `grad.data` is laid out as `parameter.data`, element for element (of a matrix, packed as the kernels
 * read it, with padding that is zero in both). Take `data`, and a gradient's reshaped view, anew after `zeroGradients` and after
 * anything was made by the engine: zeros are written when they are asked for, and memory that grows moves. A step writes to
 * `data` in place, so that the weights can be used at once. `readGradient` gives the same numbers to those who only read, and where
 * they may be other than zero: most rows of a word table are never looked up. Whoever takes `grad.data` may write anywhere.
 *
 * The tape owns an engine scope: what is computed inside lives until its end, inner scopes included, since backward needs it.
 */
export type Backward = (
  dy: Tensor,
  gradients: readonly (Tensor | null)[],
  kernels: BackwardKernels,
  areFirst: AreFirst,
  dataOfRows: DataOfRows,
) => void;

/**
 * Whether these gradients, no two of them the same, have had nothing added to them. After a yes they count as having something:
 * whoever asked must write every number of theirs, in place of adding to them.
 */
export type AreFirst = (...gradients: (Tensor | null)[]) => boolean;

/** The numbers of a table's gradient, to be added to in these rows alone; negative ones are none. */
export type DataOfRows = (gradient: Tensor, table: Differentiable, rows: Int32Array) => FloatArray;

/** A tensor or a matrix that gradients can be asked for. */
export type Differentiable = Tensor | Matrix;

/** Gradients of `loss`, a single number, are added to those of the parameters; `factor` scales them, as accumulation asks for. */
export type RunBackward = (loss: Tensor, factor?: number) => void;

/** What the random numbers of a step are drawn by; see `Tape.nextStream`. */
export interface StepSeed {
  /** Default 0. */
  seed?: number;
  /** Number of the step (of the part of a step, where gradients are accumulated). Default 0. */
  step?: number;
}

interface Node {
  output: Block;
  inputs: readonly (Differentiable | null)[];
  backward: Backward;
}

/**
 * A gradient that is zero until something is added to it, without being filled: what is added first mostly is all of it. That of
 * a table, of whose rows a batch looks up a few, knows where it was ever written: elsewhere its memory is zeros, never touched.
 */
class Gradient extends Tensor {
  /** It is zero, and its memory holds something else. */
  isZero = true;
  /** What was ever written: each part of so many numbers that has a 1, or anything. */
  #written: 'nothing' | { length: number; parts: Uint8Array } | 'anything';

  /** @param isNew whether its memory is zeros */
  constructor({ engine, block, shape, scope }: Tensor, isNew: boolean) {
    super(engine, block, shape, scope);
    this.#written = isNew ? 'nothing' : 'anything';
  }

  /** To be written anywhere. */
  override get data(): FloatArray {
    const data = this.read();
    this.#written = 'anything';
    return data;
  }

  /** To be read. */
  read(): FloatArray {
    const data = super.data;
    if (this.isZero) for (const run of this.runs()) data.fill(0, ...run);
    this.isZero = false;
    return data;
  }

  /** To be written at these parts of `length` numbers. */
  dataOf(parts: Int32Array, length: number): FloatArray {
    const data = this.read();
    let written = this.#written;
    if (written === 'nothing') written = { length, parts: new Uint8Array(Math.ceil(data.length / length)) };
    if (written === 'anything' || written.length !== length) return this.data;
    for (const part of parts) written.parts[part] = 1;
    this.#written = written;
    return data;
  }

  /** Where it may be other than zero, or was at some time. */
  runs(): Run[] {
    if (this.#written === 'nothing') return [];
    if (this.#written === 'anything') return [[0, this.size]];
    const { length, parts } = this.#written;
    const runs: Run[] = [];
    for (let begin = parts.indexOf(1); begin >= 0;) {
      const gap = parts.indexOf(0, begin);
      const end = gap < 0 ? parts.length : gap;
      runs.push([begin * length, Math.min(end * length, this.size)]);
      begin = parts.indexOf(1, end);
    }
    return runs;
  }

  override reshape(shape: Shape): Tensor {
    void this.data; // the view knows nothing of zeros
    return super.reshape(shape);
  }
}

/** A gradient's numbers, to be read, and where they may be other than zero, or were in a step before. */
export function readGradient(gradient: Tensor): { values: FloatArray; runs: readonly Run[] } {
  if (gradient instanceof Gradient) return { values: gradient.read(), runs: gradient.runs() };
  return { values: gradient.data, runs: [[0, gradient.size]] };
}

const areFirst: AreFirst = (...gradients) => {
  const wanted = gradients.filter((gradient) => gradient !== null);
  const fresh = wanted.filter((gradient) => gradient instanceof Gradient && gradient.isZero) as Gradient[];
  if (new Set(fresh).size < wanted.length) return false;
  for (const gradient of fresh) gradient.isZero = false;
  return true;
};

/** Gradients belong to numbers, so a tensor and its reshaped views share one. */
const keyOf = (x: Differentiable): object => ('block' in x ? x.block : x.packed);

export class Tape {
  readonly engine: Engine;
  /** What backward computes with, and random ops; ops have them from here, lest inference carry them. */
  readonly kernels: BackwardKernels;
  /** False while ops compute without being recorded. */
  recording = true;
  /** Calls of random ops so far. */
  draws: number;
  readonly #seed: Required<StepSeed>;
  readonly #nodes: Node[] = [];
  /** Gradients that are wanted at the end. */
  readonly #leaves: ReadonlyMap<object, Tensor>;
  /** What was computed from those. */
  readonly #results = new Set<object>();
  /** Gradients of results, while backward has not come to them yet. */
  readonly #flowing = new Map<object, Tensor>();
  /** Of a tape within a checkpoint. */
  readonly #parent: Tape | null;

  constructor(
    engine: Engine,
    leaves: ReadonlyMap<object, Tensor>,
    seed: Required<StepSeed>,
    draws = 0,
    parent: Tape | null = null,
  ) {
    this.engine = engine;
    this.kernels = backwardKernels(engine);
    this.#leaves = leaves;
    this.#seed = seed;
    this.draws = draws;
    this.#parent = parent;
  }

  /** Whether an op on these is recorded: the gradient of one is wanted. */
  wants(...inputs: (Differentiable | null)[]): boolean {
    return this.recording && inputs.some((x) => x !== null && this.#knows(x));
  }

  #knows(x: Differentiable): boolean {
    const key = keyOf(x);
    if (this.#leaves.has(key) || this.#results.has(key)) return true;
    if (this.#parent === null || !this.#parent.#knows(x)) return false;
    throw new ScopeError({
      what: `checkpoint: a tensor ${showShape(x.shape)} computed outside`,
      expected: 'to be among its inputs, or its gradient would be lost',
      got: 'use inside without that',
    });
  }

  /** Adds an op; `always` when it also uses parameters that are not among the inputs. */
  record(output: Tensor, inputs: readonly (Differentiable | null)[], backward: Backward, always = false): void {
    if (!this.recording || !(always || this.wants(...inputs))) return;
    this.#results.add(output.block);
    this.#nodes.push({ output: output.block, inputs, backward });
  }

  /** A stream of random numbers for one call of a random op: by seed, step, and how many such calls came before. */
  nextStream(): number {
    const { seed, step } = this.#seed;
    return randomStream(seed, `step ${step}, draw ${this.draws++}`);
  }

  readonly backward: RunBackward = (loss, factor = 1) => {
    if (loss.size !== 1) {
      throw new InputError({
        what: 'backward: loss',
        expected: 'a single number',
        got: showShape(loss.shape),
        fix: 'take the mean or the sum',
      });
    }
    if (!this.#knows(loss)) {
      throw new InputError({
        what: 'backward: loss',
        expected: 'a number that depends on a parameter whose gradient is wanted',
        got: 'one that does not',
        fix: 'compute it inside withGradients, from parameters that were given to it and are not frozen',
      });
    }
    this.#gradientOf(loss).data[0] += factor;
    this.#play();
  };

  /** The same from the gradient of any result on. */
  propagate(output: Tensor, gradient: Tensor): void {
    const sum = this.#gradientOf(output);
    this.engine.kernels.binary(sum.data, sum.data, gradient.data, 'add');
    this.#play();
  }

  #play(): void {
    this.engine.withTape(null, () => {
      for (let n = this.#nodes.length - 1; n >= 0; n--) {
        const { output, inputs, backward } = this.#nodes[n];
        const dy = this.#flowing.get(output);
        if (dy === undefined) continue; // the loss does not depend on it
        backward(
          dy,
          inputs.map((x) => (x !== null && this.#knows(x) ? this.#gradientOf(x) : null)),
          this.kernels,
          areFirst,
          this.#dataOfRows,
        );
        this.#flowing.delete(output);
        this.engine.giveBack(dy); // its memory serves the next gradient of that size
      }
    });
  }

  readonly #dataOfRows: DataOfRows = (gradient, table, rows) => {
    const together = 'packed' in table ? this.kernels.rowsTogether : 1;
    if (!(gradient instanceof Gradient) || !together) return gradient.data;
    return gradient.dataOf(
      rows.map((row) => Math.floor(row / together)), // of none, -1, where a typed array has no place
      together * table.shape[1],
    );
  };

  #gradientOf(x: Differentiable): Tensor {
    const key = keyOf(x);
    const known = this.#leaves.get(key) ?? this.#flowing.get(key);
    if (known !== undefined) return known;
    const gradient = new Gradient(this.engine.empty(x.shape), false);
    this.#flowing.set(key, gradient);
    return gradient;
  }

  /** A tape for a part that is computed a second time: `gradients` receive those of `inputs`. */
  branch(inputs: readonly Tensor[], gradients: readonly (Tensor | null)[], draws: number): Tape {
    const leaves = new Map(this.#leaves);
    inputs.forEach((x, i) => gradients[i] && leaves.set(x.block, gradients[i]));
    return new Tape(this.engine, leaves, this.#seed, draws, this);
  }
}

/** Puts an op on the open tape, if there is one and it wants the gradient of an input. @returns the output */
export function record(output: Tensor, inputs: readonly (Differentiable | null)[], backward: Backward): Tensor {
  output.engine.tape?.record(output, inputs, backward);
  return output;
}

/**
 * Runs `body` with a tape for the gradients of `parameters` (those that are not frozen), in a scope of its own: tensors
 * live until its end, and those in what it returns move out, as from `Engine.scope`. `backward(loss)` may be called several
 * times. It adds to `parameter.grad`, which is made here when missing; `zeroGradients` clears it.
 *
 * Not inside a scope the first time, since gradients outlive every scope.
 */
export function withGradients<T>(
  parameters: readonly Differentiable[],
  body: (backward: RunBackward) => T,
  { seed = 0, step = 0 }: StepSeed = {},
): T {
  if (parameters.length === 0) {
    throw new InputError({ what: 'withGradients: parameters', expected: 'at least one', got: 'none' });
  }
  const engine = sharedEngine('withGradients', parameters[0], ...parameters);
  if (engine.tape) {
    throw new ScopeError({ what: 'withGradients', expected: 'no open tape', got: 'a call inside another' });
  }
  const leaves = new Map<object, Tensor>();
  for (const p of parameters) {
    if ('requiresGrad' in p && p.requiresGrad === false) continue; // frozen
    p.grad ??= new Gradient(engine.keep([p.data.length]), true);
    leaves.set(keyOf(p), p.grad);
  }
  const tape = new Tape(engine, leaves, { seed, step });
  return engine.scope(() => engine.withTape(tape, () => body(tape.backward)));
}

/** Runs `body` in a scope without recording, as for a teacher's outputs inside `withGradients`. Dropout stays as it is. */
export function withoutGradients<T>(engine: Engine, body: () => T): T {
  const { tape } = engine;
  if (!tape?.recording) return engine.scope(body);
  tape.recording = false;
  try {
    return engine.scope(body);
  } finally {
    tape.recording = true;
  }
}

/** Sets the gradients of parameters to zero; those that were never made are none. */
export function zeroGradients(parameters: readonly Differentiable[]): void {
  for (const { grad } of parameters) {
    if (grad instanceof Gradient) grad.isZero = true;
    else grad?.data.fill(0);
  }
}

/**
 * Activation checkpointing (Chen et al. 2016, arXiv:1604.06174): y = f(...inputs), of which only inputs and output are kept;
 * backward computes the rest a second time. Random draws repeat. Besides parameters, f may use no tensor whose gradient is
 * wanted but its inputs. Without an open tape it is f alone.
 */
export function checkpoint(f: (...inputs: Tensor[]) => Tensor, ...inputs: Tensor[]): Tensor {
  const { engine } = inputs[0];
  const { tape } = engine;
  if (!tape?.recording) return f(...inputs);
  const { draws } = tape;
  const y = withoutGradients(engine, () => f(...inputs));
  const again: Backward = (dy, gradients) => {
    engine.scope(() => {
      const branch = tape.branch(inputs, gradients, draws);
      const result = engine.withTape(branch, () => f(...inputs));
      branch.propagate(result, dy);
    });
  };
  tape.record(y, inputs, again, true);
  return y;
}

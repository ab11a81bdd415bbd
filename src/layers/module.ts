import { ConfigError, ShapeError, show } from '../errors.ts';
import { Tensor } from '../tensor/index.ts';
import { MatrixParameter, Parameter } from './weights.ts';

/** Told of a module's output; `module.name` says which one. */
export type Observer = (module: Module, output: unknown, inputs: readonly unknown[]) => void;

/**
 * Given a module's output, what to go on with: another tensor of that shape, or nothing to keep this one. Both are good
 * until the forward pass ends: to keep numbers, copy their `data`.
 */
export type Hook = (output: Tensor, module: Module, inputs: readonly unknown[]) => Tensor | void;

/** A part of a model: parameters, other modules, and a `forward`. What is in its fields is in the model. */
export abstract class Module {
  /** The module's path in the checkpoint, such as `encoder.layer.0.attention.self`; '' where the checkpoint has none. */
  readonly name: string;
  /** Dropout acts only when this is true. */
  training = false;
  readonly #observers = new Set<Observer>();
  readonly #hooks = new Set<{ hook: Hook }>();

  constructor(name: string) {
    this.name = name;
  }

  abstract forward(...inputs: never[]): unknown;

  /** This module and all below it, each once, parents first. */
  modules(): Module[] {
    const found = new Set<Module>([this]);
    for (const child of this.#fields()) if (child instanceof Module) child.modules().forEach((m) => found.add(m));
    return [...found];
  }

  /** Every parameter once, even when two modules share it. */
  parameters(): (Parameter | MatrixParameter)[] {
    const found = new Map<string, Parameter | MatrixParameter>();
    for (const module of this.modules()) {
      for (const field of module.#fields()) {
        if (field instanceof Parameter || field instanceof MatrixParameter) found.set(field.name, field);
      }
    }
    return [...found.values()];
  }

  /** Checkpoint key → parameter; the tensors themselves, but copies of the matrices, in row-major order. */
  stateDict(): Map<string, Tensor> {
    return new Map(this.parameters().map((p) => [p.name, p instanceof MatrixParameter ? p.toTensor() : p]));
  }

  train(training = true): this {
    for (const module of this.modules()) module.training = training;
    return this;
  }

  eval(): this {
    return this.train(false);
  }

  /**
   * Calls `observer` after every module's forward, until the returned function is called. Nothing is in the way of a
   * forward pass that nobody observes.
   */
  observe(observer: Observer): () => void {
    const observed = this.modules();
    for (const module of observed) module.#listen(module.#observers, observer);
    return () => {
      for (const module of observed) module.#forget(module.#observers, observer);
    };
  }

  /**
   * Calls `hook` after the forward of one module inside this one, until the returned function is called. The hook may read
   * the output, or replace it: the rest of the model then computes with what it returns. Several hooks of a module act in
   * the order in which they came, before observers see the outcome.
   *
   * @param name the module's name, as in the checkpoint: `encoder.layer.0.attention.self`; a model's prefix may be left out
   * @throws ConfigError if no module has the name, or it gives no tensor; ShapeError if a replacement does not fit
   */
  hook(name: string, hook: Hook): () => void {
    const named = this.modules().filter((module) => module.name !== '');
    const module = named.find((m) => m.name === name) ?? named.find((m) => m.name.endsWith(`.${name}`));
    if (module === undefined || typeof name !== 'string' || typeof hook !== 'function') {
      const what = typeof hook === 'function' ? `hook: module ${show(name)}` : 'hook';
      const expected = typeof hook === 'function' ? 'the name of a module of this model' : 'a function';
      const got =
        module === undefined ? `none of its ${named.length}; the nearest is ${nearest(name, named)}` : show(hook);
      throw new ConfigError({ what, expected, got });
    }
    const entry = { hook };
    module.#listen(module.#hooks, entry);
    return () => module.#forget(module.#hooks, entry);
  }

  /** Whether a hook or an observer is told of its output. */
  get isWatched(): boolean {
    return this.#observers.size + this.#hooks.size > 0;
  }

  #listen<T>(listeners: Set<T>, listener: T): void {
    if (!this.isWatched) this.#reportForward();
    listeners.add(listener);
  }

  #forget<T>(listeners: Set<T>, listener: T): void {
    if (!listeners.delete(listener) || this.isWatched) return;
    delete (this as Partial<Module>).forward; // the class's own again
  }

  #reportForward(): void {
    const forward = this.forward as (...inputs: unknown[]) => unknown;
    this.forward = (...inputs: unknown[]) => {
      let output = forward.apply(this, inputs);
      for (const { hook } of this.#hooks) output = this.#replaced(output, hook, inputs);
      for (const observer of this.#observers) observer(this, output, inputs);
      return output;
    };
  }

  #replaced(output: unknown, hook: Hook, inputs: readonly unknown[]): Tensor {
    const what = `hook of ${this.name}`;
    if (!(output instanceof Tensor)) {
      const fix = 'hook the modules inside it';
      throw new ConfigError({ what, expected: 'a module that gives a tensor', got: 'one that gives several', fix });
    }
    const replacement = hook(output, this, inputs) ?? output;
    const shape = replacement instanceof Tensor ? replacement.shape.join(', ') : undefined;
    if (shape === output.shape.join(', ')) return replacement;
    const got = shape === undefined ? show(replacement) : `[${shape}]`;
    throw new ShapeError({ what, expected: `nothing, or a tensor [${output.shape.join(', ')}]`, got });
  }

  #fields(): unknown[] {
    return Object.values(this).flat();
  }
}

/** The name of the module whose name begins most like another. */
function nearest(name: unknown, modules: readonly Module[]): string {
  const alike = (other: string) => Array.from(`${other}\n`).findIndex((c, i) => c !== String(name)[i]);
  return modules.map((module) => module.name).reduce((a, b) => (alike(b) > alike(a) ? b : a));
}

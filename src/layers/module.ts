import type { Tensor } from '../tensor/index.ts';
import { MatrixParameter, Parameter } from './weights.ts';

/** Told of a module's output; `module.name` says which one. */
export type Observer = (module: Module, output: unknown, inputs: readonly unknown[]) => void;

/** A part of a model: parameters, other modules, and a `forward`. What is in its fields is in the model. */
export abstract class Module {
  /** The module's path in the checkpoint, such as `encoder.layer.0.attention.self`; '' where the checkpoint has none. */
  readonly name: string;
  /** Dropout acts only when this is true. */
  training = false;
  readonly #observers = new Set<Observer>();

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
    for (const module of observed) {
      if (module.#observers.size === 0) module.#reportForward();
      module.#observers.add(observer);
    }
    return () => {
      for (const module of observed) {
        module.#observers.delete(observer);
        if (module.#observers.size === 0) delete (module as Partial<Module>).forward; // the class's own again
      }
    };
  }

  #reportForward(): void {
    const forward = this.forward as (...inputs: unknown[]) => unknown;
    this.forward = (...inputs: unknown[]) => {
      const output = forward.apply(this, inputs);
      for (const observer of this.#observers) observer(this, output, inputs);
      return output;
    };
  }

  #fields(): unknown[] {
    return Object.values(this).flat();
  }
}

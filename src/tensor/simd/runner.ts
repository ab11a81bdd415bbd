/** The functions of the modules, by name; arguments are addresses and sizes. */
export type KernelExports = Record<string, (...args: number[]) => number | void>;

/** One call of a kernel. */
export type KernelCall = [name: string, ...args: number[]];

/** Working memory for each thread. */
export interface Scratch {
  address: number;
  bytes: number;
}

/** Something that runs kernels: this thread, or several. */
export interface Runner {
  readonly threads: number;
  /**
   * Runs calls that do not depend on each other, in any order; returns when all are done. With `scratch`, each call is given
   * one more argument: the address of bytes that its thread has for itself, `bytes` for each from `address` on.
   * Calls that fail in a worker are run again, unless they `add` to what is there: then that is an error.
   */
  run(calls: KernelCall[], scratch?: Scratch, adds?: boolean): void;
}

/** Runs everything on this thread. */
export class OneThread implements Runner {
  readonly threads = 1;
  readonly #exports: KernelExports;

  constructor(exports: KernelExports) {
    this.#exports = exports;
  }

  run(calls: KernelCall[], scratch?: Scratch): void {
    const more = scratch ? [scratch.address] : [];
    for (const [name, ...args] of calls) this.#exports[name](...args, ...more);
  }
}

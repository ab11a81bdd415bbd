import type * as nodeOs from 'node:os';
import type * as workerThreads from 'node:worker_threads';
import type { KernelCall, KernelExports, Runner } from '../simd/simdKernels.ts';
import type { WasmMemory } from '../simd/wasmMemory.ts';
import { workerSource } from './workerSource.ts';

const [GIVEN, DONE, FAILED, READY, LISTS] = [0, 1, 2, 3, 4];
const SPINS = 20_000;
/** Numbers that a list may have: some two thousand calls. A longer one runs on this thread. */
const LIST_LENGTH = 32_768;
/** A worker that is silent for so long is dead: no kernel takes a tenth of it. */
const PATIENCE_MS = 60_000;

/** A started worker, of Node or of a browser. */
interface Handle {
  terminate(): void;
}

/**
 * Runs lists of kernel calls on this thread and on workers that share its memory, and returns when all are done. Workers
 * start on their own time: until they are ready this thread does the work alone, with the same results.
 */
export class ThreadPool implements Runner {
  readonly threads: number;
  readonly #exports: KernelExports;
  readonly #numbers: Map<string, number>;
  readonly #memory: WasmMemory;
  readonly #address: number;
  /** Where each worker finds its list: always the same place, since a worker may learn late that the memory has grown. */
  readonly #lists: number[];
  readonly #workers: Handle[];
  readonly #canWait: boolean;
  #closed = false;

  constructor(
    threads: number,
    module: WebAssembly.Module,
    exports: KernelExports,
    memory: WasmMemory,
    workerUrl?: string,
  ) {
    this.threads = threads;
    this.#exports = exports;
    this.#numbers = new Map(Object.keys(exports).map((name, number) => [name, number]));
    this.#memory = memory;
    this.#address = memory.keepFloats(LISTS + threads - 1).address;
    this.#lists = Array.from({ length: threads - 1 }, () => memory.keepFloats(2 * LIST_LENGTH).address);
    this.#lists.forEach((address, index) => Atomics.store(this.#state(), LISTS + index, address));
    this.#canWait = mayWait();
    this.#workers = Array.from({ length: threads - 1 }, (_, index) =>
      startWorker({ module, memory: memory.memory, address: this.#address, index }, workerUrl),
    );
  }

  get isReady(): boolean {
    return !this.#closed && Atomics.load(this.#state(), READY) === this.threads - 1;
  }

  run(lists: KernelCall[][]): void {
    const [first = [], ...others] = lists.filter((list) => list.length > 0);
    const encoded = others.map((list) => this.#encode(list));
    const fits = encoded.every((numbers) => numbers.length <= LIST_LENGTH);
    if (others.length === 0 || !fits || !this.isReady) return [first, ...others].forEach((list) => this.#runHere(list));

    const state = this.#state();
    this.#lists.forEach((address, index) => {
      new Float64Array(this.#memory.memory.buffer, address, LIST_LENGTH).set(encoded[index] ?? [0]);
    });
    Atomics.store(state, DONE, 0);
    Atomics.store(state, FAILED, 0);
    Atomics.add(state, GIVEN, 1);
    Atomics.notify(state, GIVEN);
    try {
      this.#runHere(first);
    } finally {
      this.#waitForWorkers(state); // even then: they write to memory that is about to be given back
    }
    // What a worker could not do, this thread does, or fails at with a reason: kernels can be run again.
    if (Atomics.load(state, FAILED) !== 0) others.forEach((list) => this.#runHere(list));
  }

  /** Ends the workers; what comes later runs on this thread. */
  close(): void {
    this.#closed = true; // and not READY = 0, to which a worker that is just starting would add itself
    for (const worker of this.#workers) worker.terminate();
  }

  #state(): Int32Array {
    return new Int32Array(this.#memory.memory.buffer, this.#address, LISTS + this.threads - 1);
  }

  #runHere(list: KernelCall[]): void {
    for (const [name, ...args] of list) this.#exports[name](...args);
  }

  /** A list as numbers; see `workerSource`. */
  #encode(list: KernelCall[]): number[] {
    return [list.length, ...list.flatMap(([name, ...args]) => [this.#numbers.get(name)!, args.length, ...args])];
  }

  #waitForWorkers(state: Int32Array): void {
    const count = this.#workers.length;
    let deadline = 0;
    for (let spins = 0; ; spins++) {
      const done = Atomics.load(state, DONE);
      if (done === count) return;
      if (spins < SPINS) continue;
      if (this.#canWait) Atomics.wait(state, DONE, done, 1000); // a browser's main thread must not
      deadline ||= Date.now() + PATIENCE_MS;
      if (Date.now() < deadline) continue;
      this.close();
      throw new Error(`${count - done} worker threads did not answer for ${PATIENCE_MS / 1000} s`);
    }
  }
}

/** Whether this thread may sleep: every one but a browser's main thread. */
function mayWait(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1);
    return true;
  } catch {
    return false;
  }
}

interface WorkerStart {
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  address: number;
  index: number;
}

function startWorker(data: WorkerStart, workerUrl: string | undefined): Handle {
  const { process } = globalThis as { process?: NodeJS.Process };
  if (process?.getBuiltinModule) {
    const { Worker } = process.getBuiltinModule('node:worker_threads') as typeof workerThreads;
    const worker = new Worker(workerSource, { eval: true, workerData: data });
    worker.on('error', () => {}); // it never gets ready, and this thread computes alone
    worker.unref(); // a process that is done does not wait for it
    return { terminate: () => void worker.terminate() };
  }
  const url = workerUrl ?? URL.createObjectURL(new Blob([workerSource], { type: 'text/javascript' }));
  const worker = new Worker(url);
  worker.postMessage(data);
  return worker;
}

/** How many threads `threads: 'auto'` means: one per core, up to 8, beyond which small models do not gain. */
export function coreCount(): number {
  const { navigator, process } = globalThis as {
    navigator?: { hardwareConcurrency?: number };
    process?: NodeJS.Process;
  };
  const os = process?.getBuiltinModule?.('node:os') as typeof nodeOs | undefined;
  return Math.min(os?.availableParallelism() ?? navigator?.hardwareConcurrency ?? 1, 8);
}

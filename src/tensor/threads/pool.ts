import type * as nodeOs from 'node:os';
import type * as workerThreads from 'node:worker_threads';
import type { KernelCall, KernelExports, Runner } from '../simd/simdKernels.ts';
import type { WasmMemory } from '../simd/wasmMemory.ts';
import { workerSource } from './workerSource.ts';

const [GIVEN, DONE, FAILED, READY, LISTS] = [0, 1, 2, 3, 4];
const SPINS = 20_000;

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
    this.#canWait = mayWait();
    this.#workers = Array.from({ length: threads - 1 }, (_, index) =>
      startWorker({ module, memory: memory.memory, address: this.#address, index }, workerUrl),
    );
  }

  get isReady(): boolean {
    return !this.#closed && Atomics.load(this.#state(), READY) === this.threads - 1;
  }

  run(lists: KernelCall[][]): void {
    const busy = lists.filter((list) => list.length > 0);
    if (busy.length < 2 || !this.isReady) {
      for (const list of busy) this.#runHere(list);
      return;
    }
    const mark = this.#memory.mark();
    const addresses = this.#workers.map((_, index) => this.#writeList(busy[index + 1] ?? []));
    const state = this.#state(); // after the lists: taking memory may grow it
    addresses.forEach((address, index) => Atomics.store(state, LISTS + index, address));
    Atomics.store(state, DONE, 0);
    Atomics.add(state, GIVEN, 1);
    Atomics.notify(state, GIVEN);
    this.#runHere(busy[0]);
    this.#waitForWorkers(state);
    this.#memory.release(mark);
    if (Atomics.load(state, FAILED) !== 0) throw new Error('a kernel failed on a worker thread');
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

  #writeList(list: KernelCall[]): number {
    const numbers = [
      list.length,
      ...list.flatMap(([name, ...args]) => [this.#numbers.get(name)!, args.length, ...args]),
    ];
    const address = this.#memory.take(8 * numbers.length);
    new Float64Array(this.#memory.memory.buffer, address, numbers.length).set(numbers);
    return address;
  }

  #waitForWorkers(state: Int32Array): void {
    const count = this.#workers.length;
    for (let spins = 0; ; spins++) {
      const done = Atomics.load(state, DONE);
      if (done === count) return;
      if (this.#canWait && spins > SPINS) Atomics.wait(state, DONE, done); // a browser's main thread must not
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

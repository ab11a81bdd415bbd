import type * as nodeOs from 'node:os';
import type * as workerThreads from 'node:worker_threads';
import type { KernelCode } from '../simd/machine.ts';
import type { KernelCall, KernelExports, Runner, Scratch } from '../simd/runner.ts';
import type { WasmMemory } from '../simd/wasmMemory.ts';
import { workerSource } from './workerSource.ts';

const [GIVEN, CLAIM, DONE, FAILED, READY, SCRATCH, SCRATCH_BYTES, CODE_BYTES] = [0, 1, 2, 3, 4, 5, 6, 7];
const STATE_LENGTH = 8;
/** Numbers of a call: its function, how many arguments, and these, 26 at most. */
export const SLOT = 28;
/** Calls at a time, as many as the claim word can count. */
const MOST_CALLS = 4095;
const SPINS = 20_000;
/** Workers that are silent for so long are dead: no kernel takes a tenth of it. */
const PATIENCE_MS = 60_000;

/** A started worker, of Node or of a browser. */
interface Handle {
  terminate(): void;
}

/**
 * Runs kernel calls on this thread and on workers that share its memory, each taking the next one when it is free, so that
 * a worker that is held up delays nobody; returns when all are done. Workers start on their own time: until they are ready
 * this thread does the work alone, with the same results.
 */
export class ThreadPool implements Runner {
  readonly threads: number;
  readonly #exports: KernelExports;
  /** The number of each function, counted through all modules. */
  readonly #numbers = new Map<string, number>();
  #functions = 0;
  /** Modules that workers have yet to be given. */
  readonly #waiting: KernelCode[] = [];
  /** What READY will be when the workers have all that they were given. */
  #awaited: number;
  readonly #state: Int32Array;
  /** Always in the same place: a worker may learn late that the memory has grown. */
  readonly #calls: Float64Array;
  #workers: Handle[] | null = null;
  readonly #start: (module: WebAssembly.Module) => Handle[];
  readonly #canWait: boolean;
  #closed = false;

  /** `exports` are the functions as this thread calls them; workers start when there is a module. */
  constructor(threads: number, exports: KernelExports, memory: WasmMemory, workerUrl?: string) {
    this.threads = threads;
    this.#exports = exports;
    this.#awaited = threads - 1;
    const state = memory.keepFloats(STATE_LENGTH).address;
    const calls = memory.keepFloats(2 * MOST_CALLS * SLOT).address;
    const { buffer } = memory.memory; // a shared one stays good when the memory grows
    this.#state = new Int32Array(buffer, state, STATE_LENGTH);
    this.#calls = new Float64Array(buffer, calls, MOST_CALLS * SLOT);
    this.#canWait = mayWait();
    const start = { memory: memory.memory, state, calls, length: MOST_CALLS * SLOT };
    this.#start = (module) =>
      Array.from({ length: threads - 1 }, (_, i) => startWorker({ ...start, module, thread: i + 1 }, workerUrl));
  }

  /**
   * Adds a module, whose functions have these names. Workers start with the first; a later one is handed to them through the
   * shared memory, since they sleep there and take no messages.
   */
  load(code: KernelCode, names: readonly string[]): void {
    for (const name of names) this.#numbers.set(name, this.#functions++);
    if (this.#workers) this.#waiting.push(code);
    else this.#workers = this.#start(code.module);
  }

  /** Whether the workers have come to know all modules; if not, it sees to it that they will. */
  get isReady(): boolean {
    const state = this.#state;
    if (this.#closed || Atomics.load(state, READY) < this.#awaited) return false;
    const code = this.#waiting.shift();
    Atomics.store(state, CODE_BYTES, code?.bytes.length ?? 0);
    if (!code) return true;
    new Uint8Array(this.#calls.buffer, this.#calls.byteOffset).set(code.bytes);
    this.#awaited += this.threads - 1;
    this.#wake();
    return false;
  }

  #wake(): void {
    Atomics.add(this.#state, GIVEN, 1);
    Atomics.notify(this.#state, GIVEN);
  }

  run(calls: KernelCall[], scratch?: Scratch, adds = false): void {
    if (calls.length < 2 || calls.length > MOST_CALLS || !this.isReady) return this.#runHere(calls, scratch);
    calls.forEach(([name, ...args], i) => this.#calls.set([this.#numbers.get(name)!, args.length, ...args], i * SLOT));
    const state = this.#state;
    Atomics.store(state, DONE, 0);
    Atomics.store(state, FAILED, 0);
    Atomics.store(state, SCRATCH, scratch?.address ?? 0);
    Atomics.store(state, SCRATCH_BYTES, scratch?.bytes ?? 0);
    Atomics.store(state, CLAIM, calls.length << 12); // from here on calls can be claimed
    this.#wake();
    let failed = false;
    for (let next = this.#claim(); next >= 0; next = this.#claim()) {
      try {
        this.#runHere([calls[next]], scratch);
      } catch {
        failed = true;
      }
      Atomics.add(state, DONE, 1);
    }
    this.#waitFor(calls.length); // even then: workers write to memory that is about to be given back
    if (!failed && Atomics.load(state, FAILED) === 0) return;
    if (adds) throw new Error('a worker thread failed in the middle of a sum; gradients of this step are not good');
    // What failed is done again here, or fails with a reason: these kernels can be run twice.
    this.#runHere(calls, scratch);
  }

  /** Ends the workers; what comes later runs on this thread. */
  close(): void {
    this.#closed = true; // and not READY = 0, to which a worker that is just starting would add itself
    for (const worker of this.#workers ?? []) worker.terminate();
  }

  #runHere(calls: KernelCall[], scratch?: Scratch): void {
    const more = scratch ? [scratch.address] : [];
    for (const [name, ...args] of calls) this.#exports[name](...args, ...more);
  }

  /** The number of a call that is now this thread's to run, or -1. */
  #claim(): number {
    for (;;) {
      const claim = Atomics.load(this.#state, CLAIM);
      const next = claim & 4095;
      if (next >= claim >> 12) return -1;
      if (Atomics.compareExchange(this.#state, CLAIM, claim, claim + 1) === claim) return next;
    }
  }

  #waitFor(count: number): void {
    let deadline = 0;
    for (let spins = 0; ; spins++) {
      const done = Atomics.load(this.#state, DONE);
      if (done === count) return;
      if (spins < SPINS) continue;
      if (this.#canWait) Atomics.wait(this.#state, DONE, done, 1000); // a browser's main thread must not
      deadline ||= Date.now() + PATIENCE_MS;
      if (Date.now() < deadline) continue;
      this.close();
      throw new Error(`worker threads did not answer for ${PATIENCE_MS / 1000} s`);
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

/** What a worker is told; see `workerSource`. */
interface WorkerStart {
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  state: number;
  calls: number;
  length: number;
  /** Its number; 0 is the thread that gives out the work. */
  thread: number;
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

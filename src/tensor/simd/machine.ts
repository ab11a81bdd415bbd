import type { Arithmetic } from './arithmetic.ts';
import { ModuleBuilder } from './assembler.ts';
import type { Group } from './int8.ts';
import type { Tile } from './linear.ts';
import { OneThread, type KernelExports, type Runner } from './runner.ts';
import { MAXIMUM_PAGES, WasmMemory } from './wasmMemory.ts';
import { ThreadPool } from '../threads/pool.ts';

export interface MachineOptions {
  /** Default 1. */
  threads?: number;
  /** Whether V8 pairs vector operations, as it must when a module is compiled. Default false. */
  turbo?: boolean;
  /** How int8 is multiplied. Default 2; see `byteGroup`. */
  group?: Group;
  /** Script of the workers, for pages whose policy forbids blob: URLs: a file with the text of `workerSource`. */
  workerUrl?: string | undefined;
}

/** Kernels in WebAssembly: `define` adds its functions to a module. Each such set is a module of its own. */
export type KernelModule = (module: ModuleBuilder, tile: Tile, arithmetic: Arithmetic, group: Group) => void;

/** What kernels in WebAssembly run on: one memory, the functions of the modules loaded so far, and the threads. */
export class Machine {
  readonly tile: Tile;
  readonly arithmetic: Arithmetic;
  readonly group: Group;
  readonly memory: WasmMemory;
  readonly pool: ThreadPool | null;
  readonly runner: Runner;
  /** The functions, by name; loading a module adds to them. */
  readonly exports: KernelExports = {};
  /** A panel's worth of zeros. */
  readonly zeros: number;
  readonly #turbo: boolean;

  constructor(tile: Tile, arithmetic: Arithmetic, options: MachineOptions = {}) {
    const { threads = 1, turbo = false, group = 2, workerUrl } = options;
    this.tile = tile;
    this.arithmetic = arithmetic;
    this.group = group;
    this.#turbo = turbo;
    const shared = threads > 1;
    this.memory = new WasmMemory(new WebAssembly.Memory({ initial: 16, maximum: MAXIMUM_PAGES, shared }));
    this.zeros = this.memory.keepFloats(4 * tile.vectors).address;
    this.pool = shared ? new ThreadPool(threads, this.exports, this.memory, workerUrl) : null;
    this.runner = this.pool ?? new OneThread(this.exports);
  }

  /** Makes the functions of a module known, to every thread; those of the same name as before take their place. */
  load(define: KernelModule): void {
    const { memory } = this.memory;
    const shared = this.pool !== null;
    const { tile, arithmetic, group } = this;
    const key = `${tile.rows}x${tile.vectors} ${arithmetic.name} group:${group} turbo:${this.#turbo} shared:${shared}`;
    const code = codeOf(define, key, () => {
      const module = new ModuleBuilder();
      define(module, tile, arithmetic, group);
      return module.assemble({ initial: 1, maximum: MAXIMUM_PAGES, shared }, key);
    });
    const { exports } = new WebAssembly.Instance(code.module, { env: { memory } });
    this.pool?.load(code, Object.keys(exports));
    Object.assign(this.exports, exports);
  }
}

/** A module with the bytes that it was compiled from. */
export interface KernelCode {
  bytes: Uint8Array<ArrayBuffer>;
  module: WebAssembly.Module;
}

const compiled = /* @__PURE__ */ new Map<KernelModule, Map<string, KernelCode>>();

/** The module for a tile, compiled once per process. */
function codeOf(define: KernelModule, key: string, assemble: () => Uint8Array<ArrayBuffer>): KernelCode {
  const versions = compiled.get(define) ?? new Map<string, KernelCode>();
  compiled.set(define, versions);
  let code = versions.get(key);
  if (!code) {
    const bytes = assemble();
    versions.set(key, (code = { bytes, module: new WebAssembly.Module(bytes) }));
  }
  return code;
}

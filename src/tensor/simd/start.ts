import type * as nodeV8 from 'node:v8';
import { ThreadPool } from '../threads/pool.ts';
import { mulAdd, relaxedFma, type Arithmetic } from './arithmetic.ts';
import { f32x4, i32x4, ModuleBuilder, v128 } from './assembler.ts';
import type { Group } from './int8.ts';
import type { Tile } from './linear.ts';
import { assembleKernels } from './module.ts';
import { OneThread, type KernelExports } from './simdBase.ts';
import { SimdKernels } from './simdKernels.ts';
import { MAXIMUM_PAGES, WasmMemory } from './wasmMemory.ts';

export interface SimdOptions {
  threads: number;
  /** Ask V8 to pair 128-bit operations into 256-bit ones. A flag of the whole process. */
  turbo: boolean;
  /** Script of the workers, for pages whose policy forbids blob: URLs: a file with the text of `workerSource`. */
  workerUrl?: string | undefined;
}

/** A kernel set with its memory, and what was chosen on the way. */
export interface Simd {
  kernels: SimdKernels;
  memory: WasmMemory;
  arithmetic: Arithmetic['name'];
  tile: Tile;
  turbo: boolean;
  threads: number;
  pool: ThreadPool | null;
  notes: string[];
}

/** Starts the WebAssembly kernels. @returns the reason, when they cannot be had here */
export function startSimd({ threads, turbo, workerUrl }: SimdOptions): Simd | string {
  if (typeof WebAssembly !== 'object') return 'there is no WebAssembly here';
  try {
    if (!validates(mulAdd)) return 'this WebAssembly has no SIMD';
    const arithmetic = validates(relaxedFma) ? relaxedFma : mulAdd;
    const noTurbo = turbo ? enableTurbo() : 'not asked for (turbo: true)';
    const tile = chooseTile(arithmetic, noTurbo === null);
    const group = byteGroup(arithmetic);
    const notes: string[] = [];
    if (arithmetic === mulAdd) notes.push('fused multiply-add: no relaxed SIMD here (Node 22 and Chrome 114 have it)');
    else if (group === 2) notes.push('int8: this machine multiplies no bytes by fours (AVX-VNNI, or dotprod of ARM)');
    if (noTurbo !== null) notes.push(`turbo: ${noTurbo}`);
    const noThreads = threads > 1 ? whyNoThreads() : 'one was asked for (threads: "auto" takes every core)';
    if (noThreads !== null) notes.push(`threads: ${noThreads}`);
    const options = { turbo: noTurbo === null, threads: noThreads === null ? threads : 1, workerUrl };
    return { ...makeKernels(tile, arithmetic, { ...options, group }), ...options, notes };
  } catch (error) {
    // A page's policy may forbid compiling WebAssembly; there may be no address space for a memory.
    return `WebAssembly cannot be used here (${(error as Error).message})`;
  }
}

/** A kernel set of a given tile and arithmetic, with a memory of its own. */
export function makeKernels(
  tile: Tile,
  arithmetic: Arithmetic,
  { turbo = false, threads = 1, workerUrl, group = 2 }: Partial<SimdOptions & { group: Group }> = {},
): Pick<Simd, 'kernels' | 'memory' | 'arithmetic' | 'tile' | 'pool'> {
  const shared = threads > 1;
  const memory = new WasmMemory(new WebAssembly.Memory({ initial: 16, maximum: MAXIMUM_PAGES, shared }));
  const module = compile(tile, arithmetic, group, turbo, shared);
  const instance = new WebAssembly.Instance(module, { env: { memory: memory.memory } });
  const exports = instance.exports as unknown as KernelExports;
  const pool = shared ? new ThreadPool(threads, module, exports, memory, workerUrl) : null;
  const kernels = new SimdKernels(memory, exports, tile, group, pool ?? new OneThread(exports));
  return { kernels, memory, arithmetic: arithmetic.name, tile, pool };
}

/** @returns why threads cannot be had here, or null */
function whyNoThreads(): string | null {
  if (typeof SharedArrayBuffer === 'function') return null;
  return 'there is no SharedArrayBuffer here (a page must be cross-origin isolated: COOP and COEP headers)';
}

/** Registers are what bounds a tile: 16 of them, half as many numbers in each without revectorization. */
function chooseTile(arithmetic: Arithmetic, turbo: boolean): Tile {
  if (turbo) return arithmetic === relaxedFma ? { rows: 6, vectors: 4 } : { rows: 4, vectors: 4 };
  return arithmetic === relaxedFma ? { rows: 6, vectors: 2 } : { rows: 4, vectors: 2 };
}

const compiled = new Map<string, WebAssembly.Module>();

/** The module for a tile, compiled once per process. */
function compile(
  tile: Tile,
  arithmetic: Arithmetic,
  group: Group,
  turbo: boolean,
  shared: boolean,
): WebAssembly.Module {
  const key = `${tile.rows}x${tile.vectors} ${arithmetic.name} group:${group} turbo:${turbo} shared:${shared}`;
  const pages = { initial: 1, maximum: MAXIMUM_PAGES, shared };
  const module = compiled.get(key) ?? new WebAssembly.Module(assembleKernels(tile, arithmetic, group, pages, key));
  compiled.set(key, module);
  return module;
}

function validates(arithmetic: Arithmetic): boolean {
  const module = new ModuleBuilder();
  const x = { a: 'i32' } as const;
  module.define('probe', x, (fn, { a }) => {
    const v = fn.let(f32x4.load(a));
    fn.store(f32x4.store(a, arithmetic.multiplyAdd(v, v, v)));
  });
  return WebAssembly.validate(module.assemble({ initial: 1, maximum: 1, shared: false }));
}

/**
 * 4 where one instruction multiplies bytes by fours, of x86 with AVX-VNNI or of ARM with dotprod. Others make up for it with
 * several, which are slower than pairs are; they show by what they do with bytes above 127, which the standard leaves open.
 */
export function byteGroup(arithmetic: Arithmetic): Group {
  if (arithmetic === mulAdd) return 2;
  const module = new ModuleBuilder();
  const parameters = { a: 'i32', b: 'i32' } as const;
  module.define<typeof parameters, 'i32'>('dot', parameters, (_fn, { a, b }) => {
    const sum = i32x4.relaxed_dot_i8x16_i7x16_add_s(i32x4.splat(a), i32x4.splat(b), v128.const(0));
    return i32x4.extract_lane(sum, 0);
  });
  const bytes = module.assemble({ initial: 1, maximum: 1, shared: false });
  if (!WebAssembly.validate(bytes)) return 2;
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const { dot } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } })
    .exports as unknown as Record<'dot', (a: number, b: number) => number>;
  const lowest = i32Of(-128);
  // Four times -128 · 255, and -128 · -128: with less than 32 bits for a sum of two, they come out otherwise.
  return dot(lowest, i32Of(255)) === -130560 || dot(lowest, lowest) === 65536 ? 4 : 2;
}

/** Four times one byte. */
const i32Of = (byte: number) => new Int32Array(Uint8Array.of(byte, byte, byte, byte).buffer)[0];

/**
 * Sets V8's flag. @returns why not, or null
 *
 * Nothing is compared with the reference kernels here: V8 puts in what it has paired function by function, from another
 * thread, long after the first call, and tells nobody, so that a check at the start would try the code of the baseline compiler, and a
 * longer one could not know which it tried. (Without that compiler, by --no-liftoff at run time, V8 14 crashes.) `.ci/run`
 * runs the conformance suite with both flags set from the start instead.
 */
function enableTurbo(): string | null {
  const { process } = globalThis as { process?: NodeJS.Process };
  const version = Number(process?.versions?.v8?.split('.')[0] ?? 0);
  if (!process?.getBuiltinModule || process.versions.bun || process.versions.deno)
    return 'only Node can be asked for it';
  if (version < 13) return `V8 ${process.versions.v8} is too old (Node 24 and later have it)`;
  (process.getBuiltinModule('node:v8') as typeof nodeV8).setFlagsFromString('--experimental-wasm-revectorize');
  return null;
}

import type * as nodeV8 from 'node:v8';
import type { ThreadPool } from '../threads/pool.ts';
import { mulAdd, relaxedFma, type Arithmetic } from './arithmetic.ts';
import { ModuleBuilder } from './assembler.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as i32x4 from './instructions/i32x4.ts';
import * as v128 from './instructions/v128.ts';
import type { Group } from './int8.ts';
import type { Tile } from './linear.ts';
import { Machine, type MachineOptions } from './machine.ts';
import { defineKernels } from './module.ts';
import { SimdKernels } from './simdKernels.ts';
import type { WasmMemory } from './wasmMemory.ts';

/** A kernel set with its memory and threads. */
export interface SimdSet {
  kernels: SimdKernels;
  memory: WasmMemory;
  arithmetic: Arithmetic['name'];
  tile: Tile;
  pool: ThreadPool | null;
}

/** And what was chosen on the way. */
export interface Simd extends SimdSet {
  turbo: boolean;
  threads: number;
  notes: string[];
}

/** Starts the WebAssembly kernels. @returns the reason, when they cannot be had here */
export function startSimd({ threads, turbo, workerUrl }: Required<Omit<MachineOptions, 'group'>>): Simd | string {
  if (typeof WebAssembly !== 'object') return 'there is no WebAssembly here';
  try {
    if (!validates(mulAdd)) return 'this WebAssembly has no SIMD';
    const noTurbo = turbo ? enableTurbo() : 'not asked for (turbo: true)';
    const arithmetic = validates(relaxedFma) ? relaxedFma : mulAdd;
    const tile = chooseTile(arithmetic, noTurbo === null);
    const group = byteGroup(arithmetic);
    const notes: string[] = [];
    if (arithmetic === mulAdd) {
      const why = isExperiment()
        ? 'not asked for (turbo: true)'
        : 'no relaxed SIMD here (Node 22 and Chrome 114 have it)';
      notes.push(`fused multiply-add: ${why}`);
    } else if (isExperiment()) notes.push('int8: the dot product of bytes is wrong in this V8 (Node 24 has it)');
    else if (group === 2) notes.push('int8: no dot product of bytes here (AVX-VNNI, dotprod of ARM)');
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
export function makeKernels(tile: Tile, arithmetic: Arithmetic, options?: MachineOptions): SimdSet {
  const machine = new Machine(tile, arithmetic, options);
  machine.load(defineKernels);
  const { memory, pool } = machine;
  return { kernels: new SimdKernels(machine), memory, arithmetic: arithmetic.name, tile, pool };
}

/** @returns why threads cannot be had here, or null */
function whyNoThreads(): string | null {
  if (typeof SharedArrayBuffer === 'function') return null;
  return 'there is no SharedArrayBuffer here (a page must be cross-origin isolated: COOP and COEP headers)';
}

/** Registers are what bounds a tile: 16 of them, with 8 numbers in each where turbo pairs vectors, else 4. */
function chooseTile(arithmetic: Arithmetic, turbo: boolean): Tile {
  const rows = arithmetic === relaxedFma && !isExperiment() ? 6 : 4;
  return { rows, vectors: turbo && !isExperiment() ? 4 : 2 };
}

/**
 * Whether relaxed SIMD is still an experiment, as in V8 11.3 of Node 20: fused multiply-add is right there, and fastest with fewer
 * registers; its baseline compiler gets the dot product of bytes wrong.
 */
export const isExperiment = (): boolean => v8Version() === 11.3;

/** Its first two numbers, of Node; 0 elsewhere. */
const v8Version = (): number => {
  const { process } = globalThis as { process?: NodeJS.Process };
  return process?.versions?.bun ? 0 : Number.parseFloat(process?.versions?.v8 ?? '0');
};

function validates(arithmetic: Arithmetic): boolean {
  const module = new ModuleBuilder();
  module.define('probe', 'i', (fn, a) => {
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
  if (arithmetic === mulAdd || isExperiment()) return 2;
  const module = new ModuleBuilder();
  module.define('dot', 'ii', (_fn, a, b) => {
    const sum = i32x4.relaxed_dot_i8x16_i7x16_add_s(i32x4.splat(a), i32x4.splat(b), v128.const(0));
    return i32x4.extract_lane(sum, 0);
  });
  const bytes = module.assemble({ initial: 1, maximum: 1, shared: false });
  if (!WebAssembly.validate(bytes)) return 2;
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const { dot } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } }).exports as Record<
    'dot',
    (a: number, b: number) => number
  >;
  const lowest = 0x80808080 | 0; // four times -128, or 128; and -1 is four times that, or 255
  // Four times -128 · 255, and -128 · -128: with less than 32 bits for a sum of two, they come out otherwise.
  return dot(lowest, -1) === -130560 || dot(lowest, lowest) === 65536 ? 4 : 2;
}

/**
 * Sets V8's flag, for pairs of vectors or, in Node 20, for relaxed SIMD. @returns why not, or null
 *
 * Nothing is compared with the reference kernels here: V8 puts in what it has paired function by function, from another
 * thread, long after the first call, and tells nobody, so that a check at the start would try the code of the baseline compiler, and a
 * longer one could not know which it tried. (Without that compiler, by --no-liftoff at run time, V8 14 crashes.) `.ci/run`
 * runs the conformance suite with both flags set from the start instead.
 */
function enableTurbo(): string | null {
  const { process } = globalThis as { process?: NodeJS.Process };
  if (!process?.getBuiltinModule || process.versions.bun || process.versions.deno)
    return 'only Node can be asked for it';
  if (!isExperiment() && v8Version() < 13)
    return `V8 ${process.versions.v8} has nothing to ask for (Node 20, 24 and later have)`;
  const flag = isExperiment() ? 'relaxed-simd' : 'revectorize';
  (process.getBuiltinModule('node:v8') as typeof nodeV8).setFlagsFromString(`--experimental-wasm-${flag}`);
  return null;
}

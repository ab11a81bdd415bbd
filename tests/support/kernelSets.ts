import { mulAdd, relaxedFma, type Arithmetic } from '../../src/tensor/simd/arithmetic.ts';
import { ModuleBuilder } from '../../src/tensor/simd/assembler.ts';
import * as f32x4 from '../../src/tensor/simd/instructions/f32x4.ts';
import type { Tile } from '../../src/tensor/simd/linear.ts';
import { isExperiment, makeKernels } from '../../src/tensor/simd/start.ts';
import type { WasmMemory } from '../../src/tensor/simd/wasmMemory.ts';

/** Whether this JavaScript engine has relaxed SIMD: Node 20 has not, Node 22 and later have. */
export const hasRelaxedFma = validates(relaxedFma);

export const arithmetics: Arithmetic[] = hasRelaxedFma ? [mulAdd, relaxedFma] : [mulAdd];

export const tiles: Tile[] = [
  { rows: 4, vectors: 2 },
  { rows: 6, vectors: 2 },
  { rows: 4, vectors: 4 },
  { rows: 6, vectors: 4 },
];

/** Every kernel set that can run here, each with a memory of its own; with relaxed SIMD int8 is multiplied by fours. */
export const simdSets = arithmetics.flatMap((arithmetic) =>
  tiles.map((tile) => ({
    name: `${tile.rows}x${tile.vectors}, ${arithmetic.name}`,
    ...makeKernels(tile, arithmetic, { group: arithmetic === relaxedFma && !isExperiment() ? 4 : 2 }),
  })),
);

/** Makes a memory so large that `bytes` more do not make it grow, which would empty the views that a test holds. */
export function reserve(memory: WasmMemory, bytes: number): void {
  const mark = memory.mark();
  memory.take(bytes);
  memory.release(mark);
}

function validates(arithmetic: Arithmetic): boolean {
  const module = new ModuleBuilder();
  module.define('probe', 'i', (fn, a) => {
    const v = fn.let(f32x4.load(a));
    fn.store(f32x4.store(a, arithmetic.multiplyAdd(v, v, v)));
  });
  return WebAssembly.validate(module.assemble({ initial: 1, maximum: 1, shared: false }));
}

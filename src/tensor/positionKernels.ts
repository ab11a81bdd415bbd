import type { Engine } from './engine.ts';
import type { Kernels } from './kernels/kernels.ts';
import type { PositionKernels } from './kernels/positionKernels.ts';
import { referencePositions } from './kernels/positions.ts';
import { SimdKernels } from './simd/simdKernels.ts';
import { SimdPositions } from './simd/simdPositions.ts';

const started = /* @__PURE__ */ new WeakMap<Kernels, PositionKernels>();

/** The kernels of relative positions that belong to an engine's own, made when they are first asked for. */
export function positionKernels({ kernels }: Pick<Engine, 'kernels'>): PositionKernels {
  const positions = started.get(kernels) ?? startPositions(kernels);
  started.set(kernels, positions);
  return positions;
}

function startPositions(kernels: Kernels & Partial<PositionKernels>): PositionKernels {
  if (kernels instanceof SimdKernels) return new SimdPositions(kernels);
  return kernels.rotary ? (kernels as Kernels & PositionKernels) : referencePositions;
}

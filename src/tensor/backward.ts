import { ConfigError } from '../errors.ts';
import type { Engine } from './engine.ts';
import type { BackwardKernels } from './kernels/backwardKernels.ts';
import type { Kernels } from './kernels/kernels.ts';
import { referenceKernels } from './kernels/reference.ts';
import { referenceBackward } from './kernels/referenceBackward.ts';
import { SimdBackward } from './simd/simdBackward.ts';
import { SimdKernels } from './simd/simdKernels.ts';

const started = /* @__PURE__ */ new WeakMap<Kernels, BackwardKernels>();

/**
 * The kernels of training that belong to an engine's own, made when they are first asked for. Whatever computes gradients,
 * losses or updates gets them here (ops: from the tape), so that a program that only infers does not carry them.
 *
 * @throws ConfigError for kernels of the caller's that pack weights in their own order and have no backward kernels
 */
export function backwardKernels({ kernels }: Pick<Engine, 'kernels'>): BackwardKernels {
  const backward = started.get(kernels) ?? startBackward(kernels);
  started.set(kernels, backward);
  return backward;
}

function startBackward(kernels: Kernels & Partial<BackwardKernels>): BackwardKernels {
  if (kernels instanceof SimdKernels) return new SimdBackward(kernels);
  if (kernels.linearBackward) return kernels as Kernels & BackwardKernels;
  if (kernels.packRows === referenceKernels.packRows) return referenceBackward; // which reads weights row by row
  throw new ConfigError({
    what: `gradients on the kernels "${kernels.name}"`,
    expected: 'backward kernels beside them, for their order of weights',
    got: 'none',
    fix: 'add the methods of BackwardKernels to what Engine is given as kernels',
  });
}

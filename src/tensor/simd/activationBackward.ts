import type { ActivationName } from '../kernels/kernels.ts';
import { vectorActivations, type VectorFunction } from './activation.ts';
import type { Arithmetic } from './arithmetic.ts';
import type { ModuleBuilder } from './assembler.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as i32 from './instructions/i32.ts';
import * as v128 from './instructions/v128.ts';
import { geluSlope, geluTanhSlope, sigmoidSlope, siluSlope, tanhSlope } from './math.ts';

/** Slopes of the activations that have a kernel, by their first names. */
const slopes: Partial<Record<ActivationName, VectorFunction>> = {
  gelu: geluSlope,
  gelu_new: geluTanhSlope,
  relu: (fn, _arithmetic, x) => v128.and(f32x4.lt(fn.constant(0), x), fn.constant(1)),
  silu: siluSlope,
  tanh: tanhSlope,
  sigmoid: sigmoidSlope,
};

/** `activateBackward`: dx += dy · slope(x) of activation `number`, for `vectors` · 4 numbers. */
export function defineActivateBackward(module: ModuleBuilder, arithmetic: Arithmetic): void {
  const loops = vectorActivations.map(([[name]]) =>
    module.define(`${name}Backward`, 'iiii', (fn, dx, dy, x, vectors) => {
      fn.repeat(vectors, () => {
        const factor = slopes[name]!(fn, arithmetic, fn.let(f32x4.load(x)));
        fn.store(f32x4.store(dx, arithmetic.multiplyAdd(f32x4.load(dy), factor, f32x4.load(dx))));
        for (const pointer of [dx, dy, x]) fn.advance(pointer, 16);
      });
    }),
  );
  module.define('activateBackward', 'iiiii', (fn, number, dx, dy, x, vectors) => {
    loops.forEach((loop, i) => {
      fn.if(i32.eq(number, i + 1), () => fn.call(loop, dx, dy, x, vectors));
    });
  });
}

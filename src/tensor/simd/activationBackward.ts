import type { ActivationName } from '../kernels/kernels.ts';
import { vectorActivations, type VectorFunction } from './activation.ts';
import type { Arithmetic } from './arithmetic.ts';
import type { ModuleBuilder } from './assembler.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as i32 from './instructions/i32.ts';
import * as v128 from './instructions/v128.ts';
import { forVectors } from './rows.ts';
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
      forVectors(fn, vectors, 2, [dx, dy, x], (numbers) => {
        const xs = numbers.map((v) => fn.let(f32x4.load(x, 16 * v)));
        const factors = xs.map((value) => fn.let(slopes[name]!(fn, arithmetic, value)));
        const sums = factors.map((factor, v) =>
          fn.let(arithmetic.multiplyAdd(f32x4.load(dy, 16 * v), factor, f32x4.load(dx, 16 * v))),
        );
        sums.forEach((sum, v) => fn.store(f32x4.store(dx, sum, 16 * v)));
      });
    }),
  );
  module.define('activateBackward', 'iiiii', (fn, number, dx, dy, x, vectors) => {
    loops.forEach((loop, i) => {
      fn.if(i32.eq(number, i + 1), () => fn.call(loop, dx, dy, x, vectors));
    });
  });
}

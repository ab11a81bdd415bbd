import type { ActivationName } from '../kernels/kernels.ts';
import { vectorActivations } from './activation.ts';
import type { Arithmetic } from './arithmetic.ts';
import type { FunctionBuilder, ModuleBuilder } from './assembler.ts';
import type { Local, Value } from './instructions/encoding.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as i32 from './instructions/i32.ts';
import * as v128 from './instructions/v128.ts';
import { geluTanhWithSlope, geluWithSlope, sigmoidWithSlope, siluWithSlope, tanhWithSlope } from './math.ts';
import { forVectors } from './rows.ts';

type WithSlope = (
  fn: FunctionBuilder,
  arithmetic: Arithmetic,
  x: Local<'v128'>,
) => readonly [y: Value<'v128'>, slope: Value<'v128'>];

/** Values and slopes of the activations that have a kernel, by their first names. */
const withSlopes: Partial<Record<ActivationName, WithSlope>> = {
  gelu: geluWithSlope,
  gelu_new: geluTanhWithSlope,
  relu: (fn, _arithmetic, x) => [f32x4.pmax(x, fn.constant(0)), v128.and(f32x4.lt(fn.constant(0), x), fn.constant(1))],
  silu: siluWithSlope,
  tanh: tanhWithSlope,
  sigmoid: sigmoidWithSlope,
};

/** `activateWithSlopes`: y = f(x) and slopes = f′(x), in x's place if they have its address, of activation `number`; `vectors` · 4 numbers. */
export function defineActivateWithSlopes(module: ModuleBuilder, arithmetic: Arithmetic): void {
  const loops = vectorActivations.map(([[name]]) =>
    module.define(`${name}WithSlopes`, 'iiii', (fn, y, slopes, x, vectors) => {
      forVectors(fn, vectors, 2, [y, slopes, x], (numbers) => {
        const xs = numbers.map((v) => fn.let(f32x4.load(x, 16 * v)));
        const both = xs.map((value) => withSlopes[name]!(fn, arithmetic, value).map((result) => fn.let(result)));
        [y, slopes].forEach((to, i) => both.forEach((pair, v) => fn.store(f32x4.store(to, pair[i], 16 * v))));
      });
    }),
  );
  module.define('activateWithSlopes', 'iiiii', (fn, number, ...args) => {
    loops.forEach((loop, i) => fn.if(i32.eq(number, i + 1), () => fn.call(loop, ...args)));
  });
}

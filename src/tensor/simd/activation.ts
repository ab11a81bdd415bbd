import type { ActivationName, FunctionName } from '../kernels/kernels.ts';
import type { Arithmetic } from './arithmetic.ts';
import type { FunctionBuilder, FunctionReference, ModuleBuilder } from './assembler.ts';
import type { Local, Value } from './instructions/encoding.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as i32 from './instructions/i32.ts';
import { gelu, geluTanh, sigmoid, tanh } from './math.ts';

export type VectorFunction = (fn: FunctionBuilder, arithmetic: Arithmetic, x: Local<'v128'>) => Value<'v128'>;

const relu: VectorFunction = (fn, _arithmetic, x) => f32x4.pmax(x, fn.constant(0));
const silu: VectorFunction = (fn, arithmetic, x) => f32x4.mul(x, sigmoid(fn, arithmetic, x));

/** Activations with a kernel of their own, numbered from 1. The rest of the table is computed by the reference kernels. */
export const vectorActivations: [names: ActivationName[], compute: VectorFunction][] = [
  [['gelu', 'gelu_python'], gelu],
  [['gelu_new', 'gelu_pytorch_tanh', 'gelu_python_tanh', 'gelu_accurate'], geluTanh],
  [['relu'], relu],
  [['silu', 'swish'], silu],
  [['tanh'], tanh],
  [['sigmoid'], sigmoid],
];

/** The number by which kernels know an activation: 0 for none, undefined where there is no kernel for it. */
export function activationNumber(name: FunctionName): number | undefined {
  if (name === 'linear') return 0;
  const index = vectorActivations.findIndex(([names]) => names.includes(name as ActivationName));
  return index < 0 ? undefined : index + 1;
}

/**
 * `activate`: y = activation `number` of x, which may be y, for `rows` rows of `vectors` · 4 numbers, `stride` bytes apart.
 * One loop per activation, so that each is compiled on its own.
 */
export function defineActivate(module: ModuleBuilder, arithmetic: Arithmetic): FunctionReference<null> {
  const loops = vectorActivations.map(([[name], compute]) =>
    module.define(name, 'iiiii', (fn, y, x, rows, vectors, stride) => {
      const [to, from] = fn.locals('i32');
      const column = (vectors: number) => {
        fn.set(to, y);
        fn.set(from, x);
        fn.repeat(rows, () => {
          const loaded = Array.from({ length: vectors }, (_, v) => fn.let(f32x4.load(from, 16 * v)));
          const results = loaded.map((v) => fn.let(compute(fn, arithmetic, v)));
          results.forEach((v, i) => fn.store(f32x4.store(to, v, 16 * i)));
          for (const address of [to, from]) fn.advance(address, stride);
        });
      };
      // Two vectors at a time: there is waiting in the formulas, and revectorization pairs them.
      fn.repeat(i32.shr_u(vectors, 1), () => {
        column(2);
        for (const address of [y, x]) fn.advance(address, 32);
      });
      fn.if(i32.and(vectors, 1), () => column(1));
    }),
  );
  return module.define('activate', 'iiiiii', (fn, number, ...args) => {
    loops.forEach((loop, i) => {
      fn.if(i32.eq(number, i + 1), () => fn.call(loop, ...args));
    });
  });
}

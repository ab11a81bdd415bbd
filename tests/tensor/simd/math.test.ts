import { describe, expect, it } from 'vitest';
import { referenceKernels, type ActivationName } from '../../../src/tensor/index.ts';
import { mulAdd, type Arithmetic } from '../../../src/tensor/simd/arithmetic.ts';
import { ModuleBuilder, type FunctionBuilder } from '../../../src/tensor/simd/assembler.ts';
import type { Local, Value } from '../../../src/tensor/simd/instructions/encoding.ts';
import * as f32x4 from '../../../src/tensor/simd/instructions/f32x4.ts';
import { exp, polynomial } from '../../../src/tensor/simd/math.ts';
import { makeKernels } from '../../../src/tensor/simd/start.ts';
import { arithmetics } from '../../support/kernelSets.ts';

/** A function of vectors over an array whose length is a multiple of four. */
function over(values: readonly number[], f: (fn: FunctionBuilder, x: Local<'v128'>) => Value<'v128'>): Float32Array {
  const pages = { initial: 100, maximum: 100, shared: false };
  const module = new ModuleBuilder();
  module.define('f', 'ii', (fn, at, vectors) => {
    fn.repeat(vectors, () => {
      fn.store(f32x4.store(at, f(fn, fn.let(f32x4.load(at)))));
      fn.advance(at, 16);
    });
  });
  const memory = new WebAssembly.Memory(pages);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.assemble(pages)), { env: { memory } });
  const array = new Float32Array(memory.buffer, 0, values.length);
  array.set(values);
  (exports.f as (at: number, vectors: number) => void)(0, values.length / 4);
  return array;
}

const grid = (from: number, to: number, n = 100_000) =>
  Array.from({ length: n }, (_, i) => Math.fround(from + ((to - from) * i) / (n - 1)));

describe.each(arithmetics)('with $name', (arithmetic: Arithmetic) => {
  const { kernels } = makeKernels({ rows: 4, vectors: 2 }, arithmetic);

  it('exp: within 1.2e-7 of its value from -87 to 88, and the edges beyond', () => {
    const x = grid(-87, 88);
    const y = over(x, (fn, v) => exp(fn, arithmetic, v));
    const worst = Math.max(...[...y].map((value, i) => Math.abs(value / Math.exp(x[i]) - 1)));
    expect(worst).toBeLessThan(1.2e-7); // measured: 1.1e-7
    const edges = over([0, -0, NaN, 100, Infinity, -88, -Infinity, 1e-30], (fn, v) => exp(fn, arithmetic, v));
    const [least, most] = [Math.exp(-87), Math.exp(88)];
    [1, 1, NaN, most, most, least, least, 1].forEach((expected, i) => {
      if (Number.isNaN(expected)) expect(edges[i]).toBeNaN();
      else expect(Math.abs(edges[i] / expected - 1)).toBeLessThan(1.2e-7);
    });
    expect([edges[0], edges[1]]).toEqual([1, 1]); // so that a softmax of one number is exactly 1
  });

  it('polynomial: coefficients from the lowest', () => {
    const y = over([0, 1, 2, -3], (fn, x) => polynomial(fn, arithmetic, x, [1, 2, 3]));
    expect([...y]).toEqual([1, 6, 17, 22]);
  });

  /** f(x) of the kernels and, in float64, of the reference kernels. */
  function both(name: ActivationName, values: readonly number[]): [number[], number[]] {
    const [y, expected] = [new Float32Array(values.length), new Float64Array(values.length)];
    kernels.activation(y, Float32Array.from(values), name);
    referenceKernels.activation(expected, Float64Array.from(values, Math.fround), name);
    return [[...y], [...expected]];
  }

  /** Largest error over a grid: absolute, and as a part of |x| or |f(x)|, whichever is larger. */
  function errors(name: ActivationName, range: number): { absolute: number; relative: number } {
    const x = [...grid(-range, range), ...grid(-range / 1000, range / 1000, 1000)];
    const [y, expected] = both(name, x);
    const off = y.map((value, i) => Math.abs(value - expected[i]));
    return {
      absolute: Math.max(...off),
      relative: Math.max(...off.map((e, i) => (e === 0 ? 0 : e / Math.max(Math.abs(x[i]), Math.abs(expected[i]))))),
    };
  }

  // Measured with both arithmetics, to two places; 6e-8 is half a unit in the last place of 1.
  const limits: [ActivationName, range: number, absolute: number, relative: number][] = [
    ['gelu', 100, 2.5e-7, 1.2e-7],
    ['gelu', 1, 8e-8, 1.2e-7],
    ['gelu_new', 100, 4.4e-7, 1.1e-7],
    ['gelu_new', 1, 9e-8, 1.1e-7],
    ['tanh', 100, 8.4e-8, 1.4e-7],
    ['tanh', 0.01, 6e-10, 6e-8],
    ['sigmoid', 100, 9e-8, 1.2e-7],
    ['silu', 100, 1.3e-6, 1.4e-7],
    ['relu', 100, 0, 0],
  ];
  it.each(limits)('%s: on ±%d, within %d and within %d of max(|x|, |f(x)|)', (name, range, absolute, relative) => {
    const worst = errors(name, range);
    expect(worst.absolute).toBeLessThanOrEqual(absolute);
    expect(worst.relative).toBeLessThanOrEqual(relative);
  });

  it('tanh is right to 1.6e-7 of its own value everywhere, so small outputs keep their digits', () => {
    for (const range of [1e-30, 1e-6, 0.1, 1, 20]) {
      const x = grid(-range, range, 20_000);
      const [y, expected] = both('tanh', x);
      const worst = Math.max(...y.map((value, i) => (expected[i] === 0 ? 0 : Math.abs(value / expected[i] - 1))));
      expect(worst).toBeLessThan(1.6e-7);
    }
  });

  it('NaN stays NaN in every lane, and disturbs no other', () => {
    for (const name of ['gelu', 'gelu_new', 'tanh', 'sigmoid', 'silu', 'relu'] as const) {
      for (let lane = 0; lane < 7; lane++) {
        const x = [0.1, -0.2, 0.3, -0.4, 0.5, -0.6, 0.7];
        const [alone] = both(name, x);
        const [y] = both(name, x.with(lane, NaN));
        expect(y).toEqual(alone.with(lane, NaN));
      }
    }
  });

  it('at ±0, ±30, ±100, ±1e38 and ±∞ what the limit is', () => {
    const x = [0, -0, 30, -30, 100, -100, 1e38, -1e38, Infinity, -Infinity];
    const limits: Partial<Record<ActivationName, number[]>> = {
      gelu: [0, -0, 30, 0, 100, 0, 1e38, 0, Infinity, 0],
      gelu_new: [0, -0, 30, 0, 100, 0, 1e38, 0, Infinity, NaN],
      tanh: [0, -0, 1, -1, 1, -1, 1, -1, 1, -1],
      sigmoid: [0.5, 0.5, 1, Math.exp(-30), 1, 0, 1, 0, 1, 0],
      relu: [0, -0, 30, 0, 100, 0, 1e38, 0, Infinity, 0],
      // At -∞ the formula is -∞ · 0, which PyTorch makes NaN; here the 0 is 6e-39. Neither is a number to go on with.
      silu: [0, -0, 30, -30 * Math.exp(-30), 100, 0, 1e38, -0.6, Infinity, -Infinity],
    };
    for (const [name, expected] of Object.entries(limits) as [ActivationName, number[]][]) {
      const [y] = both(name, x);
      y.forEach((value, i) => {
        const of = Math.fround(expected[i]);
        if (Number.isNaN(of) || Math.abs(of) === Infinity || x[i] === 0)
          expect([name, x[i], value]).toEqual([name, x[i], of]);
        else if (name === 'silu' && x[i] === -1e38)
          expect(Math.abs(value)).toBeLessThan(1); // 1e38 times 6e-39
        else
          expect(Math.abs(value - of), `${name}(${x[i]}) = ${value}`).toBeLessThanOrEqual(
            1.5e-7 * Math.abs(of) + 1e-36,
          );
      });
    }
  });
});

describe('a polynomial', () => {
  it('of one coefficient is that number', () => {
    expect([...over([1, 2, 3, 4], (fn, x) => polynomial(fn, mulAdd, x, [5]))]).toEqual([5, 5, 5, 5]);
  });
});

import { describe, expect, it } from 'vitest';
import { Engine } from '../../src/tensor/index.ts';
import { makeKernels } from '../../src/tensor/simd/start.ts';
import { cases, distance, run } from '../support/gradients.ts';
import { arithmetics, tiles } from '../support/kernelSets.ts';

const float64 = new Engine({ dtype: 'float64' });
const reference = new Engine({ kernels: 'reference' });
const simd = new Engine({ kernels: 'simd', threads: 1 });
const threaded = new Engine({ kernels: 'simd', threads: 2 });
const others = arithmetics.flatMap((arithmetic) =>
  tiles.map((tile) => new Engine({ kernels: makeKernels(tile, arithmetic).kernels })),
);

describe.each(Object.entries(cases))('gradients of %s', (_, test) => {
  const expected = run(float64, test);

  it('are those of finite differences', () => {
    const step = 1e-5;
    for (const [name, gradient] of Object.entries(expected.gradients)) {
      const largest = gradient.reduce((max, x) => Math.max(max, Math.abs(x)), 1e-3);
      const stride = Math.ceil(gradient.length / 40);
      for (let index = 0; index < gradient.length; index += stride) {
        const [above, below] = [step, -step].map((by) => run(float64, test, { name, index, by }).loss);
        const difference = (above - below) / (2 * step);
        if (Math.abs(difference - gradient[index]) > 1e-6 * Math.max(largest, Math.abs(expected.loss))) {
          expect.fail(`${name}[${index}]: ${gradient[index]}, by differences ${difference}`);
        }
      }
    }
  });

  it('are within 1e-6 on the float32 reference kernels', () => {
    expect(distance(run(reference, test), expected)).toBeLessThan(1e-6);
  });

  it('are within 1e-5 on SIMD, whatever the tile', () => {
    for (const engine of [simd, ...others]) expect(distance(run(engine, test), expected)).toBeLessThan(1e-5);
  });

  it('are the same bits on two threads', () => {
    const [one, two] = [run(simd, test), run(threaded, test)];
    expect(two).toEqual(one);
  });
});

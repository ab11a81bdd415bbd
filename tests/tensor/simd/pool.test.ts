import { afterAll, describe, expect, it } from 'vitest';
import { backwardKernels } from '../../../src/tensor/index.ts';
import { makeKernels } from '../../../src/tensor/simd/start.ts';
import { SLOT } from '../../../src/tensor/threads/pool.ts';
import { workerSource } from '../../../src/tensor/threads/workerSource.ts';
import { arithmetics } from '../../support/kernelSets.ts';

const tile = { rows: 4, vectors: 2 };
const step = {
  ...{ stepSize: 1e-3, beta1: 0.9, beta2: 0.98, eps: 1e-6, inverseRootCorrection: 1.7, decay: 0.999 },
  ...{ l2: 0, gradScale: 1 },
};

describe('worker threads that are given the kernels of training when it begins', () => {
  const { kernels, pool } = makeKernels(tile, arithmetics[0], { threads: 3 });
  afterAll(() => pool?.close());

  const ready = async () => {
    const start = performance.now();
    while (!pool!.isReady && performance.now() - start < 20_000) await new Promise((done) => setTimeout(done, 5));
    return pool!.isReady;
  };

  /** One step of Adam and the length of the result, on kernels that have the numbers in their memory. */
  const update = ({ kernels, memory }: ReturnType<typeof makeKernels>) => {
    const length = 2 ** 18;
    const [p, grad, m, v] = [1, 2, 3, 4].map((seed) => {
      const block = memory.keepFloats(length);
      block.data.set(Float32Array.from({ length }, (_, i) => Math.abs(Math.sin(seed * i))));
      return block;
    });
    const backward = backwardKernels({ kernels });
    backward.adamW(p.data, grad.data, m.data, v.data, step);
    return [backward.sumSquares(p.data), ...p.data.slice(-9)];
  };

  it('learn them without being started again, and compute the same bits', async () => {
    expect(await ready()).toBe(true);
    const set = { kernels, memory: kernels.machine.memory } as ReturnType<typeof makeKernels>;
    const alone = update(makeKernels(tile, arithmetics[0]));
    expect(update(set)).toEqual(alone); // most likely by this thread
    expect(await ready()).toBe(true);
    const { exports } = kernels.machine;
    const { adamW } = exports;
    let calls = 0; // by this thread
    exports.adamW = (...args) => {
      calls++;
      return adamW(...args);
    };
    for (let i = 0; i < 20; i++) expect(update(set)).toEqual(alone);
    const alone20 = 20 * 11; // calls that one thread would have to make
    expect(calls).toBeLessThan(alone20);
  });

  it('have room for the arguments of every kernel, with scratch memory where it takes some', () => {
    const most = Object.entries(kernels.machine.exports).map(([name, { length }]) => `${length} ${name}`);
    expect(most.filter((one) => parseInt(one) > SLOT - 2)).toEqual([]);
    expect(most.filter((one) => parseInt(one) > 20).length).toBeGreaterThan(0);
    expect(workerSource).toContain(`const SLOT = ${SLOT};`);
  });

  it('go on with the kernels that they had', async () => {
    expect(await ready()).toBe(true);
    const [rows, size] = [64, 512];
    const [x, w] = [rows, size].map((n) => Float32Array.from({ length: n * size }, (_, i) => Math.sin(i * n)));
    const [y, alone] = [0, 1].map(() => new Float32Array(rows * size));
    kernels.linear(y, x, w, null, 'gelu', rows, size, size);
    makeKernels(tile, arithmetics[0]).kernels.linear(alone, x, w, null, 'gelu', rows, size, size);
    expect([...y]).toEqual([...alone]);
  });
});

describe('kernels of the caller', () => {
  const { kernels } = makeKernels(tile, arithmetics[0]);

  it('that pack weights their own way must bring their backward kernels', () => {
    const own = { ...kernels, name: 'mine', packRows: () => {} } as unknown as typeof kernels;
    expect(() => backwardKernels({ kernels: own })).toThrow(
      'gradients on the kernels "mine": expected backward kernels beside them, for their order of weights, got none; ' +
        'add the methods of BackwardKernels to what Engine is given as kernels',
    );
  });
});

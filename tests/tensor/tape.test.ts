import { describe, expect, it } from 'vitest';
import { ConfigError, InputError, ScopeError } from '../../src/errors.ts';
import {
  add,
  backwardKernels,
  checkpoint,
  dropout,
  Engine,
  linear,
  mean,
  multiply,
  referenceBackward,
  referenceKernels,
  sum,
  withGradients,
  withoutGradients,
  zeroGradients,
  type BackwardKernels,
  type Tensor,
} from '../../src/tensor/index.ts';
import { cases, distance, run } from '../support/gradients.ts';
import { simdSets } from '../support/kernelSets.ts';

const engines = {
  reference: new Engine({ kernels: 'reference' }),
  simd: new Engine({ kernels: 'simd', threads: 1 }),
  threads: new Engine({ kernels: 'simd', threads: 2 }),
};
const { simd: engine } = engines;

/** Numbers that stay: 1, 2, 3, … */
function parameter(shape: number[], on = engine): Tensor {
  const tensor = on.keep(shape);
  tensor.data.forEach((_, i, data) => (data[i] = i + 1));
  return tensor;
}
const total = (x: Tensor) => sum(x.reshape([x.size]));

describe('withGradients', () => {
  it('adds: of several uses, of several losses, of several calls', () => {
    const x = parameter([2]);
    const square = (factor?: number) =>
      withGradients([x], (backward) => {
        const y = multiply(x, x);
        backward(total(y), factor);
        backward(total(add(y, y)));
      });
    square();
    expect([...x.grad!.data]).toEqual([6, 12]); // 2x + 2·2x
    square(0.5);
    expect([...x.grad!.data]).toEqual([11, 22]);
  });

  it('begins at zero after zeroGradients, whether the first gradient is all of it or none comes', () => {
    const own = new Engine({ kernels: 'simd', threads: 1 });
    const [x, unused] = [parameter([8, 8], own), parameter([2], own)];
    const step = () => withGradients([x, unused], (backward) => backward(total(linear(x, x)))); // x twice: one gradient for two inputs
    step();
    const first = [...x.grad!.data];
    step();
    expect([...x.grad!.data]).toEqual(first.map((g) => 2 * g));
    unused.grad!.data.fill(NaN);
    zeroGradients([x, unused]);
    expect([...unused.grad!.data]).toEqual([0, 0]);
    step();
    expect([...x.grad!.data]).toEqual(first);
    zeroGradients([x]);
    expect([...x.grad!.reshape([64]).data]).toEqual(first.map(() => 0));
  });

  it('records nothing without a tape, nor for what no gradient is wanted of', () => {
    const [x, y] = [parameter([2]), parameter([2])];
    expect(engine.tape).toBeNull();
    withGradients([x], (backward) => backward(total(multiply(x, y))));
    expect(y.grad).toBeNull();
    expect([...x.grad!.data]).toEqual([1, 2]);
  });

  it('leaves alone what is frozen', () => {
    const [x, y] = [parameter([2]), parameter([2])];
    Object.assign(y, { requiresGrad: false });
    withGradients([x, y], (backward) => backward(total(multiply(x, y))));
    expect(y.grad).toBeNull();
  });

  it('keeps what inner scopes make until its own scope ends, and no longer', () => {
    const x = parameter([2]);
    let inner: Tensor | undefined;
    withGradients([x], (backward) => {
      const y = engine.scope(() => {
        inner = multiply(x, x);
        return multiply(inner, x);
      });
      backward(total(y));
    });
    expect([...x.grad!.data]).toEqual([3, 12]);
    expect(() => inner!.data).toThrow(ScopeError);
  });

  it('gives the memory of a step back: more steps take no more', () => {
    const own = new Engine({ kernels: 'simd', threads: 1 });
    const x = parameter([400, 400], own);
    const step = () =>
      withGradients([x], (backward) => {
        let y = x;
        for (let i = 0; i < 20; i++) y = linear(y, x, null, 'tanh');
        backward(total(y));
      });
    step();
    const { memory } = own.info();
    for (let i = 0; i < 5; i++) step();
    expect(own.info().memory).toBe(memory);
    // 40 results, and no more than a few of their 40 gradients at a time; memory grows by 16 MiB.
    expect(memory).toBeLessThan(60 * 4 * 400 * 400);
  });

  it('names what is wrong', () => {
    const x = parameter([2]);
    const inside = (body: (backward: (loss: Tensor) => void) => void) => () => withGradients([x], body);
    expect(inside((backward) => backward(multiply(x, x)))).toThrow(
      new InputError({
        what: 'backward: loss',
        expected: 'a single number',
        got: '[2]',
        fix: 'take the mean or the sum',
      }),
    );
    expect(inside((backward) => backward(engine.tensor([1], [])))).toThrow('that depends on a parameter');
    expect(inside(() => withGradients([x], () => {}))).toThrow(ScopeError);
    expect(() => withGradients([], () => {})).toThrow(InputError);
    const matrix = engine.keepMatrix(3, 2, 'q8');
    expect(inside(() => linear(x.reshape([1, 2]), matrix))).toThrow('load with dtype "f32"');
    expect(() => withGradients([matrix], () => {})).toThrow(ConfigError);
    expect(engine.tape).toBeNull();
    expect(() => engine.keep([1])).not.toThrow(); // no scope stayed open
  });
});

describe('withoutGradients', () => {
  it('records nothing, and inner scopes end', () => {
    const x = parameter([2]);
    withGradients([x], (backward) => {
      let inside: Tensor | undefined;
      const y = withoutGradients(engine, () => {
        inside = multiply(x, x);
        return multiply(inside, x);
      });
      expect(() => inside!.data).toThrow(ScopeError);
      backward(total(multiply(x, y)));
    });
    expect([...x.grad!.data]).toEqual([1, 8]); // y = x³ is a constant
  });
});

describe('dropout', () => {
  const keys = Int32Array.from({ length: 500 }, (_, row) => 7 * row + 3);
  const drop = (on: Engine, rows: Int32Array, size: number, seed = {}, times = 1): number[] => {
    const x = on.keep([rows.length, size]);
    x.data.fill(1);
    return withGradients(
      [x],
      () => {
        let y = x;
        for (let i = 0; i < times; i++) y = dropout(x, 0.25, rows);
        return [...y.data];
      },
      seed,
    );
  };

  it('takes out the part it is told to, and makes up for it', () => {
    const values = drop(engine, keys, 64);
    expect(new Set(values)).toEqual(new Set([0, Math.fround(4 / 3)]));
    const dropped = values.filter((value) => value === 0).length / values.length;
    expect(Math.abs(dropped - 0.25)).toBeLessThan(4 * Math.sqrt((0.25 * 0.75) / values.length));
    for (let column = 0; column < 64; column++) {
      const part = keys.reduce((count, _, row) => count + Number(values[row * 64 + column] === 0), 0) / keys.length;
      expect(Math.abs(part - 0.25)).toBeLessThan(5 * Math.sqrt((0.25 * 0.75) / keys.length));
    }
  });

  it('takes out the same on every kernel set, thread count and size', () => {
    for (const size of [64, 7]) {
      const expected = drop(engines.reference, keys, size);
      expect(drop(engines.simd, keys, size)).toEqual(expected);
      expect(drop(engines.threads, keys, size)).toEqual(expected);
    }
  });

  it('goes by the key of a row, not by its place', () => {
    const together = drop(engine, keys, 8);
    const order = Int32Array.from(keys, (_, row) => (row * 3) % keys.length); // 3 and 500 have no divisor in common
    const shuffled = drop(
      engine,
      order.map((row) => keys[row]),
      8,
    );
    order.forEach((row, i) => {
      expect(shuffled.slice(8 * i, 8 * i + 8)).toEqual(together.slice(8 * row, 8 * row + 8));
    });
  });

  it('differs by seed, by step and from call to call', () => {
    const masks = [{}, { seed: 1 }, { step: 1 }].map((seed) => drop(engine, keys, 8, seed).join());
    masks.push(drop(engine, keys, 8, {}, 2).join());
    expect(new Set(masks).size).toBe(4);
  });

  it('needs a tape, and a probability below 1', () => {
    const x = parameter([2, 2]);
    expect(() => dropout(x, 0.5, Int32Array.of(1, 2))).toThrow(ConfigError);
    for (const probability of [1, -0.1, NaN]) {
      expect(() => withGradients([x], () => void dropout(x, probability, Int32Array.of(1, 2)))).toThrow(ConfigError);
    }
    expect(() => withGradients([x], () => void dropout(x, 0.5, Int32Array.of(1)))).toThrow('dropout: keys: expected 2');
  });
});

describe('checkpoint', () => {
  const own = new Engine({ kernels: 'simd', threads: 1 });
  const keys = Int32Array.from({ length: 400 }, (_, row) => row);
  const weight = parameter([400, 400], own);
  weight.data.forEach((_, i, data) => (data[i] = Math.sin(i) / 20));
  const block = (x: Tensor) => {
    let y = x;
    for (let i = 0; i < 4; i++) y = dropout(linear(y, weight, null, 'tanh'), 0.1, keys);
    return y;
  };
  const gradient = (wrap: (x: Tensor) => Tensor) => {
    weight.grad?.data.fill(0);
    const loss = withGradients([weight], (backward) => {
      let y = linear(weight, weight);
      for (let i = 0; i < 5; i++) y = wrap(y);
      const loss = mean(multiply(y, y).reshape([y.size]));
      backward(loss);
      return loss.data[0];
    });
    return [loss, ...weight.grad!.data];
  };

  it('changes neither loss nor gradients, dropout included, and takes less memory', () => {
    const recomputed = gradient((x) => checkpoint(block, x));
    const before = own.info().memory;
    expect(gradient(block)).toEqual(recomputed);
    expect(own.info().memory).toBeGreaterThan(before + 20 * 4 * 400 * 400);
  });

  it('refuses tensors from outside whose gradient would be lost', () => {
    const run = (inside: boolean) =>
      withGradients([weight], (backward) => {
        const [x, outside] = [linear(weight, weight), linear(weight, weight)];
        const y = inside
          ? checkpoint((a, b) => multiply(a, b), x, outside)
          : checkpoint((a) => multiply(a, outside), x);
        backward(mean(y.reshape([y.size])));
      });
    expect(() => run(true)).not.toThrow();
    expect(() => run(false)).toThrow('checkpoint: a tensor [400, 400] computed outside');
  });
});

describe('the comparison of gradients notices', () => {
  const reference = referenceBackward;
  const mistakes: [mistake: string, check: string, kernels: Partial<BackwardKernels>][] = [
    [
      'a layer norm with another eps',
      'layerNorm of 24',
      {
        layerNormBackward: (dx, dResidual, dWeight, dBias, dy, x, residual, weight, _eps, rows, size) =>
          reference.layerNormBackward(dx, dResidual, dWeight, dBias, dy, x, residual, weight, 1e-3, rows, size),
      },
    ],
    [
      'a softmax without the mean',
      'softmax',
      { softmaxBackward: (dx, dy, y) => dx.forEach((_, i) => (dx[i] += y[i] * dy[i])) },
    ],
    [
      'attention scores of another scale',
      'attention, heads of 8',
      {
        attentionBackward: (dq, dk, dv, dBias, dy, q, k, v, offsets, heads, size, scale, ...rest) =>
          reference.attentionBackward(dq, dk, dv, dBias, dy, q, k, v, offsets, heads, size, 1.001 * scale, ...rest),
      },
    ],
    [
      'a gradient that is written, not added',
      'linear without bias, a matrix used twice',
      {
        linearBackward: (dx, dWeight, ...rest) => {
          dWeight?.fill(0);
          reference.linearBackward(dx, dWeight, ...rest);
        },
      },
    ],
    [
      'the slope of the tanh form of GELU',
      'activation gelu',
      { activationWithSlopes: (y, slopes, x) => reference.activationWithSlopes(y, slopes, x, 'gelu_new') },
    ],
    [
      'a smoothed target without its part of the label',
      'crossEntropy, smoothed',
      {
        crossEntropyBackward: (dx, dLosses, x, labels, _smoothing, rows, size) =>
          reference.crossEntropyBackward(dx, dLosses, x, labels, 0.11, rows, size),
      },
    ],
  ];
  it.each(mistakes)('%s', (_, name, kernels) => {
    const expected = run(new Engine({ dtype: 'float64' }), cases[name]);
    const wrong = new Engine({ kernels: { ...referenceKernels, ...reference, ...kernels } });
    expect(distance(run(new Engine({ kernels: 'reference' }), cases[name]), expected)).toBeLessThan(1e-6);
    expect(distance(run(wrong, cases[name]), expected)).toBeGreaterThan(1e-5);
  });
});

describe('kernels of optimizers', () => {
  const numbers = (length: number, seed: number) =>
    Float32Array.from({ length }, (_, i) => Math.sin(seed + 1.7 * i) + Math.cos(0.3 * i * seed));
  const step = {
    stepSize: 3e-3,
    beta1: 0.9,
    beta2: 0.98,
    eps: 1e-6,
    inverseRootCorrection: 1.7,
    decay: 0.999,
    l2: 0.02,
    gradScale: 0.7,
  };

  it.each(simdSets)('adamW and sumSquares are those of the reference: $name', ({ kernels }) => {
    const backward = backwardKernels({ kernels });
    for (const length of [1, 3, 4, 17, 1000, 70_003]) {
      const grad = numbers(length, 2);
      const [ours, theirs] = [0, 1].map(() => [
        numbers(length, 1),
        numbers(length, 3),
        numbers(length, 4).map(Math.abs),
      ]);
      for (let i = 0; i < 3; i++) {
        backward.adamW(ours[0], grad, ours[1], ours[2], step);
        referenceBackward.adamW(theirs[0], grad, theirs[1], theirs[2], step);
      }
      ours.forEach((array, n) => {
        expect(array.reduce((most, x, i) => Math.max(most, Math.abs(x - theirs[n][i])), 0)).toBeLessThan(2e-6);
      });
      const exact = referenceBackward.sumSquares(grad);
      expect(Math.abs(backward.sumSquares(grad) / exact - 1)).toBeLessThan(2e-6);
    }
  });

  it.each(simdSets)(
    'adamW of some runs is that of all, where the others have no gradient yet: $name',
    ({ kernels }) => {
      for (const backward of [backwardKernels({ kernels }), referenceBackward]) {
        for (const [length, ...runs] of [
          [70_003, [0, 5], [6, 7], [64, 1000], [1001, 60_000], [70_001, 70_003]],
          [17, [16, 17]],
          [16, [3, 4]],
          [12],
        ] as [number, ...[number, number][]][]) {
          const within = (x: number, i: number) => (runs.some(([begin, end]) => i >= begin && i < end) ? x : 0);
          /** Three steps from zero moments. */
          const after = (runs: [number, number][] | null) => {
            const [p, m, v] = [numbers(length, 1), new Float32Array(length), new Float32Array(length)];
            for (const seed of [2, 3, 4]) {
              backward.adamW(p, numbers(length, seed).map(within), m, v, { ...step, l2: 0 }, runs);
            }
            return [p, m, v];
          };
          expect(after(runs)).toEqual(after(null));
          if (length > 100) expect(after(runs.slice(0, -2))).not.toEqual(after(null)); // the twin
        }
      }
    },
  );

  it('have the same bits on two threads', () => {
    const [one, two] = [engines.simd, engines.threads].map((on) => {
      const arrays = [1, 2, 3, 4].map((seed) => {
        const tensor = on.keep([300_000]);
        tensor.data.set(numbers(300_000, seed).map(Math.abs));
        return tensor;
      });
      const [p, grad, m, v] = arrays.map(({ data }) => data);
      const kernels = backwardKernels(on);
      kernels.adamW(p, grad, m, v, step);
      return [kernels.sumSquares(grad), ...p.slice(0, 1000), ...v.slice(-1000)];
    });
    expect(two).toEqual(one);
  });
});

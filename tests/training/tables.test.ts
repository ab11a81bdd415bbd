import { describe, expect, it } from 'vitest';
import { MatrixParameter } from '../../src/layers/index.ts';
import {
  embedding,
  Engine,
  linear,
  multiply,
  readGradient,
  sum,
  withGradients,
  zeroGradients,
  type Tensor,
} from '../../src/tensor/index.ts';
import { Adam, AdamW, gradientNorm, type Optimizer, type Trainable } from '../../src/training/index.ts';

const [entries, size] = [100, 12];
const total = (x: Tensor) => sum(x.reshape([x.size]));

/** A table with an optimizer of its own. */
function table(
  engine: Engine,
  optimizer = (parameter: Trainable): Optimizer => new AdamW([parameter], { lr: 0.1, weightDecay: 0.3 }),
) {
  const matrix = engine.keepMatrix(entries, size, 'f32');
  matrix.set(Array.from({ length: entries * size }, (_, i) => Math.sin(i)));
  const parameter = new MatrixParameter('words', matrix);
  return { parameter, optimizer: optimizer(parameter) };
}
type Table = ReturnType<typeof table>;

/** Looks rows up, each of whose numbers gets a gradient of its own. */
function look({ parameter }: Table, ids: number[]): void {
  withGradients([parameter], (backward) => {
    const factors = Array.from({ length: ids.length * size }, (_, i) => Math.cos(7 * i + ids[0]));
    const rows = embedding(parameter, Int32Array.from(ids));
    backward(total(multiply(rows, parameter.engine.tensor(factors, [ids.length, size]))));
  });
}

function step(it: Table, ...lookUps: number[][]): number {
  zeroGradients([it.parameter]);
  for (const ids of lookUps) look(it, ids);
  const norm = gradientNorm([it.parameter]);
  it.optimizer.step(1, 0.5);
  return norm;
}

const batches = [[[3, 99, 3]], [[40, 41], [3]], [[98]], [[7, 40]], [[0, 1, 2, 50]]];
const numbersOf = ({ parameter, optimizer }: Table) => [
  [...parameter.toTensor().data],
  ...[...optimizer.stateDict().values()].map(({ data }) => [...data]),
];
const runsOf = ({ parameter }: Table) => readGradient(parameter.grad!).runs;

describe.each([
  ['reference', () => new Engine({ kernels: 'reference' }), 1],
  ['float64', () => new Engine({ dtype: 'float64' }), 1],
  ['simd', () => new Engine({ kernels: 'simd', threads: 1 }), 8],
  ['two threads', () => new Engine({ kernels: 'simd', threads: 2 }), 8],
] as const)("a table's gradient on %s", (_, make, least) => {
  const engine = make();

  it('knows where it was written, in this step and before', () => {
    const it = table(engine);
    look(it, [3]);
    const [[begin, end], ...others] = runsOf(it);
    const together = (end - begin) / size; // rows of a panel
    expect(together % least).toBe(0);
    expect([begin, others]).toEqual([Math.floor(3 / together) * together * size, []]);
    zeroGradients([it.parameter]);
    look(it, [98, 3]);
    const last = Math.floor(98 / together) * together;
    const all = it.parameter.data.length;
    expect(runsOf(it)).toEqual([
      [begin, end],
      [last * size, Math.min((last + together) * size, all)],
    ]);
    // Whoever asks for its data may write anywhere.
    void it.parameter.grad!.data;
    expect(runsOf(it)).toEqual([[0, all]]);
  });

  it('and steps as if it did not: the same norms, numbers and moments', () => {
    const [some, all] = [table(engine), table(engine)];
    for (const lookUps of batches) {
      look(all, [5]);
      void all.parameter.grad!.data;
      expect(step(some, ...lookUps)).toBe(step(all, ...lookUps));
      expect(numbersOf(some)).toEqual(numbersOf(all));
    }
    expect(runsOf(all)).toHaveLength(1);
    expect(runsOf(some).length).toBeGreaterThan(1);
    // The twin: a row that was looked up once goes on moving.
    const before = numbersOf(some)[0].slice(99 * size);
    step(some, [1]);
    const decayed = before.map((x) => x * (1 - 0.1 * 0.3));
    expect(
      Math.max(
        ...numbersOf(some)[0]
          .slice(99 * size)
          .map((x, i) => Math.abs(x - decayed[i])),
      ),
    ).toBeGreaterThan(1e-3);
    const never = numbersOf(some)[0].slice(60 * size, 61 * size);
    const decays = Array.from({ length: size }, (_, i) => Math.sin(60 * size + i) * 0.97 ** 6);
    expect(Math.max(...never.map((x, i) => Math.abs(x - decays[i])))).toBeLessThan(1e-6);
  });

  it('goes on after a resume, and with a new gradient, whatever the moments are', () => {
    const whole = table(engine);
    const resumed = table(engine);
    batches.slice(0, 2).forEach((lookUps) => step(whole, ...lookUps));
    const state = whole.optimizer.stateDict();
    resumed.parameter.set(whole.parameter.toTensor().data);
    resumed.optimizer.loadState(2, (key) => state.get(key)!.data);
    const renewed = whole.parameter;
    for (const lookUps of batches.slice(2)) {
      renewed.grad = null;
      expect(step(resumed, ...lookUps)).toBe(step(whole, ...lookUps));
      expect(numbersOf(resumed)).toEqual(numbersOf(whole));
    }
  });

  it.each([0, 0.3])(
    'steps as if it did not by Adam, with a weight decay of %d that is part of the gradient',
    (weightDecay) => {
      const [some, all] = [0, 1].map(() =>
        table(engine, (parameter) => new Adam([parameter], { lr: 0.1, weightDecay })),
      );
      for (const lookUps of batches) {
        look(all, [5]);
        void all.parameter.grad!.data;
        step(some, ...lookUps);
        step(all, ...lookUps);
        expect(numbersOf(some)).toEqual(numbersOf(all));
      }
    },
  );

  it('goes on when an optimizer that has made steps is given others', () => {
    const [some, all] = [table(engine), table(engine)];
    step(some, [3]);
    step(all, [3]);
    void all.parameter.grad!.data;
    const state = new Map([...all.optimizer.stateDict()].map(([key, { data }]) => [key, data.map((x) => x + 0.5)]));
    for (const it of [some, all]) it.optimizer.loadState(5, (key) => state.get(key)!);
    step(some, [40]);
    step(all, [40]);
    expect(numbersOf(some)).toEqual(numbersOf(all));
  });

  it('is whole for whoever reshapes it, and when its rows are of two lengths', () => {
    const it = table(engine);
    look(it, [3]);
    void it.parameter.grad!.reshape([it.parameter.data.length]);
    expect(runsOf(it)).toEqual([[0, it.parameter.data.length]]);
    const flat = engine.keep([10, 6]);
    withGradients([flat], (backward) => {
      backward(total(embedding(flat, Int32Array.of(2))));
      expect(readGradient(flat.grad!).runs).toEqual([[12, 18]]);
      backward(total(embedding(flat.reshape([20, 3]), Int32Array.of(19))));
    });
    expect(readGradient(flat.grad!).runs).toEqual([[0, 60]]);
    expect([...flat.grad!.data].map((x, i) => (x === 1 ? i : -1)).filter((i) => i >= 0)).toEqual([
      12, 13, 14, 15, 16, 17, 57, 58, 59,
    ]);
  });

  it('is whole when a linear layer shares the table', () => {
    const it = table(engine);
    look(it, [3]);
    withGradients([it.parameter], (backward) => {
      backward(total(linear(engine.tensor(new Array(size).fill(1), [1, size]), it.parameter)));
    });
    expect(runsOf(it)).toEqual([[0, it.parameter.data.length]]);
    const rows = it.parameter.gradToTensor()!.data;
    expect([rows[0], rows[99 * size]]).toEqual([1, 1]);
    expect(rows[3 * size]).toBeCloseTo(1 + Math.cos(3), 6);
    zeroGradients([it.parameter]);
    expect(it.parameter.grad!.data.every((x) => x === 0)).toBe(true);
  });
});

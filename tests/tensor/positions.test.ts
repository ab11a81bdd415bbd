import { describe, expect, it } from 'vitest';
import {
  attention,
  convolution,
  disentangledBias,
  Engine,
  fillNormal,
  gate,
  randomStream,
  relativeBias,
  relativeBuckets,
  rotary,
  rotationOf,
  selectColumns,
  type Tensor,
} from '../../src/tensor/index.ts';
import '../support/matchers.ts';

describe.each([
  { kernels: 'reference', rounding: 6e-8 },
  { kernels: 'simd', rounding: 1e-6 },
] as const)('$kernels', ({ kernels, rounding }) => {
  const engine = new Engine({ kernels, threads: 1 });
  const t = (values: number[], shape: number[]): Tensor => engine.tensor(values, shape);
  const random = (shape: number[], name: string): Tensor => {
    const tensor = engine.zeros(shape);
    fillNormal(tensor.data, 1, randomStream(7, name));
    return tensor;
  };
  const places = { offsets: Int32Array.of(0, 3, 5), columns: Int32Array.of(0, 1, 4, 2, 3) };

  it('a window counts columns: a dropped token between two keeps them apart', () => {
    const [q, v] = [engine.zeros([5, 1]), t([1, 2, 4, 8, 16], [5, 1])];
    const { context, probabilities } = attention(q, q, v, {
      ...places,
      heads: 1,
      window: { columns: places.columns, reach: 2 },
      wantProbabilities: true,
    });
    expect(context.toArray()).toEqual([[1.5], [1.5], [4], [12], [12]]);
    expect([...probabilities!.data]).toEqual([0.5, 0.5, 0, 0.5, 0.5, 0, 0, 0, 1, 0.5, 0.5, 0.5, 0.5]);
  });

  it('scale and bias of attention are as given', () => {
    const [q, k] = [t([1, 0], [2, 1]), t([1, 3], [2, 1])];
    const options = { offsets: Int32Array.of(0, 2), heads: 1, wantProbabilities: true };
    const bias = t([Math.log(2), 0, 0, Math.log(3)], [1, 4]);
    const { probabilities } = attention(q, k, k, { ...options, scale: Math.log(2), bias });
    // 2 · 2¹ to 2³, and 1 to 3
    expect(probabilities).toMatchTensor(t([1 / 3, 2 / 3, 1 / 4, 3 / 4], [1, 4]), { tolerance: rounding });
  });

  it('relativeBuckets serve every distance that occurs within a sequence', () => {
    expect([...relativeBuckets(places, (distance) => 10 * distance)]).toEqual([-40, -30, -20, -10, 0, 10, 20, 30, 40]);
    expect([...relativeBuckets({ offsets: Int32Array.of(0), columns: new Int32Array(0) }, () => 3)]).toEqual([3]);
  });

  it('relativeBias looks up how far a token is after the one it looks at', () => {
    const buckets = relativeBuckets(places, (distance) => Math.max(-1, Math.min(1, distance)) + 1);
    const bias = relativeBias(t([1, 10, 2, 20, 3, 30], [3, 2]), buckets, places);
    expect([...bias.data.subarray(0, 13)]).toEqual([2, 1, 1, 3, 2, 1, 3, 3, 2, 2, 1, 3, 2]);
    expect([...bias.data.subarray(13)]).toEqual([20, 10, 10, 30, 20, 10, 30, 30, 20, 20, 10, 30, 20]);
  });

  it('a rotation leaves lengths as they are, and makes products depend on distance alone', () => {
    const [heads, headSize] = [2, 8];
    const one = random([1, 16], 'q');
    const same = t(
      Array.from({ length: 80 }, (_, i) => one.data[i % 16]),
      [5, 16],
    );
    const rotation = rotationOf(engine, places.columns, 4, 100);
    const q = rotary(same, rotation, { heads, headSize });
    const dot = (i: number, j: number) => {
      let sum = 0;
      for (let d = 0; d < headSize; d++) sum += q.data[i * 16 + d] * q.data[j * 16 + d];
      return sum;
    };
    expect(dot(2, 2)).toBeCloseTo(dot(0, 0), 5);
    expect(dot(0, 1)).toBeCloseTo(dot(3, 4), 5); // columns 0 and 1, 2 and 3
    expect(Math.abs(dot(0, 1) - dot(1, 2))).toBeGreaterThan(0.1); // columns 1 and 4
    expect([...q.data.subarray(0, 16)]).toEqual([...one.data]); // column 0
  });

  it('rotary reads its heads where they begin', () => {
    const x = random([5, 24], 'x');
    const rotation = rotationOf(engine, places.columns, 4, 100);
    const whole = rotary(selectColumns(x, 8, 16), rotation, { heads: 2, headSize: 8 });
    expect([...rotary(x, rotation, { heads: 2, headSize: 8, begin: 8 }).data]).toEqual([...whole.data]);
  });

  it.each([1, 2])(
    'convolution takes what stands in columns, and zeros where tokens were dropped: %i groups',
    (groups) => {
      const [x, weight, bias] = [random([5, 4], 'x'), random([6, 4 / groups, 3], 'w'), random([6], 'b')];
      const y = convolution(x, weight, bias, { ...places, groups });
      const rowAt = (s: number, column: number) =>
        [0, 1, 2, 3, 4].find(
          (r) => r >= places.offsets[s] && r < places.offsets[s + 1] && places.columns[r] === column,
        );
      const expected = Array.from({ length: 30 }, (_, n) => {
        const [row, out] = [Math.floor(n / 6), n % 6];
        let sum = bias.data[out];
        for (let k = 0; k < 3; k++) {
          const other = rowAt(row < 3 ? 0 : 1, places.columns[row] + k - 1);
          const first = Math.floor(out / (6 / groups)) * (4 / groups);
          for (let i = 0; other !== undefined && i < 4 / groups; i++) {
            sum += weight.data[(out * (4 / groups) + i) * 3 + k] * x.data[other * 4 + first + i];
          }
        }
        return sum;
      });
      expect(y).toMatchTensor(t(expected, [5, 6]), { tolerance: rounding });
    },
  );

  it('selectColumns takes runs of columns', () => {
    const x = t([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], [2, 6]);
    expect(selectColumns(x, 1, 2).toArray()).toEqual([
      [2, 3],
      [8, 9],
    ]);
    expect(selectColumns(x, 1, 1, 2, 3).toArray()).toEqual([
      [2, 5],
      [8, 11],
    ]);
  });

  it('what does not fit is named', () => {
    const x = engine.zeros([5, 4]);
    const options = { ...places, heads: 2 };
    expect(() => attention(x, x, x, { ...options, bias: engine.zeros([2, 9]) })).toThrow(
      'attention: bias: expected [2, 13], got [2, 9]',
    );
    expect(() => attention(x, x, x, { ...options, window: { columns: Int32Array.of(0), reach: 1 } })).toThrow(
      'attention: columns of the window: expected [5], got [1]',
    );
    const buckets = Int32Array.from({ length: 9 }, (_, i) => i % 3);
    expect(() => relativeBias(engine.zeros([2, 2]), buckets, places)).toThrow(
      'relativeBias: buckets: expected an odd number of them, 9 or more, 0 to 1, got 9 of them, 2 among them',
    );
    expect(() => relativeBias(engine.zeros([3, 2]), buckets.slice(2), places)).toThrow('got 7 of them');
    expect(() => disentangledBias(x, x, engine.zeros([3, 5]), null, { ...options, buckets, scale: 1 })).toThrow(
      'disentangledBias: table: expected [3, 4], got [3, 5]',
    );
    const rotation = rotationOf(engine, places.columns, 2, 10);
    expect(() => rotary(x, rotation, { heads: 2, headSize: 2 })).toThrow(
      'rotary: x: expected 0 + 2 heads of at least 4',
    );
    expect(() => gate(engine.zeros([2, 3]), 'gelu')).toThrow('gate: x: expected [rows, an even number], got [2, 3]');
    expect(() => selectColumns(x, 3, 2)).toThrow('selectColumns: x: expected 5 columns or more, got 4');
    expect(() => convolution(x, engine.zeros([4, 4, 2]), null, places)).toThrow(
      'convolution: weight: expected [outChannels, 4 / 1 groups, an odd size], got [4, 4, 2]',
    );
  });
});

it('threads change no bit of what depends on positions', () => {
  const results = [1, 3].map((threads) => {
    const engine = new Engine({ kernels: 'simd', threads });
    const random = (shape: number[], name: string) => {
      const tensor = engine.zeros(shape);
      fillNormal(tensor.data, 1, randomStream(7, name));
      return tensor;
    };
    const [heads, tokens] = [4, 300];
    const places = { offsets: Int32Array.of(0, 40, tokens), columns: Int32Array.from({ length: tokens }, (_, i) => i) };
    const [q, k, v] = ['q', 'k', 'v'].map((name) => random([tokens, 64], name));
    const buckets = relativeBuckets(places, (distance) => Math.max(-40, Math.min(39, distance)) + 40);
    const tables = ['keys', 'queries'].map((name) => random([80, 64], name));
    const bias = disentangledBias(q, k, tables[0], tables[1], { ...places, buckets, heads, scale: 0.1 });
    const window = { columns: places.columns, reach: 30 };
    const { context } = attention(q, k, v, { ...places, heads, bias, window });
    const turned = rotary(context, rotationOf(engine, places.columns, 8, 1e4), { heads, headSize: 16 });
    engine.close();
    return [bias, context, turned, gate(turned, 'gelu')].map(({ data }) => data);
  });
  expect(results[1]).toEqual(results[0]);
});

import { describe, expect, it } from 'vitest';
import { ConfigError, InputError, ShapeError } from '../../src/errors.ts';
import {
  activation,
  add,
  attention,
  divide,
  embedding,
  embeddingSum,
  Engine,
  isActivationName,
  layerNorm,
  linear,
  matmul,
  mean,
  multiply,
  normalizeRows,
  poolSequences,
  scale,
  selectRows,
  softmax,
  subtract,
  sum,
  type Tensor,
} from '../../src/tensor/index.ts';
import { torch, torchIntegers, torchTensor } from '../support/fixtures.ts';
import '../support/matchers.ts';

/** Engine, and how far its float32 results may be from float64's: see tests/tensor/simd/kernels.test.ts for the second. */
describe.each([
  // Float64 sums, rounded once: 2⁻²⁴ = 6e-8.
  { kernels: 'reference', rounding: 6e-8 },
  { kernels: 'simd', rounding: 1e-6 },
] as const)('$kernels', ({ kernels, rounding }) => {
  const engine = new Engine({ kernels, threads: 1 });
  const t = (values: number[], shape: number[]): Tensor => engine.tensor(values, shape);

  /** A torch tensor on this engine. */
  const golden = (name: string): Tensor => engine.tensor(torchTensor(name).data, torchTensor(name).shape);
  const ROUNDING = { tolerance: rounding };

  describe('linear', () => {
    it('is x · weightᵀ + bias, and then the activation', () => {
      const [x, weight, bias] = [t([1, 2, 3], [1, 3]), t([1, 0, 0, 1, 1, 1], [2, 3]), t([10, -20], [2])];
      expect(linear(x, weight).toArray()).toEqual([[1, 6]]);
      expect(linear(x, weight, bias).toArray()).toEqual([[11, -14]]);
      expect(linear(x, weight, bias, 'relu').toArray()).toEqual([[11, 0]]);
    });

    it('equals PyTorch', () => {
      const [x, weight, bias] = ['x', 'weight', 'bias'].map((name) => golden(`linear.${name}`));
      expect(linear(x, weight, bias)).toMatchTensor(torchTensor('linear.y.f64'), ROUNDING);
      expect(linear(x, weight)).not.toMatchTensor(torchTensor('linear.y.f64'), ROUNDING);
    });

    it('names what does not fit', () => {
      const x = engine.zeros([5, 3]);
      expect(() => linear(x, engine.zeros([4, 2]))).toThrow('linear: weight: expected [4, 3], got [4, 2]');
      expect(() => linear(x, engine.zeros([4, 3]), engine.zeros([3]))).toThrow('linear: bias: expected [4], got [3]');
      expect(() => linear(engine.zeros([3]), engine.zeros([4, 3]))).toThrow(
        'linear: x: expected a tensor of rank 2, got [3]',
      );
      expect(() => linear(x, engine.zeros([3]))).toThrow(ShapeError);
    });
  });

  describe('matmul', () => {
    it('is the product of [1 2; 3 4] and [5 6; 7 8]', () => {
      expect(matmul(t([1, 2, 3, 4], [2, 2]), t([5, 6, 7, 8], [2, 2])).toArray()).toEqual([
        [19, 22],
        [43, 50],
      ]);
    });

    it('equals PyTorch', () => {
      expect(matmul(golden('matmul.a'), golden('matmul.b'))).toMatchTensor(torchTensor('matmul.y.f64'), ROUNDING);
    });

    it('names what does not fit', () => {
      expect(() => matmul(engine.zeros([2, 3]), engine.zeros([4, 5]))).toThrow(
        'matmul: b: expected [3, 5], got [4, 5]',
      );
      expect(() => matmul(engine.zeros([6]), engine.zeros([6, 1]))).toThrow('matmul: a: expected a tensor of rank 2');
    });
  });

  describe('elementwise', () => {
    const [a, row, one] = [t([1, 2, 3, 4, 5, 6], [2, 3]), t([10, 20, 30], [3]), t([2], [1])];

    it('works on equal shapes, on a row of the last axis and on one number', () => {
      expect([...add(a, a).data]).toEqual([2, 4, 6, 8, 10, 12]);
      expect([...add(a, row).data]).toEqual([11, 22, 33, 14, 25, 36]);
      expect([...subtract(a, row).data]).toEqual([-9, -18, -27, -6, -15, -24]);
      expect([...multiply(a, row).data]).toEqual([10, 40, 90, 40, 100, 180]);
      expect([...divide(a, one).data]).toEqual([0.5, 1, 1.5, 2, 2.5, 3]);
      expect([...scale(a, -3).data]).toEqual([-3, -6, -9, -12, -15, -18]);
    });

    it('works on tensors of rank 0', () => {
      expect(scale(t([3], []), 2).toArray()).toBe(6);
      expect(add(t([3], []), one).toArray()).toBe(5);
    });

    it('repeats neither columns nor parts', () => {
      for (const shape of [[2], [2, 1], [1, 3], [6], [1, 2, 3]]) {
        expect(() => add(a, engine.zeros(shape))).toThrow(
          `add: b: expected [2, 3], its last axes, or one number, got [${shape.join(', ')}]`,
        );
      }
    });
  });

  describe('activation', () => {
    it('gelu is the erf form: gelu(1) = 0.8413447, gelu_new(1) = 0.8411920', () => {
      const one = new Engine({ dtype: 'float64' }).tensor([1], [1]);
      expect(activation(one, 'gelu').data[0]).toBeCloseTo(0.8413447460685429, 15);
      expect(activation(one, 'gelu_new').data[0]).toBeCloseTo(0.8411919906082768, 15);
    });

    it('knows every parameterless activation of transformers, and no other', () => {
      const names = [...torch.keys()].filter((name) => /^act\..*f64$/.test(name)).map((name) => name.split('.')[1]);
      expect(names.length).toBe(22);
      expect(names.filter((name) => !isActivationName(name))).toEqual([]);
      expect(['prelu', 'GELU', 'toString', 3, null].filter(isActivationName)).toEqual([]);
    });
  });

  describe('softmax, sum, mean', () => {
    it('act on the last axis', () => {
      const x = t([0, Math.log(3), 5, 5], [1, 2, 2]);
      expect(softmax(x)).toMatchTensor({ data: [0.25, 0.75, 0.5, 0.5], shape: [1, 2, 2] }, ROUNDING);
      expect(sum(t([1, 2, 3, 4], [2, 2])).toArray()).toEqual([3, 7]);
      expect(mean(t([1, 2, 3, 4], [2, 2])).toArray()).toEqual([1.5, 3.5]);
    });

    it('turn a vector into a number', () => {
      expect(sum(t([1, 2, 6], [3])).toArray()).toBe(9);
      expect(mean(t([1, 2, 6], [3])).toArray()).toBe(3);
      expect(mean(t([8], [])).toArray()).toBe(8);
    });

    it('softmax equals PyTorch', () => {
      expect(softmax(golden('softmax.x'))).toMatchTensor(torchTensor('softmax.y.f64'), ROUNDING);
    });
  });

  describe('layerNorm', () => {
    const [x, weight, bias] = ['x', 'weight', 'bias'].map((name) => golden(`layer_norm.${name}`));

    it('brings [1, 2, 3] to [-1.2247, 0, 1.2247]', () => {
      const y = layerNorm(t([1, 2, 3], [1, 3]), t([1, 1, 1], [3]), t([0, 0, 0], [3]), 1e-12);
      const edge = Math.sqrt(3 / 2);
      expect(y).toMatchTensor({ data: [-edge, 0, edge], shape: [1, 3] }, ROUNDING);
    });

    it('adds the residual first', () => {
      const [one, rest] = [t([1, 1, 1, 1], [2, 2]), t([0, 2, 5, 5], [2, 2])];
      const [w, b] = [t([1, 2], [2]), t([0, 10], [2])];
      expect([...layerNorm(one, w, b, 1e-12, rest).data]).toEqual([-1, 12, 0, 10]);
    });

    it('equals PyTorch, and only at the eps that is meant', () => {
      const y = layerNorm(x, weight, bias, 1e-12);
      expect(y).toMatchTensor(torchTensor('layer_norm.eps1e-12.y.f64'), ROUNDING);
      expect(y).not.toMatchTensor(torchTensor('layer_norm.eps1e-5.y.f64'), ROUNDING);
    });

    it('names what does not fit', () => {
      const size3 = engine.zeros([3]);
      expect(() => layerNorm(engine.zeros([2, 3]), engine.zeros([4]), size3, 0)).toThrow(
        'layerNorm: weight: expected [3], got [4]',
      );
      expect(() => layerNorm(engine.zeros([2, 3]), size3, engine.zeros([4]), 0)).toThrow('layerNorm: bias');
      expect(() => layerNorm(engine.zeros([2, 3]), size3, size3, 0, engine.zeros([3, 3]))).toThrow(
        'layerNorm: residual: expected [2, 3], got [3, 3]',
      );
      for (const eps of [-1, NaN, Infinity]) {
        expect(() => layerNorm(engine.zeros([2, 3]), size3, size3, eps)).toThrow(
          new ConfigError({ what: 'layerNorm: eps', expected: 'a finite number, not negative', got: `${eps}` }),
        );
      }
    });
  });

  it('sum of no numbers is zero, whatever memory holds', () => {
    engine.scope(() => void engine.empty([64]).data.fill(7));
    expect(engine.scope(() => [...sum(engine.empty([2, 0])).data, ...sum(engine.empty([0])).data])).toEqual([0, 0, 0]);
  });

  describe('attention', () => {
    const [q, k, v] = ['q', 'k', 'v'].map((name) => golden(`attention.${name}`));
    const offsets = torchIntegers('attention.offsets');

    it('mixes values by softmax of the products: one head, two tokens', () => {
      // Scores of both queries: ln 3 and 0, so weights 3/4 and 1/4.
      const [ones, keys, values] = [t([1, 1], [2, 1]), t([Math.log(3), 0], [2, 1]), t([4, 8], [2, 1])];
      const { context, probabilities } = attention(ones, keys, values, {
        offsets: Int32Array.of(0, 2),
        heads: 1,
        wantProbabilities: true,
      });
      expect(probabilities!).toMatchTensor({ data: [0.75, 0.25, 0.75, 0.25], shape: [1, 4] }, ROUNDING);
      expect(context).toMatchTensor({ data: [5, 5], shape: [2, 1] }, ROUNDING);
    });

    it('equals PyTorch, and not with Q and K swapped or another head count', () => {
      const torchY = torchTensor('attention.y.f64');
      expect(attention(q, k, v, { offsets, heads: 3 }).context).toMatchTensor(torchY, ROUNDING);
      expect(attention(k, q, v, { offsets, heads: 3 }).context).not.toMatchTensor(torchY, { tolerance: 0.01 });
      expect(attention(q, k, v, { offsets, heads: 5 }).context).not.toMatchTensor(torchY, { tolerance: 0.01 });
    });

    it('keeps probabilities only when asked', () => {
      expect(attention(q, k, v, { offsets, heads: 3 }).probabilities).toBeNull();
      expect(attention(q, k, v, { offsets, heads: 3, wantProbabilities: true }).probabilities!.shape).toEqual([3, 239]);
    });

    it('serves a batch with nothing in it', () => {
      const none = engine.zeros([0, 6]);
      expect(attention(none, none, none, { offsets: Int32Array.of(0), heads: 2 }).context.shape).toEqual([0, 6]);
    });

    it('names what does not fit', () => {
      for (const heads of [0, -3, 0.5, 2, NaN]) {
        expect(() => attention(q, k, v, { offsets, heads })).toThrow(
          `attention: q: expected a width divisible by ${heads} heads, got 15`,
        );
      }
      expect(() => attention(q, engine.zeros([27, 5]), v, { offsets, heads: 3 })).toThrow(
        'attention: k: expected [27, 15], got [27, 5]',
      );
      expect(() => attention(q, k, engine.zeros([26, 15]), { offsets, heads: 3 })).toThrow('attention: v');
      const few = engine.zeros([3, 15]);
      const ofSome = (queryOffsets: number[], more = {}) =>
        attention(few, k, v, { offsets, queryOffsets: Int32Array.from(queryOffsets), heads: 3, ...more });
      expect(ofSome([0, 0, 0, 1, 1, 3]).context.shape).toEqual([3, 15]);
      expect(() => ofSome([0, 0, 0, 1, 1, 2])).toThrow(
        'attention: queries: offsets: expected rising numbers from 0 to 3',
      );
      expect(() => ofSome([0, 1, 2, 3])).toThrow(
        'attention: queries: expected as many sequences, none with more queries than tokens, got offsets 0,1,2,3',
      );
      expect(() => ofSome([0, 2, 2, 3, 3, 3])).toThrow('none with more queries than tokens, got offsets 0,2,2,3,3,3'); // prettier-ignore
      const window = { columns: Int32Array.from({ length: 27 }, (_, i) => i), reach: 2 };
      expect(() => ofSome([0, 0, 0, 1, 1, 3], { window })).toThrow('attention: queries within a window: expected [27], got [3]'); // prettier-ignore
      for (const bad of [[0, 26], [1, 27], [0, 9, 5, 27], []]) {
        expect(() => attention(q, k, v, { offsets: Int32Array.from(bad), heads: 3 })).toThrow(
          'attention: offsets: expected rising numbers from 0 to 27',
        );
      }
    });
  });

  describe('embedding', () => {
    const table = t([0, 1, 10, 11, 20, 21], [3, 2]);

    it('gathers rows, and sums those of several tables', () => {
      expect(embedding(table, Int32Array.of(2, 0, 2)).toArray()).toEqual([
        [20, 21],
        [0, 1],
        [20, 21],
      ]);
      const small = t([100, 200], [1, 2]);
      const summed = embeddingSum([table, small], [Int32Array.of(1, 0), Int32Array.of(0, 0)], ['words', 'types']);
      expect(summed.toArray()).toEqual([
        [110, 211],
        [100, 201],
      ]);
      expect(selectRows(table, Int32Array.of(1)).toArray()).toEqual([[10, 11]]);
      expect(embedding(table, new Int32Array()).shape).toEqual([0, 2]);
    });

    it('equals PyTorch', () => {
      const y = embedding(golden('embedding.weight'), torchIntegers('embedding.ids'));
      expect(y).toMatchTensor(torchTensor('embedding.y.f64'), { tolerance: 0 });
    });

    it('names an id that is not in its table', () => {
      for (const id of [3, -1]) {
        expect(() => embedding(table, Int32Array.of(0, id), 'input_ids')).toThrow(InputError);
        expect(() => embedding(table, Int32Array.of(0, id), 'input_ids')).toThrow(
          `embedding of input_ids: id 1: expected 0 to 2, got ${id}`,
        );
      }
      expect(() => embeddingSum([table, t([1], [1, 1])], [Int32Array.of(0), Int32Array.of(0)], ['a', 'b'])).toThrow(
        'embedding of b: expected table [entries, 2] and 1 ids, got table [1, 1] and 1 ids',
      );
    });
  });

  describe('poolSequences and normalizeRows', () => {
    it('make one vector of each sequence, of length 1', () => {
      const x = t([1, 3, 5, 5, 0, 8], [3, 2]);
      const pooled = poolSequences(x, Int32Array.of(0, 2, 2, 3), 'mean');
      expect(pooled.toArray()).toEqual([
        [3, 4],
        [0, 0],
        [0, 8],
      ]);
      expect(normalizeRows(pooled)).toMatchTensor({ data: [0.6, 0.8, 0, 0, 0, 1], shape: [3, 2] }, ROUNDING);
    });

    it('equal PyTorch', () => {
      const y = normalizeRows(poolSequences(golden('pooling.x'), torchIntegers('pooling.offsets'), 'mean'));
      expect(y).toMatchTensor(torchTensor('pooling.normalized_mean.y.f64'), { tolerance: 2 * rounding }); // rounded twice
    });

    it('name offsets that do not span the rows', () => {
      expect(() => poolSequences(engine.zeros([3, 2]), Int32Array.of(0, 4), 'max')).toThrow(
        'poolSequences: offsets: expected rising numbers from 0 to 3, got 2 of them, from 0 to 4',
      );
    });
  });
});

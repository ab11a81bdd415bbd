import { describe, expect, it } from 'vitest';
import { MatrixParameter, Parameter, RandomStore, Weights, type ParameterStore } from '../../src/layers/index.ts';
import { ScopeError } from '../../src/errors.ts';
import { Engine } from '../../src/tensor/index.ts';

const engine = new Engine({ dtype: 'float64' });
const root = (seed = 0, std = 0.02) => new Weights(new RandomStore(engine, std, seed));

describe('Weights', () => {
  it('join the path with dots', () => {
    const weights = root().scope('encoder').scope('layer.0');
    expect(weights.path).toBe('encoder.layer.0');
    expect(weights.get('bias', [2], 'zeros').name).toBe('encoder.layer.0.bias');
    expect(root().get('bias', [2], 'zeros').name).toBe('bias');
  });

  it('ask the store for the whole key and the shape', () => {
    const asked: unknown[] = [];
    const store: ParameterStore = {
      engine,
      untrained: false,
      has: (key: string) => key === 'a.b',
      load: (key, shape, initializer) => {
        asked.push([key, shape, initializer]);
        return engine.zeros(shape);
      },
      loadMatrix: (key, outFeatures, inFeatures, initializer) => {
        asked.push([key, outFeatures, inFeatures, initializer]);
        return engine.keepMatrix(outFeatures, inFeatures, 'f32');
      },
    };
    const weights = new Weights(store, 'a');
    expect([weights.has('b'), weights.has('c')]).toEqual([true, false]);
    weights.get('w', [2, 3], 'normal');
    const matrix = weights.getMatrix('m', 4, 5, { normalExceptRow: 1 });
    expect(asked).toEqual([
      ['a.w', [2, 3], 'normal'],
      ['a.m', 4, 5, { normalExceptRow: 1 }],
    ]);
    expect([matrix.name, matrix.shape]).toEqual(['a.m', [4, 5]]);
  });

  it('give parameters that outlive every scope', () => {
    const weights = root();
    const [bias, matrix] = [weights.get('b', [2], 'ones'), weights.getMatrix('m', 1, 2, 'ones')];
    expect([bias instanceof Parameter, matrix instanceof MatrixParameter]).toEqual([true, true]);
    engine.scope(() => ({ bias }));
    engine.scope(() => void bias.data);
    expect([...bias.data]).toEqual([1, 1]);
    expect([...matrix.toTensor().data]).toEqual([1, 1]);
  });

  it('cannot be made inside a scope, whose end would take them', () => {
    const weights = root();
    expect(() => engine.scope(() => weights.get('w', [2], 'ones'))).toThrow(ScopeError);
    expect(() => engine.scope(() => weights.getMatrix('m', 1, 2, 'ones'))).toThrow(ScopeError);
  });
});

describe('RandomStore', () => {
  it('starts biases at zero, norms at one, matrices with the standard deviation asked for', () => {
    const weights = root(0, 0.05);
    expect(new Set(weights.get('bias', [9], 'zeros').data)).toEqual(new Set([0]));
    expect(new Set(weights.get('norm', [9], 'ones').data)).toEqual(new Set([1]));
    const { data } = weights.getMatrix('weight', 200, 300, 'normal').toTensor();
    const deviation = Math.sqrt([...data].reduce((sum, x) => sum + x * x, 0) / data.length);
    expect(Math.abs(deviation / 0.05 - 1)).toBeLessThan(5 / Math.sqrt(2 * data.length)); // 5 standard errors
  });

  it('leaves the row of the padding token at zero', () => {
    const table = root().getMatrix('words', 4, 3, { normalExceptRow: 2 }).toTensor().toArray() as number[][];
    expect(table.map((row) => row.every((x) => x === 0))).toEqual([false, false, true, false]);
  });

  it('draws from the seed and the name, not from what else was drawn', () => {
    const alone = root(5).get('w', [3, 3], 'normal').data;
    const second = root(5);
    second.get('other', [7, 7], 'normal');
    expect(second.get('w', [3, 3], 'normal').data).toEqual(alone);
    expect(second.getMatrix('w', 3, 3, 'normal').toTensor().data).toEqual(alone);
    expect(root(6).get('w', [3, 3], 'normal').data).not.toEqual(alone);
    expect(root(5).scope('x').get('w', [3, 3], 'normal').data).not.toEqual(alone);
  });
});

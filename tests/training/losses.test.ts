import { describe, expect, it } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { Parameter } from '../../src/layers/index.ts';
import { parseSafetensors, toFloat64 } from '../../src/safetensors/index.ts';
import { Engine, withGradients, type Tensor } from '../../src/tensor/index.ts';
import {
  binaryCrossEntropy,
  cosineEmbeddingLoss,
  distillationLoss,
  meanSquared,
  multipleNegativesRanking,
  tripletLoss,
} from '../../src/training/index.ts';
import { readFixture } from '../support/fixtures.ts';

const { tensors } = parseSafetensors(readFixture('training/losses.safetensors'));

type Loss = (inputs: Record<string, Tensor>) => Tensor;
const losses: Record<string, Loss> = {
  bce: ({ x, y }) => binaryCrossEntropy(x, y),
  mse: ({ x, y }) => meanSquared(x, y),
  kl: ({ x, y }) => distillationLoss(x, y),
  kl2: ({ x, y }) => distillationLoss(x, y, 2),
  cosine: ({ x, y }) => cosineEmbeddingLoss(x, y),
  cosineSigned: ({ x, y, signs }) => cosineEmbeddingLoss(x, y, signs.data, 0.1),
  ranking: ({ x, y }) => multipleNegativesRanking(x, y),
  rankingNegatives: ({ x, y, z }) => multipleNegativesRanking(x, y, { negatives: z }),
  triplet: ({ x, y, z }) => tripletLoss(x, y, z, 1),
};
const engines: [string, () => Engine, number][] = [
  ['float64', () => new Engine({ dtype: 'float64' }), 1e-9],
  ['reference', () => new Engine({ kernels: 'reference' }), 2e-6],
  ['simd', () => new Engine({ kernels: 'simd', threads: 1 }), 1e-5],
];

/** The largest errors of value and gradients, relative to each tensor's largest number. */
function errors(engine: Engine, name: string, loss: Loss): number {
  const inputs: Record<string, Parameter> = {};
  for (const [key, view] of tensors) {
    const [case_, input, more] = key.split('.');
    if (case_ !== name || input === 'value' || more !== undefined) continue;
    const x = engine.keep(view.shape);
    x.data.set(toFloat64(view));
    inputs[input] = new Parameter(input, x);
  }
  const wanted = Object.values(inputs).filter((x) => tensors.has(`${name}.grad.${x.name}`));
  const value = withGradients(wanted, (backward) => {
    const y = loss(inputs);
    backward(y);
    return y.data[0];
  });
  const relative = (got: ArrayLike<number>, key: string) => {
    const right = toFloat64(tensors.get(key)!);
    const scale = right.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    return right.reduce((most, x, i) => Math.max(most, Math.abs(x - got[i]) / scale), 0);
  };
  return Math.max(
    relative([value], `${name}.value`),
    ...wanted.map((x) => relative(x.grad!.data, `${name}.grad.${x.name}`)),
  );
}

describe.each(engines)('losses and their gradients on %s, as PyTorch', (_, engine, tolerance) => {
  it.each(Object.keys(losses))('%s', (name) => {
    expect(errors(engine(), name, losses[name])).toBeLessThan(tolerance);
  });

  it('a mistake shows: the temperature left out, the wrong scale', () => {
    expect(errors(engine(), 'kl2', losses.kl)).toBeGreaterThan(0.01);
    const soft: Loss = ({ x, y }) => multipleNegativesRanking(x, y, { scale: 10 });
    expect(errors(engine(), 'ranking', soft)).toBeGreaterThan(0.01);
  });
});

it('shapes that differ are refused', () => {
  const engine = new Engine();
  const [a, b] = [engine.zeros([2, 3]), engine.zeros([3, 2])];
  expect(() => meanSquared(a, b)).toThrow(ShapeError);
  expect(() => tripletLoss(a, a, b)).toThrow(ShapeError);
});

import { ConfigError, ShapeError } from '../../errors.ts';
import { record } from '../autograd.ts';
import { sharedEngine } from '../engine.ts';
import type { ActivationName } from '../kernels/kernels.ts';
import { expectRank, expectShape, showShape } from '../shape.ts';
import { Matrix } from '../matrix.ts';
import type { Tensor } from '../tensor.ts';
import { activationInPlace } from './elementwise.ts';

/**
 * A fully connected layer with its activation: y = activation(x · weightᵀ + bias).
 *
 * @param x          [rows, inFeatures]
 * @param weight     [outFeatures, inFeatures], as PyTorch stores it; a tensor is packed anew each time, a matrix is ready
 * @param bias       [outFeatures], or null
 * @param activation fused into the product; the default, 'linear', leaves the sum as it is
 * @returns          [rows, outFeatures]
 * @throws ShapeError if the inner sizes or the bias do not fit; ConfigError if a gradient is wanted through an int8 weight
 */
export function linear(
  x: Tensor,
  weight: Tensor | Matrix,
  bias: Tensor | null = null,
  activation: ActivationName = 'linear',
): Tensor {
  const engine = sharedEngine('linear', x, weight, bias);
  expectRank('linear: x', x.shape, 2);
  expectRank('linear: weight', weight.shape, 2);
  const [rows, inFeatures] = x.shape;
  const outFeatures = weight.shape[0];
  expectShape('linear: weight', weight.shape, [outFeatures, inFeatures]);
  if (bias) expectShape('linear: bias', bias.shape, [outFeatures]);
  const isRecorded = engine.tape?.wants(x, weight, bias) ?? false;
  if (isRecorded && weight instanceof Matrix && weight.dtype === 'q8') {
    throw new ConfigError({
      what: 'linear: gradient through a weight',
      expected: 'float weights',
      got: 'int8',
      fix: 'load with dtype "f32", which expands them',
    });
  }
  // Slopes of the activation are taken at the sums, and kept in their place.
  if (isRecorded && activation !== 'linear') return activationInPlace(linear(x, weight, bias), activation);
  const y = engine.empty([rows, outFeatures]);
  const weights = () => (weight instanceof Matrix ? weight.packed : weight.data);
  const sizes = [rows, inFeatures, outFeatures] as const;
  engine.kernels.linear(y.data, x.data, weights(), bias && bias.data, activation, ...sizes);
  return record(y, [x, weight, bias], (dy, [dx, dWeight, dBias], backward, areFirst) => {
    const writes = { dx: areFirst(dx), dWeight: areFirst(dWeight) };
    const gradients = [dx && dx.data, dWeight && dWeight.data, dBias && dBias.data] as const;
    backward.linearBackward(...gradients, dy.data, x.data, weights(), ...sizes, writes);
  });
}

/**
 * Matrix product y = a · b.
 *
 * @param a [m, k]
 * @param b [k, n]
 * @returns [m, n]
 * @throws ShapeError if the inner sizes differ
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  const engine = sharedEngine('matmul', a, b);
  expectRank('matmul: a', a.shape, 2);
  expectRank('matmul: b', b.shape, 2);
  const [m, k] = a.shape;
  const n = b.shape[1];
  if (b.shape[0] !== k) {
    throw new ShapeError({ what: 'matmul: b', expected: showShape([k, n]), got: showShape(b.shape) });
  }
  const y = engine.empty([m, n]);
  engine.kernels.matmul(y.data, a.data, b.data, m, k, n);
  return record(y, [a, b], (dy, [da, db], backward) =>
    backward.matmulBackward(da && da.data, db && db.data, dy.data, a.data, b.data, m, k, n),
  );
}

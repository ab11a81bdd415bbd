import { ConfigError } from '../../errors.ts';
import { record } from '../autograd.ts';
import { sharedEngine } from '../engine.ts';
import { expectRank, expectShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/**
 * Layer normalization over the last axis, with the residual that BERT always adds first:
 * z = x + residual; y = (z - mean(z)) / sqrt(variance(z) + eps) · weight + bias.
 *
 * @param x        [rows, size]; each row is normalized on its own
 * @param weight   [size], "gamma" in old checkpoints
 * @param bias     [size], "beta" in old checkpoints, or null
 * @param eps      added to the variance, which is the biased one (divide by size); BERT uses 1e-12, PyTorch's default is 1e-5
 * @param residual [rows, size], or null
 * @returns        [rows, size]
 * @throws ShapeError if the shapes do not fit; ConfigError if eps is negative or not finite
 *
 * Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450, §3; torch.nn.functional.layer_norm.
 */
export function layerNorm(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  eps: number,
  residual: Tensor | null = null,
): Tensor {
  const engine = sharedEngine('layerNorm', x, weight, bias, residual);
  expectRank('layerNorm: x', x.shape, 2);
  const [rows, size] = x.shape;
  expectShape('layerNorm: weight', weight.shape, [size]);
  if (bias) expectShape('layerNorm: bias', bias.shape, [size]);
  if (residual) expectShape('layerNorm: residual', residual.shape, x.shape);
  if (!(eps >= 0 && eps < Infinity)) {
    throw new ConfigError({ what: 'layerNorm: eps', expected: 'a finite number, not negative', got: `${eps}` });
  }
  const y = engine.empty(x.shape);
  engine.kernels.layerNorm(y.data, x.data, residual && residual.data, weight.data, bias && bias.data, eps, rows, size);
  return record(y, [x, residual, weight, bias], (dy, [dx, dResidual, dWeight, dBias], backward, areFirst) => {
    const writes = areFirst(dx, dResidual);
    backward.layerNormBackward(
      dx && dx.data,
      dResidual && dResidual.data,
      dWeight && dWeight.data,
      dBias && dBias.data,
      dy.data,
      x.data,
      residual && residual.data,
      weight.data,
      eps,
      rows,
      size,
      writes,
    );
  });
}

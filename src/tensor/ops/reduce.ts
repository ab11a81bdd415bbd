import { ConfigError, show } from '../../errors.ts';
import { record } from '../autograd.ts';
import { backwardKernels } from '../backward.ts';
import { sharedEngine } from '../engine.ts';
import { expectRank } from '../shape.ts';
import type { Pooling } from '../kernels/kernels.ts';
import type { Tensor } from '../tensor.ts';
import { expectOffsets } from './attention.ts';
import { divide } from './elementwise.ts';

/** Softmax over the last axis. x: [..., size] → same. */
export function softmax(x: Tensor): Tensor {
  const { kernels } = x.engine;
  const y = x.engine.empty(x.shape);
  kernels.softmax(y.data, x.data, ...rowsAndSize(x));
  return record(y, [x], (dy, [dx], backward) => backward.softmaxBackward(dx!.data, dy.data, y.data, ...rowsAndSize(x)));
}

/** Logarithm of the softmax over the last axis, without its rounding. x: [..., size] → same. */
export function logSoftmax(x: Tensor): Tensor {
  const y = x.engine.empty(x.shape);
  backwardKernels(x.engine).logSoftmax(y.data, x.data, ...rowsAndSize(x));
  return record(y, [x], (dy, [dx], backward) =>
    backward.logSoftmaxBackward(dx!.data, dy.data, y.data, ...rowsAndSize(x)),
  );
}

/** Sum over the last axis. x: [..., size] → [...]. */
export function sum(x: Tensor): Tensor {
  const { kernels } = x.engine;
  const y = x.engine.empty(x.shape.slice(0, -1));
  kernels.sumRows(y.data, x.data, y.size, rowsAndSize(x)[1]); // of no columns, zeros
  return record(y, [x], (dy, [dx], backward) => backward.sumRowsBackward(dx!.data, dy.data, ...rowsAndSize(x)));
}

/** Mean over the last axis. x: [..., size] → [...]. */
export function mean(x: Tensor): Tensor {
  const [, size] = rowsAndSize(x);
  return divide(sum(x), x.engine.tensor([size], []));
}

/** Each row divided by its Euclidean length (at least 1e-12, as torch.nn.functional.normalize). x: [..., size] → same. */
export function normalizeRows(x: Tensor): Tensor {
  const { kernels } = x.engine;
  const y = x.engine.empty(x.shape);
  kernels.normalizeRows(y.data, x.data, ...rowsAndSize(x));
  return record(y, [x], (dy, [dx], backward) =>
    backward.normalizeRowsBackward(dx!.data, dy.data, x.data, ...rowsAndSize(x)),
  );
}

const poolings: readonly Pooling[] = ['first', 'last', 'mean', 'max', 'meanSqrtLength', 'weightedMean'];

/**
 * One vector per sequence of a packed batch, made of its tokens' vectors. An empty sequence gives zeros.
 *
 * @param x       [totalTokens, size]
 * @param offsets [sequences + 1]; sequence s is rows offsets[s] to offsets[s+1]
 * @returns       [sequences, size]
 * @throws ConfigError for a pooling that is none
 */
export function poolSequences(x: Tensor, offsets: Int32Array, how: Pooling): Tensor {
  const engine = sharedEngine('poolSequences', x);
  expectRank('poolSequences: x', x.shape, 2);
  if (!poolings.includes(how))
    throw new ConfigError({ what: 'pooling', expected: poolings.join(', '), got: show(how) });
  const [totalTokens, size] = x.shape;
  expectOffsets('poolSequences', offsets, totalTokens);
  const y = engine.empty([offsets.length - 1, size]);
  engine.kernels.poolSequences(y.data, x.data, offsets, size, how);
  return record(y, [x], (dy, [dx], backward) =>
    backward.poolSequencesBackward(dx!.data, dy.data, x.data, offsets, size, how),
  );
}

function rowsAndSize(x: Tensor): [rows: number, size: number] {
  const size = x.rank > 0 ? x.shape[x.rank - 1] : 1;
  return [size > 0 ? x.size / size : 0, size];
}

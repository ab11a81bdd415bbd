import { ShapeError } from '../../errors.ts';
import { record } from '../autograd.ts';
import { sharedEngine } from '../engine.ts';
import { expectRank, expectShape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { expectOffsets } from './attention.ts';
import type { Places } from './positions.ts';

export interface ConvolutionOptions extends Places {
  /** Channels are divided into so many groups, each of which sees only its own. Default 1. */
  groups?: number;
}

/**
 * One-dimensional convolution along each sequence, as long as before: y[c] = Σₖ weight[·,·,k] · x[c + k - (size - 1) / 2] + bias
 * in original columns c, where a column whose token was dropped counts as zeros, as torch.nn.Conv1d on padded rows.
 *
 * @param x      [totalTokens, inChannels]
 * @param weight [outChannels, inChannels / groups, size], size odd
 * @param bias   [outChannels], or null
 * @returns      [totalTokens, outChannels]
 */
export function convolution(x: Tensor, weight: Tensor, bias: Tensor | null, options: ConvolutionOptions): Tensor {
  const { offsets, columns, groups = 1 } = options;
  const engine = sharedEngine('convolution', x, weight, bias);
  expectRank('convolution: x', x.shape, 2);
  expectRank('convolution: weight', weight.shape, 3);
  const [rows, inChannels] = x.shape;
  const [outChannels, channels, size] = weight.shape;
  if (channels * groups !== inChannels || outChannels % groups !== 0 || size % 2 === 0) {
    throw new ShapeError({
      what: 'convolution: weight',
      expected: `[outChannels, ${inChannels} / ${groups} groups, an odd size]`,
      got: showShape(weight.shape),
    });
  }
  if (bias) expectShape('convolution: bias', bias.shape, [outChannels]);
  expectShape('convolution: columns', [columns.length], [rows]);
  expectOffsets('convolution', offsets, rows);

  const y = engine.empty([rows, outChannels]);
  const [width, outputs] = [channels * size, outChannels / groups];
  const sizes = [rows, width, outputs] as const;
  const part = (numbers: Tensor, group: number, length: number) =>
    numbers.data.slice(group * length, (group + 1) * length);
  const floats = (length: number) => (engine.dtype === 'float64' ? new Float64Array(length) : new Float32Array(length));
  /** Where a number of x stands among the neighbours of a token in one group, [rows, channels·size]. */
  const forUnfolded = (group: number, visit: (unfolded: number, x: number) => void) =>
    forNeighbours(offsets, columns, size, (row, k, other) => {
      const from = other * inChannels + group * channels;
      for (let i = 0; i < channels; i++) visit(row * width + i * size + k, from + i);
    });
  const unfold = (group: number) => {
    const neighbours = floats(rows * width);
    const { data } = x;
    forUnfolded(group, (to, from) => (neighbours[to] = data[from]));
    return neighbours;
  };
  /** Where the outputs of a group stand in y, row by row. */
  const forOutputs = (group: number, visit: (y: number, product: number) => void) => {
    for (let row = 0; row < rows; row++) visit(row * outChannels + group * outputs, row * outputs);
  };
  for (let group = 0; group < groups; group++) {
    const product = engine.empty([rows, outputs]);
    const [weights, biases] = [part(weight, group, outputs * width), bias && part(bias, group, outputs)];
    engine.kernels.linear(product.data, unfold(group), weights, biases, 'linear', ...sizes);
    const [to, sums] = [y.data, product.data]; // after the product, whose memory may have moved them
    forOutputs(group, (at, from) => to.set(sums.subarray(from, from + outputs), at));
  }
  return record(y, [x, weight, bias], (dy, [dx, dWeight, dBias], backward) => {
    for (let group = 0; group < groups; group++) {
      const neighbours = unfold(group);
      const given = floats(rows * outputs);
      forOutputs(group, (at, to) => given.set(dy.data.subarray(at, at + outputs), to));
      const dNeighbours = dx && neighbours.slice().fill(0);
      const [dWeights, dBiases] = [
        dWeight && part(dWeight, group, outputs * width),
        dBias && part(dBias, group, outputs),
      ];
      const weights = part(weight, group, outputs * width);
      backward.linearBackward(dNeighbours, dWeights, dBiases, given, neighbours, weights, ...sizes);
      if (dWeight && dWeights) dWeight.data.set(dWeights, group * outputs * width);
      if (dBias && dBiases) dBias.data.set(dBiases, group * outputs);
      if (!dx || !dNeighbours) continue;
      const { data } = dx;
      forUnfolded(group, (from, to) => (data[to] += dNeighbours[from]));
    }
  });
}

/** Calls `visit` for each token and each k whose column, k - (size - 1) / 2 from its own, has a token. */
function forNeighbours(
  offsets: Int32Array,
  columns: Int32Array,
  size: number,
  visit: (row: number, k: number, other: number) => void,
): void {
  const half = (size - 1) / 2;
  for (let s = 0; s + 1 < offsets.length; s++) {
    for (let row = offsets[s]; row < offsets[s + 1]; row++) {
      for (let other = Math.max(offsets[s], row - half); other < Math.min(offsets[s + 1], row + half + 1); other++) {
        const k = columns[other] - columns[row] + half;
        if (k >= 0 && k < size) visit(row, k, other);
      }
    }
  }
}

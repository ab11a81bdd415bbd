import { ShapeError } from '../../errors.ts';
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
  const unfolded = engine.empty([rows, width]); // of a token: each of its channels around it
  const product = engine.empty([rows, outputs]);
  for (let group = 0; group < groups; group++) {
    const [neighbours, own] = [unfolded.data.fill(0), x.data];
    forNeighbours(offsets, columns, size, (row, k, other) => {
      const from = other * inChannels + group * channels;
      for (let i = 0; i < channels; i++) neighbours[row * width + i * size + k] = own[from + i];
    });
    const part = (numbers: Tensor, length: number) => numbers.data.slice(group * length, (group + 1) * length);
    const [weights, biases] = [part(weight, outputs * width), bias && part(bias, outputs)];
    engine.kernels.linear(product.data, neighbours, weights, biases, 'linear', rows, width, outputs);
    const [to, sums] = [y.data, product.data]; // after the product, whose memory may have moved them
    for (let row = 0; row < rows; row++) {
      to.set(sums.subarray(row * outputs, (row + 1) * outputs), row * outChannels + group * outputs);
    }
  }
  return y;
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

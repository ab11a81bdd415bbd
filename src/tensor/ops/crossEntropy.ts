import { ConfigError, InputError, ShapeError } from '../../errors.ts';
import { record } from '../autograd.ts';
import { backwardKernels } from '../backward.ts';
import { expectRank } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { divide } from './elementwise.ts';
import { sum } from './reduce.ts';

export interface CrossEntropyOptions {
  /** Rows with this label count nothing. Default -100. */
  ignoreIndex?: number;
  /** This part of each target is spread evenly over all classes. Default 0. */
  labelSmoothing?: number;
}

/**
 * The cross entropy of each row of logits with its label, softmax included.
 *
 * @param x      [rows, classes]
 * @param labels [rows]
 * @returns      [rows]; 0 where the label is ignored
 * @throws InputError naming a label that is no class
 */
export function crossEntropyRows(x: Tensor, labels: Int32Array, options: CrossEntropyOptions = {}): Tensor {
  const { ignoreIndex = -100, labelSmoothing = 0 } = options;
  expectRank('crossEntropy: x', x.shape, 2);
  const [rows, size] = x.shape;
  if (labels.length !== rows) {
    throw new ShapeError({ what: 'crossEntropy: labels', expected: `${rows}, one per row`, got: `${labels.length}` });
  }
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1)) {
    throw new ConfigError({ what: 'crossEntropy: labelSmoothing', expected: '0 to 1', got: `${labelSmoothing}` });
  }
  const counted = labels.map((label) => (label === ignoreIndex ? -1 : label));
  const bad = labels.findIndex((label) => label !== ignoreIndex && !(label >= 0 && label < size));
  if (bad >= 0) {
    throw new InputError({
      what: `crossEntropy: label ${bad}`,
      expected: `0 to ${size - 1}, or ${ignoreIndex} to ignore the row`,
      got: `${labels[bad]}`,
    });
  }
  const y = x.engine.empty([rows]);
  backwardKernels(x.engine).crossEntropy(y.data, x.data, counted, labelSmoothing, rows, size);
  return record(y, [x], (dy, [dx], backward) =>
    backward.crossEntropyBackward(dx!.data, dy.data, x.data, counted, labelSmoothing, rows, size),
  );
}

/** Their mean over the rows that are not ignored, as torch.nn.CrossEntropyLoss; NaN when all are. → [] */
export function crossEntropy(x: Tensor, labels: Int32Array, options: CrossEntropyOptions = {}): Tensor {
  const count = labels.filter((label) => label !== (options.ignoreIndex ?? -100)).length;
  return divide(sum(crossEntropyRows(x, labels, options)), x.engine.tensor([count], []));
}

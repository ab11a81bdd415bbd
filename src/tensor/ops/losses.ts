import { expectShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { multiply, softplus, subtract } from './elementwise.ts';
import { mean } from './reduce.ts';

/** The mean of all numbers. → [] */
const meanOfAll = (x: Tensor): Tensor => mean(x.reshape([x.size]));

/**
 * Binary cross entropy of logits with targets between 0 and 1, the mean over all, as torch.nn.BCEWithLogitsLoss.
 * It is softplus(x) - x·target, which no logit makes infinite.
 */
export function binaryCrossEntropy(logits: Tensor, targets: Tensor): Tensor {
  expectShape('binaryCrossEntropy: targets', targets.shape, logits.shape);
  return meanOfAll(subtract(softplus(logits), multiply(logits, targets)));
}

/** Mean squared difference, as torch.nn.MSELoss. */
export function meanSquared(predictions: Tensor, targets: Tensor): Tensor {
  expectShape('meanSquared: targets', targets.shape, predictions.shape);
  const difference = subtract(predictions, targets);
  return meanOfAll(multiply(difference, difference));
}

import { ShapeError } from '../errors.ts';
import {
  activation,
  add,
  concatRows,
  linear,
  logSoftmax,
  mean,
  multiply,
  normalizeRows,
  scale,
  sqrt,
  subtract,
  sum,
  crossEntropy,
  type Tensor,
} from '../tensor/index.ts';

export { binaryCrossEntropy, crossEntropy, meanSquared, type CrossEntropyOptions } from '../tensor/index.ts';

/** The mean of all numbers. → [] */
export function meanOf(x: Tensor): Tensor {
  return mean(x.reshape([x.size]));
}

function expectSame(what: string, a: Tensor, b: Tensor): void {
  if (a.shape.join() === b.shape.join()) return;
  throw new ShapeError({ what, expected: `shape ${a.shape.join('×')}`, got: b.shape.join('×') });
}

/**
 * How far the student's distribution is from the teacher's: KL(teacher ‖ student) of the softmax of logits / temperature,
 * the mean over rows, times temperature², so that gradients keep their size. Source: Hinton et al. 2015, §2.
 *
 * @param student,teacher [rows, classes]; the teacher's are taken as constants when computed outside the tape
 */
export function distillationLoss(student: Tensor, teacher: Tensor, temperature = 1): Tensor {
  expectSame('distillationLoss: teacher', student, teacher);
  const logQ = logSoftmax(scale(student, 1 / temperature));
  const logP = logSoftmax(scale(teacher, 1 / temperature));
  const p = constantExp(logP);
  const perRow = sum(multiply(p, subtract(logP, logQ)));
  return scale(meanOf(perRow), temperature ** 2);
}

/** exp, without a gradient of its own: the teacher's probabilities. */
function constantExp(logP: Tensor): Tensor {
  return logP.engine.tensor(logP.data.map(Math.exp), logP.shape);
}

/** The mean of 1 - cosine (or of max(0, cosine - margin) where the target is -1), as torch.nn.CosineEmbeddingLoss. */
export function cosineEmbeddingLoss(a: Tensor, b: Tensor, targets?: ArrayLike<number>, margin = 0): Tensor {
  expectSame('cosineEmbeddingLoss: b', a, b);
  const cosine = sum(multiply(normalizeRows(a), normalizeRows(b)));
  const { engine } = a;
  const same = Array.from({ length: cosine.size }, (_, i) => ((targets?.[i] ?? 1) > 0 ? 1 : 0));
  const near = subtract(engine.tensor(same, cosine.shape), multiply(cosine, engine.tensor(same, cosine.shape)));
  if (same.every((one) => one === 1)) return meanOf(near);
  const others = engine.tensor(
    same.map((one) => 1 - one),
    cosine.shape,
  );
  const beyond = activation(subtract(cosine, engine.tensor([margin], [])), 'relu');
  return meanOf(add(near, multiply(beyond, others)));
}

/**
 * Multiple negatives ranking: each anchor's positive is to be nearer than the positives of all other anchors (and than
 * further negatives, when given). Cross entropy over scale · cosine. Source: Henderson et al. 2017, §4.4; SimCSE
 * (Gao et al. 2021) is this with the same texts twice, told apart by dropout alone, and scale 1 / 0.05.
 *
 * @param anchors,positives [rows, size]
 * @param negatives         [any, size], or null
 */
export function multipleNegativesRanking(
  anchors: Tensor,
  positives: Tensor,
  { scale: factor = 20, negatives = null as Tensor | null } = {},
): Tensor {
  expectSame('multipleNegativesRanking: positives', anchors, positives);
  const rows = anchors.shape[0];
  const a = normalizeRows(anchors);
  const candidates = negatives
    ? concatRows([normalizeRows(positives), normalizeRows(negatives)])
    : normalizeRows(positives);
  const scores = scale(linear(a, candidates), factor);
  const labels = Int32Array.from({ length: rows }, (_, i) => i);
  return crossEntropy(scores, labels);
}

/** The mean of max(0, |anchor - positive| - |anchor - negative| + margin), with Euclidean distances. Source: Reimers & Gurevych 2019, §3. */
export function tripletLoss(anchors: Tensor, positives: Tensor, negatives: Tensor, margin = 5): Tensor {
  expectSame('tripletLoss: positives', anchors, positives);
  expectSame('tripletLoss: negatives', anchors, negatives);
  const gap = subtract(distance(anchors, positives), distance(anchors, negatives));
  return meanOf(activation(add(gap, gap.engine.tensor([margin], [])), 'relu'));
}

function distance(a: Tensor, b: Tensor): Tensor {
  const difference = subtract(a, b);
  const squares = sum(multiply(difference, difference));
  return sqrt(add(squares, squares.engine.tensor([1e-12], []))); // whose slope at 0 would be infinite
}

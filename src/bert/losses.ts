import { InputError, show } from '../errors.ts';
import type { PackedBatch } from '../layers/index.ts';
import {
  add,
  binaryCrossEntropy,
  crossEntropy,
  gather,
  meanSquared,
  scale,
  type Engine,
  type Tensor,
} from '../tensor/index.ts';
import type { AnyOutput, ModelOutput } from './outputs.ts';

type Numbers = ArrayLike<number>;

/** What an output ought to have been, under transformers' names in camelCase. -100 is ignored. */
export interface Labels {
  /**
   * Per token: [sequences][columns], masked columns counted; those of masked tokens are ignored. Per sequence or question:
   * [sequences] class numbers, or targets of a regression; [sequences][labels] of 0 and 1 where several classes may hold.
   */
  labels?: Numbers | ArrayLike<Numbers>;
  /** [sequences]: 0 if the second segment follows the first, 1 if not. */
  nextSentenceLabel?: Numbers;
  /** [sequences]: 0 if the segments are in their order, 1 if swapped (ALBERT). */
  sentenceOrderLabel?: Numbers;
  /** [sequences]: the column where the answer starts; one that is not in the sequence is ignored. */
  startPositions?: Numbers;
  /** [sequences]: the column where it ends. */
  endPositions?: Numbers;
}

const IGNORED = -100;

/** The loss that transformers computes for a model with that output. */
export function lossOf(output: ModelOutput, labels: Labels, problemType: string | null): Tensor {
  const { batch, logits, logitsPer, startLogits, endLogits, predictionLogits }: AnyOutput = output;
  const { seqRelationshipLogits, sopLogits }: AnyOutput = output;
  const pairLogits = seqRelationshipLogits ?? sopLogits;
  if (predictionLogits && pairLogits) {
    const words = crossEntropy(predictionLogits, tokenLabels(labels, batch));
    const name = seqRelationshipLogits ? 'nextSentenceLabel' : 'sentenceOrderLabel';
    return add(words, crossEntropy(pairLogits, classesOf(name, labels[name], batch.size)));
  }
  if (startLogits && endLogits) {
    const start = positionLoss(startLogits, 'startPositions', labels, batch);
    return scale(add(start, positionLoss(endLogits, 'endPositions', labels, batch)), 0.5);
  }
  if (!logits) {
    throw new InputError({ what: 'loss: output', expected: "what the model's forward gave", got: 'no logits' });
  }
  if (logits.rank === 1) return binaryCrossEntropy(logits, targetsOf(logits.engine, tokenLabels(labels, batch)));
  if (logitsPer === 'token') return crossEntropy(logits, tokenLabels(labels, batch));
  const [rows, classes] = logits.shape;
  const given = labels.labels ?? labels.nextSentenceLabel;
  const isPerClass = typeof given?.[0] === 'object';
  const type = problemType ?? (classes === 1 ? 'regression' : isPerClass ? 'multi_label_classification' : 'single');
  if (type === 'regression' || type === 'multi_label_classification') {
    const flat = isPerClass ? Array.from(given as ArrayLike<Numbers>).flatMap((row) => Array.from(row)) : given;
    const targets = targetsOf(logits.engine, numbersOf('labels', flat as Numbers, rows * classes));
    const flatLogits = logits.reshape([rows * classes]);
    return type === 'regression' ? meanSquared(flatLogits, targets) : binaryCrossEntropy(flatLogits, targets);
  }
  return crossEntropy(logits, classesOf('labels', given as Numbers, rows));
}

const targetsOf = (engine: Engine, values: Numbers): Tensor => engine.tensor(Array.from(values), [values.length]);

/** [sequences][columns] → [totalTokens] */
function tokenLabels({ labels }: Labels, batch: PackedBatch): Int32Array {
  if (labels?.length !== batch.size) throw wrongLabels('labels', `a row for each of ${batch.size} sequences`, labels);
  const packed = new Int32Array(batch.totalTokens);
  for (let sequence = 0; sequence < batch.size; sequence++) {
    const row = labels[sequence];
    for (let token = batch.offsets[sequence]; token < batch.offsets[sequence + 1]; token++) {
      const label = typeof row === 'object' ? row[batch.columns[token]] : undefined;
      if (!Number.isInteger(label)) {
        throw wrongLabels(`labels of sequence ${sequence}, token ${batch.columns[token]}`, 'a whole number', label);
      }
      packed[token] = label!;
    }
  }
  return packed;
}

/** Cross entropy over the tokens of each sequence. Padding has no part in it, where transformers lets it have one. */
function positionLoss(
  logits: Tensor,
  name: 'startPositions' | 'endPositions',
  labels: Labels,
  { size, offsets, columns }: PackedBatch,
): Tensor {
  const positions = numbersOf(name, labels[name], size);
  let longest = 1;
  for (let s = 0; s < size; s++) longest = Math.max(longest, offsets[s + 1] - offsets[s]);
  const indices = new Int32Array(size * longest).fill(-1);
  const targets = new Int32Array(size).fill(IGNORED);
  for (let s = 0; s < size; s++) {
    for (let token = offsets[s]; token < offsets[s + 1]; token++) {
      indices[s * longest + token - offsets[s]] = token;
      if (columns[token] === positions[s]) targets[s] = token - offsets[s];
    }
  }
  return crossEntropy(gather(logits, indices, [size, longest], -Infinity), targets);
}

function numbersOf(name: keyof Labels, values: Numbers | undefined, count: number): Numbers {
  const bad = values === undefined ? 0 : Array.from(values).findIndex((value) => typeof value !== 'number');
  if (values?.length !== count || bad >= 0) throw wrongLabels(name, `${count} numbers`, values);
  return values;
}

function classesOf(name: keyof Labels, values: Numbers | undefined, count: number): Int32Array {
  const classes = Int32Array.from(numbersOf(name, values, count));
  if (classes.every((value, i) => value === values![i])) return classes;
  throw wrongLabels(name, `${count} whole numbers`, values);
}

function wrongLabels(what: string, expected: string, got: unknown): InputError {
  return new InputError({
    what,
    expected,
    got: show(got),
    fix: 'give labels as transformers has them; -100 is ignored',
  });
}

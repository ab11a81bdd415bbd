import type { BertPreTrainedModel, LogitsOutput } from '../../bert/index.ts';
import { ConfigError, InputError, show } from '../../errors.ts';
import {
  accuracy,
  matthewsCorrelation,
  meanSquaredError,
  pearson,
  precisionRecallF1,
  spearman,
} from '../../metrics/index.ts';
import type { Encoding, TextInput, Tokenizer } from '../../tokenizer/index.ts';
import type { Tensor } from '../../tensor/index.ts';
import type { LabelledText, ScoredText } from '../data/examples.ts';
import type { Metrics } from '../trainer.ts';
import { forwardAll, type ExampleBatch, type Recipe } from './recipe.ts';

/** A text as the model reads it, with its target. */
interface Prepared {
  encoding: Encoding;
  /** A class number, or the number to predict. */
  target: number;
  length: number;
}

export interface TextRecipeOptions {
  /** Longer texts are truncated. Default: as long as the model reads. */
  maxLength?: number;
}

/** What recipes on texts share: tokenizing, batches, logits. */
abstract class TextRecipe<Example extends { text: LabelledText['text'] }> implements Recipe<Example, Prepared> {
  readonly model: BertPreTrainedModel;
  readonly tokenizer: Tokenizer;
  readonly maxLength: number;
  abstract readonly metric: { name: string; lower?: boolean };

  constructor(model: BertPreTrainedModel, tokenizer: Tokenizer, { maxLength }: TextRecipeOptions = {}) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.maxLength = longest(model, tokenizer, maxLength);
  }

  protected abstract targetOf(example: Example): number;
  abstract evaluate(examples: readonly Example[]): Metrics;

  prepare(example: Example): Prepared[] {
    const encoding = encode(this.tokenizer, example.text, this.maxLength);
    return [{ encoding, target: this.targetOf(example), length: encoding.length }];
  }

  inputs({ examples }: ExampleBatch<Prepared>) {
    return inputsOf(examples.map(({ encoding }) => encoding));
  }

  labels({ examples }: ExampleBatch<Prepared>) {
    return { labels: examples.map(({ target }) => target) };
  }

  loss(batch: ExampleBatch<Prepared>): Tensor {
    return this.model.loss(this.model.forward(this.inputs(batch)), this.labels(batch));
  }

  /** Logits of each example, and the mean loss. */
  protected predict(examples: readonly Example[]): { logits: number[][]; targets: number[]; loss: number } {
    const prepared = examples.flatMap((example) => this.prepare(example));
    const logits: number[][] = [];
    let loss = 0;
    for (const { output, batch } of forwardAll(this.model, prepared, (batch) =>
      inputsOf(batch.map(({ encoding }) => encoding)),
    )) {
      const { data, shape } = (output as LogitsOutput).logits;
      const columns = shape[1];
      batch.forEach((_, i) => logits.push(Array.from(data.subarray(i * columns, (i + 1) * columns))));
      loss += batch.length * this.model.loss(output, { labels: batch.map(({ target }) => target) }).data[0];
    }
    return { logits, targets: prepared.map(({ target }) => target), loss: loss / examples.length };
  }
}

/** Texts, or pairs of them, into classes; of the class `…ForSequenceClassification`. */
export class TextClassification extends TextRecipe<LabelledText> {
  readonly metric = { name: 'accuracy' };

  protected targetOf({ label }: LabelledText): number {
    const { id2label } = this.model.config;
    const id = id2label.indexOf(label);
    if (id >= 0) return id;
    throw new InputError({
      what: `label ${show(label)}`,
      expected: `one of ${id2label.map(show).join(', ')}`,
      fix: 'correct it, or give the model the labels of the data',
    });
  }

  /** @param predicted of these examples, where that is known already */
  evaluate(examples: readonly LabelledText[], predicted = this.predictions(examples)): Metrics {
    const { targets, predictions, loss } = predicted;
    const { f1, precision, recall } = precisionRecallF1(targets, predictions, 'macro');
    return {
      eval_loss: loss,
      accuracy: accuracy(targets, predictions),
      f1,
      precision,
      recall,
      mcc: matthewsCorrelation(targets, predictions),
    };
  }

  /** Class numbers, true and predicted: what a confusion matrix is made of; and the mean loss. */
  predictions(examples: readonly LabelledText[]): { targets: number[]; predictions: number[]; loss: number } {
    const { logits, targets, loss } = this.predict(examples);
    return { targets, predictions: logits.map(largest), loss };
  }
}

/** Texts, or pairs of them, to a number; of the class `…ForSequenceClassification` with one label. */
export class TextRegression extends TextRecipe<ScoredText> {
  readonly metric = { name: 'spearman' };

  constructor(model: BertPreTrainedModel, tokenizer: Tokenizer, options: TextRecipeOptions = {}) {
    super(model, tokenizer, options);
    const { config } = model;
    if (config.numLabels !== 1) {
      throw new ConfigError({ what: 'model for a regression', expected: 'one label', got: `${config.numLabels}` });
    }
    // As transformers notes it: else pipelines would put the number through a sigmoid.
    if (config.problemType === null) model.config = config.with({ problemType: 'regression' });
  }

  protected targetOf({ score }: ScoredText): number {
    return score;
  }

  evaluate(examples: readonly ScoredText[]): Metrics {
    const { logits, targets, loss } = this.predict(examples);
    const predictions = logits.map(([value]) => value);
    const enough = examples.length > 1;
    return {
      eval_loss: loss,
      mse: meanSquaredError(targets, predictions),
      pearson: enough ? pearson(targets, predictions) : NaN,
      spearman: enough ? spearman(targets, predictions) : NaN,
    };
  }
}

/** Most tokens of a text. */
export function longest(model: BertPreTrainedModel, tokenizer: Tokenizer, wanted = Infinity): number {
  return Math.min(wanted, model.config.maxSequenceLength, tokenizer.modelMaxLength);
}

export function encode(tokenizer: Tokenizer, text: TextInput, maxLength: number): Encoding {
  return tokenizer.encode(text, { maxLength, truncation: 'longest_first' });
}

export function inputsOf(encodings: readonly Encoding[]) {
  return {
    inputIds: encodings.map(({ inputIds }) => inputIds),
    tokenTypeIds: encodings.map(({ tokenTypeIds }) => tokenTypeIds),
  };
}

const largest = (numbers: readonly number[]): number => numbers.indexOf(Math.max(...numbers));

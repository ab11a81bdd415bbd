import type { BertForMultipleChoice, LogitsOutput } from '../../bert/index.ts';
import { InputError, show } from '../../errors.ts';
import { accuracy } from '../../metrics/index.ts';
import type { Tensor } from '../../tensor/index.ts';
import type { Encoding, Tokenizer } from '../../tokenizer/index.ts';
import type { Metrics } from '../trainer.ts';
import { forwardAll, type ExampleBatch, type Recipe } from './recipe.ts';
import { encode, inputsOf, longest, type TextRecipeOptions } from './textClassification.ts';

/** A beginning, and continuations of which one fits. */
export interface ChoiceExample {
  text: string;
  choices: readonly string[];
  /** The number of the right one. */
  label: number;
}

interface Prepared {
  encodings: Encoding[];
  label: number;
  length: number;
}

/** Which of several continuations fits a text; all examples have as many. */
export class MultipleChoice implements Recipe<ChoiceExample, Prepared> {
  readonly model: BertForMultipleChoice;
  readonly tokenizer: Tokenizer;
  readonly maxLength: number;
  readonly metric = { name: 'accuracy' };

  constructor(model: BertForMultipleChoice, tokenizer: Tokenizer, { maxLength }: TextRecipeOptions = {}) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.maxLength = longest(model, tokenizer, maxLength);
  }

  prepare({ text, choices, label }: ChoiceExample): Prepared[] {
    if (!Number.isInteger(label) || label < 0 || label >= choices.length) {
      throw new InputError({
        what: 'label',
        expected: `the number of one of ${choices.length} choices`,
        got: show(label),
      });
    }
    const encodings = choices.map((choice) => encode(this.tokenizer, [text, choice], this.maxLength));
    return [{ encodings, label, length: encodings.reduce((sum, { length }) => sum + length, 0) }];
  }

  loss({ examples }: ExampleBatch<Prepared>): Tensor {
    const { choices, ...inputs } = choiceInputs(examples);
    return this.model.loss(this.model.forward(inputs, { choices }), { labels: examples.map(({ label }) => label) });
  }

  evaluate(examples: readonly ChoiceExample[]): Metrics {
    const prepared = examples.flatMap((example) => this.prepare(example));
    const predictions: number[] = [];
    for (const { output, batch } of forwardAll(this.model, prepared, choiceInputs)) {
      const { data, shape } = (output as LogitsOutput).logits;
      batch.forEach((_, i) => {
        const scores = data.subarray(i * shape[1], (i + 1) * shape[1]);
        predictions.push(scores.indexOf(Math.max(...scores)));
      });
    }
    const labels = examples.map(({ label }) => label);
    return { accuracy: accuracy(labels, predictions) };
  }
}

function choiceInputs(examples: readonly Prepared[]) {
  const choices = examples[0].encodings.length;
  const other = examples.find(({ encodings }) => encodings.length !== choices);
  if (other) {
    const got = `${choices} and ${other.encodings.length}`;
    throw new InputError({ what: 'choices of a batch', expected: 'as many for every example', got });
  }
  return { ...inputsOf(examples.flatMap(({ encodings }) => encodings)), choices };
}

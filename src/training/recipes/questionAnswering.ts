import { modelInputs, type BertPreTrainedModel } from '../../bert/index.ts';
import { squadScores } from '../../metrics/index.ts';
import { questionAnswering } from '../../tasks/index.ts';
import type { Tensor } from '../../tensor/index.ts';
import type { Encoding, Tokenizer } from '../../tokenizer/index.ts';
import type { QuestionExample } from '../data/examples.ts';
import type { Metrics } from '../trainer.ts';
import type { ExampleBatch, Recipe } from './recipe.ts';
import { longest } from './textClassification.ts';

interface Prepared {
  encoding: Encoding;
  /** Columns; those of the first token when the window holds no answer. */
  start: number;
  end: number;
  length: number;
}

export interface QuestionRecipeOptions {
  /** Longest window of question and context. Default 384, or what the model reads. */
  maxLength?: number;
  /** Tokens that neighbouring windows share. Default 128, or a third of the window. */
  stride?: number;
  /** Longest answer in an evaluation, in tokens. Default 30. */
  maxAnswerLength?: number;
}

/** Answers in a context (Devlin et al. 2019, §4.2–4.3), windows over long ones; of the class `…ForQuestionAnswering`. */
export class AnswerExtraction implements Recipe<QuestionExample, Prepared> {
  readonly model: BertPreTrainedModel;
  readonly tokenizer: Tokenizer;
  readonly maxLength: number;
  readonly stride: number;
  readonly maxAnswerLength: number;
  readonly metric = { name: 'f1' };

  constructor(model: BertPreTrainedModel, tokenizer: Tokenizer, options: QuestionRecipeOptions = {}) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.maxLength = longest(model, tokenizer, options.maxLength ?? 384);
    this.stride = options.stride ?? Math.min(128, Math.floor(this.maxLength / 3));
    this.maxAnswerLength = options.maxAnswerLength ?? 30;
  }

  prepare({ question, context, answers }: QuestionExample): Prepared[] {
    const { maxLength, stride } = this;
    const first = this.tokenizer.encode([question, context], { maxLength, stride, truncation: 'only_second' });
    return [first, ...first.overflowing].map((encoding) => {
      const { starts, ends, sequenceIds } = encoding;
      const [answer] = answers;
      const from = answer?.start ?? -1;
      const to = from + (answer?.text.length ?? 0);
      const start = sequenceIds.findIndex((id, i) => id === 1 && starts[i] <= from && from < ends[i]);
      const end = sequenceIds.findIndex((id, i) => id === 1 && starts[i] < to && to <= ends[i]);
      const inside = start >= 0 && end >= start;
      return { encoding, start: inside ? start : 0, end: inside ? end : 0, length: encoding.length };
    });
  }

  loss({ examples }: ExampleBatch<Prepared>): Tensor {
    const output = this.model.forward(
      modelInputs(
        this.model,
        examples.map(({ encoding }) => encoding),
      ),
    );
    const startPositions = examples.map(({ start }) => start);
    return this.model.loss(output, { startPositions, endPositions: examples.map(({ end }) => end) });
  }

  async evaluate(examples: readonly QuestionExample[]): Promise<Metrics> {
    const predictions = await this.predictions(examples);
    const answers = examples.map(({ answers }) => answers.map(({ text }) => text));
    const { exact, f1 } = squadScores(predictions, answers);
    return { exact, f1 };
  }

  /** The best answer to each question; '' where the model sees none and the data has such questions. */
  async predictions(examples: readonly QuestionExample[]): Promise<string[]> {
    const { model, tokenizer, maxLength, stride, maxAnswerLength } = this;
    const answer = questionAnswering({ model, tokenizer });
    const handleImpossibleAnswer = examples.some(({ answers }) => answers.length === 0);
    const options = { maxLength, stride, maxAnswerLength, handleImpossibleAnswer };
    const inputs = examples.map(({ question, context }) => ({ question, context }));
    const results = await answer(inputs, options);
    return results.map((result) => result.answer);
  }
}

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

  /** Windows; none of an answer without a token, of which there is nothing to learn. */
  prepare({ question, context, answers }: QuestionExample): Prepared[] {
    const { maxLength, stride } = this;
    const first = this.tokenizer.encode([question, context], { maxLength, stride, truncation: 'only_second' });
    const windows = [first, ...first.overflowing];
    const [answer] = answers;
    const text = answer?.text ?? '';
    const from = (answer?.start ?? 0) + text.length - text.trimStart().length;
    const to = from + text.trim().length;
    // The answer's edges need not be a token's: a tokenizer leaves some characters out.
    const found = windows.map(({ starts, ends, sequenceIds }) =>
      [...sequenceIds.keys()].filter((i) => sequenceIds[i] === 1 && ends[i] > from && starts[i] < to),
    );
    const tokens = found.flatMap((columns, w) => columns.map((i) => windows[w].offsets[i]));
    if (answer && tokens.length === 0) return [];
    const [begin, end] = [Math.min(...tokens.map(([start]) => start)), Math.max(...tokens.map(([, end]) => end))];
    return windows.map((encoding, w) => {
      const [start, last] = [found[w].at(0) ?? 0, found[w].at(-1) ?? 0];
      const isWhole = encoding.starts[start] === begin && encoding.ends[last] === end;
      return { encoding, start: isWhole ? start : 0, end: isWhole ? last : 0, length: encoding.length };
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

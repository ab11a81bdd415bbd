import type { BertForMaskedLM, BertModel, BertPreTrainedModel, Labels, LogitsOutput } from '../../bert/index.ts';
import { ConfigError, InputError, show } from '../../errors.ts';
import type { ModelInputs } from '../../layers/index.ts';
import { spearman } from '../../metrics/index.ts';
import {
  add,
  crossEntropy,
  scale,
  selectRows,
  withoutGradients,
  type Pooling,
  type Tensor,
} from '../../tensor/index.ts';
import type { Encoding, Tokenizer } from '../../tokenizer/index.ts';
import { cosineEmbeddingLoss, distillationLoss, meanSquared } from '../losses.ts';
import type { Metrics, Settings } from '../trainer.ts';
import { MaskedLanguageModelling, type MaskedLMOptions, type TokenExample } from './maskedLM.ts';
import { digestOf, type ExampleBatch, type Recipe } from './recipe.ts';
import { cosines, longestSentence, sentenceVectors, type SimilarityExample } from './similarity.ts';
import { encode, type TextRecipeOptions } from './textClassification.ts';

/** A recipe whose loss is that of the model's class, as those for texts, for words into classes and for numbers. */
export interface LogitsRecipe<Example, Prepared extends { length: number }> extends Recipe<Example, Prepared> {
  inputs(batch: ExampleBatch<Prepared>): ModelInputs;
  labels(batch: ExampleBatch<Prepared>): Labels;
}

export interface DistillationOptions {
  /** Softens both distributions. Default 2. A regression has none: the student's number is to be the teacher's. */
  temperature?: number;
  /** Share of the teacher's distribution in the loss; the rest is that of the labels. Default 0.5. */
  alpha?: number;
  /** Weight of 1 - cosine of the last hidden states, which must then be as wide. Default 0. */
  cosine?: number;
}

/**
 * Teaches a student, the model of `recipe`, what a teacher says as well as what the labels say:
 * alpha · T² · KL(teacher ‖ student) + (1 - alpha) · loss + cosine · (1 - cos). Sources: Hinton et al. 2015,
 * arXiv:1503.02531; Sanh et al. 2019 (DistilBERT), arXiv:1910.01108.
 */
export class Distillation<Example, Prepared extends { length: number }> implements Recipe<Example, Prepared> {
  readonly model: BertPreTrainedModel;
  readonly metric: Recipe<Example, Prepared>['metric'];
  readonly #recipe: LogitsRecipe<Example, Prepared>;
  readonly #teacher: BertPreTrainedModel;
  readonly #options: Required<DistillationOptions>;

  /** @param teacher with the same labels, on the same engine */
  constructor(
    recipe: LogitsRecipe<Example, Prepared>,
    teacher: BertPreTrainedModel,
    { temperature = 2, alpha = 0.5, cosine = 0 }: DistillationOptions = {},
  ) {
    expectTemperature(temperature);
    expectShare('alpha', alpha);
    expectVocabulary(recipe.model, teacher);
    this.model = recipe.model;
    this.metric = recipe.metric;
    this.#recipe = recipe;
    this.#teacher = teacher.eval();
    this.#options = { temperature, alpha, cosine };
  }

  prepare(example: Example): Prepared[] {
    return this.#recipe.prepare(example);
  }

  get settings(): Settings {
    return { ...this.#recipe.settings, ...this.#options, [TEACHER]: digestOf(this.#teacher) };
  }

  loss(batch: ExampleBatch<Prepared>): Tensor {
    const { temperature, alpha, cosine } = this.#options;
    const inputs = this.#recipe.inputs(batch);
    const options = { outputHiddenStates: cosine > 0 };
    const taught = withoutGradients(this.model.engine, () => this.#teacher.forward(inputs, options)) as LogitsOutput;
    const output = this.model.forward(inputs, options) as LogitsOutput;
    const isNumber = output.logits.shape[1] === 1;
    const soft = isNumber
      ? meanSquared(flat(output.logits), flat(taught.logits))
      : distillationLoss(output.logits, taught.logits, temperature);
    const hard = this.model.loss(output, this.#recipe.labels(batch));
    const loss = add(scale(soft, alpha), scale(hard, 1 - alpha));
    if (cosine === 0) return loss;
    return add(loss, scale(unlike(output.hiddenStates!.at(-1)!, taught.hiddenStates!.at(-1)!), cosine));
  }

  evaluate(examples: readonly Example[]): Metrics | Promise<Metrics> {
    return this.#recipe.evaluate(examples);
  }
}

export interface MaskedLMDistillationOptions extends MaskedLMOptions {
  /** Softens both distributions. Default 2. */
  temperature?: number;
  /** Weights of the teacher's distribution, of the words themselves and of 1 - cosine of the last hidden states. Default 5, 2, 1. */
  weights?: { soft?: number; words?: number; cosine?: number };
}

/**
 * Teaches a student what a teacher would put in the place of hidden words, on plain text: soft · T² · KL(teacher ‖ student) +
 * words · cross entropy + cosine · (1 - cos of the last hidden states of all tokens), as DistilBERT was made. The distributions
 * are compared at the hidden tokens only. Source: Sanh et al. 2019, arXiv:1910.01108, §2.
 */
export class MaskedLMDistillation implements Recipe<readonly string[], TokenExample> {
  readonly model: BertForMaskedLM;
  readonly metric = { name: 'eval_loss', lower: true };
  readonly #words: MaskedLanguageModelling;
  readonly #teacher: BertForMaskedLM;
  readonly #temperature: number;
  readonly #weights: { soft: number; words: number; cosine: number };

  /**
   * @param model   the student
   * @param teacher of the same vocabulary, on the same engine; as wide, unless the weight of the cosine is 0
   */
  constructor(
    model: BertForMaskedLM,
    teacher: BertForMaskedLM,
    tokenizer: Tokenizer,
    {
      temperature = 2,
      weights: { soft = 5, words = 2, cosine = 1 } = {},
      ...masking
    }: MaskedLMDistillationOptions = {},
  ) {
    expectTemperature(temperature);
    const [own, taught] = [model.config, teacher.config];
    expectVocabulary(model, teacher);
    if (cosine > 0) expectWidth(own.hiddenSize, taught.hiddenSize, 'make the weight of the cosine 0');
    this.model = model;
    this.#words = new MaskedLanguageModelling(model, tokenizer, masking);
    this.#teacher = teacher.eval();
    this.#temperature = temperature;
    this.#weights = { soft, words, cosine };
  }

  prepare(document: readonly string[]): TokenExample[] {
    return this.#words.prepare(document);
  }

  checkEvaluation(documents: readonly (readonly string[])[]): void {
    this.#words.checkEvaluation(documents);
  }

  get settings(): Settings {
    const weights = Object.values(this.#weights).join();
    return { ...this.#words.settings, temperature: this.#temperature, weights, [TEACHER]: digestOf(this.#teacher) };
  }

  loss(examples: ExampleBatch<TokenExample>): Tensor {
    const { batch, rows, labels } = this.#words.mask(examples);
    const { soft, words, cosine } = this.#weights;
    const run = (model: BertForMaskedLM) => {
      if (cosine === 0) return { states: null, logits: model.forward(batch, { predictionTokens: rows }).logits };
      const { bert, predictions } = model;
      const states = bert.forward(batch).lastHiddenState;
      return { states, logits: predictions.forward(selectRows(states, rows)) };
    };
    const taught = withoutGradients(this.model.engine, () => run(this.#teacher));
    const own = run(this.model);
    const parts = [scale(distillationLoss(own.logits, taught.logits, this.#temperature), soft)];
    if (words > 0) parts.push(scale(crossEntropy(own.logits, labels), words));
    if (own.states && taught.states) parts.push(scale(unlike(own.states, taught.states), cosine));
    return parts.reduce((sum, part) => add(sum, part));
  }

  /** Loss and perplexity of the words themselves. */
  evaluate(documents: readonly (readonly string[])[]): Metrics {
    return this.#words.evaluate(documents);
  }
}

export interface EmbeddingDistillationOptions extends TextRecipeOptions {
  /** How tokens become one vector, in both. Default 'mean'. */
  pooling?: Pooling;
  /** Share of the teacher's vectors in the loss of pairs that have a score; the rest is (cosine - score)². Default 1. */
  alpha?: number;
}

interface Texts {
  encodings: Encoding[];
  score: number;
  length: number;
}

/**
 * Teaches a student to make a teacher's sentence vectors, of texts without labels: the mean of 1 - cosine. Pairs with a score
 * from 0 to 1 can teach it that as well. Source: Reimers & Gurevych 2020, arXiv:2004.09813, §2, with the cosine for the square.
 */
export class EmbeddingDistillation implements Recipe<SimilarityExample, Texts> {
  readonly model: BertModel;
  readonly tokenizer: Tokenizer;
  readonly maxLength: number;
  readonly metric = { name: 'cosine' };
  readonly #teacher: BertModel;
  readonly #options: { pooling: Pooling; alpha: number };

  /** @param teacher as wide as the student, on the same engine */
  constructor(
    model: BertModel,
    teacher: BertModel,
    tokenizer: Tokenizer,
    { pooling = 'mean', alpha = 1, maxLength }: EmbeddingDistillationOptions = {},
  ) {
    expectShare('alpha', alpha);
    expectWidth(model.config.hiddenSize, teacher.config.hiddenSize, 'begin with layers of the teacher');
    expectVocabulary(model, teacher);
    this.model = model;
    this.tokenizer = tokenizer;
    this.maxLength = Math.min(longestSentence(model, tokenizer, maxLength), teacher.config.maxSequenceLength);
    this.#teacher = teacher.eval();
    this.#options = { pooling, alpha };
  }

  /** @throws InputError for a score that no cosine can be, where the scores count */
  prepare({ texts, score = NaN }: SimilarityExample): Texts[] {
    if (this.#options.alpha < 1 && Math.abs(score) > 1) {
      const fix = 'bring the scores to 0 to 1, or leave alpha at 1';
      throw new InputError({ what: 'distillation: score', expected: '-1 to 1, as a cosine', got: show(score), fix });
    }
    const encodings = texts.map((text) => encode(this.tokenizer, text, this.maxLength));
    return [{ encodings, score, length: encodings.reduce((sum, { length }) => sum + length, 0) }];
  }

  get settings(): Settings {
    return { ...this.#options, [TEACHER]: digestOf(this.#teacher) };
  }

  loss({ examples }: ExampleBatch<Texts>): Tensor {
    const { alpha } = this.#options;
    const { own, taught } = this.#vectors(examples.flatMap(({ encodings }) => encodings));
    const soft = unlike(own, taught);
    if (alpha === 1) return soft;
    const scored = scoredPairs(own, examples);
    if (scored === undefined) return scale(soft, alpha);
    const scores = own.engine.tensor(scored.scores, [scored.scores.length]);
    return add(scale(soft, alpha), scale(meanSquared(scored.cosines, scores), 1 - alpha));
  }

  #vectors(encodings: readonly Encoding[]): { own: Tensor; taught: Tensor } {
    const { pooling } = this.#options;
    const taught = withoutGradients(this.model.engine, () => sentenceVectors(this.#teacher, encodings, pooling));
    return { own: sentenceVectors(this.model, encodings, pooling), taught };
  }

  /** `cosine` to the teacher's vectors, the mean; with scored pairs, how the student's cosines follow the scores. */
  evaluate(examples: readonly SimilarityExample[]): Metrics {
    const prepared = examples.flatMap((example) => this.prepare(example));
    let [sum, count] = [0, 0];
    const found: number[] = [];
    const scores: number[] = [];
    for (let start = 0; start < prepared.length; start += 32) {
      const part = prepared.slice(start, start + 32);
      withoutGradients(this.model.engine, () => {
        const { own, taught } = this.#vectors(part.flatMap(({ encodings }) => encodings));
        for (const cosine of cosines(own, taught).data) sum += cosine;
        count += own.shape[0];
        const scored = scoredPairs(own, part);
        if (scored === undefined) return;
        found.push(...scored.cosines.data);
        scores.push(...scored.scores);
      });
    }
    if (count === 0) throw new InputError({ what: 'evaluation', expected: 'some text', got: 'none' });
    return { cosine: sum / count, ...(found.length > 1 && { spearman: spearman(scores, found) }) };
  }
}

/** The cosine of each pair that has a score, beside that; undefined when none has. @param vectors of all texts */
function scoredPairs(vectors: Tensor, examples: readonly Texts[]): { cosines: Tensor; scores: number[] } | undefined {
  let row = 0;
  const scored: { start: number; score: number }[] = [];
  for (const { encodings, score } of examples) {
    if (encodings.length === 2 && Number.isFinite(score)) scored.push({ start: row, score });
    row += encodings.length;
  }
  if (scored.length === 0) return undefined;
  const [first, second] = [0, 1].map((n) =>
    selectRows(
      vectors,
      Int32Array.from(scored, ({ start }) => start + n),
    ),
  );
  return { cosines: cosines(first, second), scores: scored.map(({ score }) => score) };
}

const TEACHER = 'digest of the teacher';

/** The mean of 1 - cosine of rows. */
const unlike = (own: Tensor, taught: Tensor): Tensor => cosineEmbeddingLoss(own, taught);

const flat = (x: Tensor): Tensor => x.reshape([x.size]);

function expectTemperature(value: number): void {
  if (value > 0) return;
  throw new ConfigError({ what: 'distillation: temperature', expected: 'above 0', got: show(value) });
}

function expectShare(name: string, value: number): void {
  if (value >= 0 && value <= 1) return;
  throw new ConfigError({ what: `distillation: ${name}`, expected: '0 to 1', got: show(value) });
}

/** Both read the same ids. */
function expectVocabulary({ config: own }: BertPreTrainedModel, { config: taught }: BertPreTrainedModel): void {
  if (own.vocabSize === taught.vocabSize) return;
  const what = 'distillation: vocabulary of the student';
  throw new ConfigError({ what, expected: `that of the teacher, ${taught.vocabSize} tokens`, got: `${own.vocabSize}` });
}

function expectWidth(own: number, taught: number, fix: string): void {
  if (own === taught) return;
  const what = 'distillation: hidden size of the student';
  throw new ConfigError({ what, expected: `that of the teacher, ${taught}`, got: `${own}`, fix });
}

import type { BertPreTrainedModel, Labels, LogitsOutput } from '../../bert/index.ts';
import { ConfigError, show } from '../../errors.ts';
import type { ModelInputs } from '../../layers/index.ts';
import { add, scale, withoutGradients, type Tensor } from '../../tensor/index.ts';
import { cosineEmbeddingLoss, distillationLoss } from '../losses.ts';
import type { Metrics } from '../trainer.ts';
import type { ExampleBatch, Recipe } from './recipe.ts';

/** A recipe whose loss is that of the model's class, as those for texts and for words into classes. */
export interface LogitsRecipe<Example, Prepared extends { length: number }> extends Recipe<Example, Prepared> {
  inputs(batch: ExampleBatch<Prepared>): ModelInputs;
  labels(batch: ExampleBatch<Prepared>): Labels;
}

export interface DistillationOptions {
  /** Softens both distributions. Default 2. */
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
    if (!(temperature > 0)) {
      throw new ConfigError({ what: 'distillation: temperature', expected: 'above 0', got: show(temperature) });
    }
    if (!(alpha >= 0 && alpha <= 1)) {
      throw new ConfigError({ what: 'distillation: alpha', expected: '0 to 1', got: show(alpha) });
    }
    this.model = recipe.model;
    this.metric = recipe.metric;
    this.#recipe = recipe;
    this.#teacher = teacher.eval();
    this.#options = { temperature, alpha, cosine };
  }

  prepare(example: Example): Prepared[] {
    return this.#recipe.prepare(example);
  }

  loss(batch: ExampleBatch<Prepared>): Tensor {
    const { temperature, alpha, cosine } = this.#options;
    const inputs = this.#recipe.inputs(batch);
    const options = { outputHiddenStates: cosine > 0 };
    const taught = withoutGradients(this.model.engine, () => this.#teacher.forward(inputs, options)) as LogitsOutput;
    const output = this.model.forward(inputs, options) as LogitsOutput;
    const soft = distillationLoss(output.logits, taught.logits, temperature);
    const hard = this.model.loss(output, this.#recipe.labels(batch));
    const loss = add(scale(soft, alpha), scale(hard, 1 - alpha));
    if (cosine === 0) return loss;
    const [a, b] = [output, taught].map(({ hiddenStates }) => hiddenStates!.at(-1)!);
    return add(loss, scale(cosineEmbeddingLoss(a, b), cosine));
  }

  evaluate(examples: readonly Example[]): Metrics | Promise<Metrics> {
    return this.#recipe.evaluate(examples);
  }
}

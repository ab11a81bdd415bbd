import { ConfigError, InputError, show } from '../../errors.ts';
import type { BertPreTrainedModel, ModelOutput } from '../../bert/index.ts';
import { Dropout, LoraAdapter, SelfAttention, type ModelInputs } from '../../layers/index.ts';
import { randomStream, type Tensor } from '../../tensor/index.ts';
import { epochBatches } from '../data/batches.ts';
import { AdamW, type Trainable } from '../optimizers.ts';
import { schedule, type ScheduleName } from '../schedules.ts';
import { Trainer, type Metrics, type Settings, type TrainerOptions, type TrainingResult } from '../trainer.ts';

/** Some examples of an epoch, and which ones they are. */
export interface ExampleBatch<Prepared> {
  examples: Prepared[];
  /** Their places in the list of all. */
  indices: Int32Array;
  epoch: number;
}

/** What a task needs to be trained: how an example becomes numbers, what its loss is, and how well a model does. */
export interface Recipe<Example, Prepared extends { length: number }> {
  readonly model: BertPreTrainedModel;
  /** Text to numbers, once per example, which may become several; `length` is that of what the model reads. */
  prepare(example: Example): Prepared[];
  /** Mean loss of a batch: a single number. */
  loss(batch: ExampleBatch<Prepared>): Tensor;
  /** On examples that were not trained on. */
  evaluate(examples: readonly Example[]): Metrics | Promise<Metrics>;
  /** Throws before a training what `evaluate` would after an epoch of it. Default: prepares every example. */
  checkEvaluation?(examples: readonly Example[]): void;
  /** The metric that says which epoch is best. */
  readonly metric: { name: string; lower?: boolean };
  /** What decides the loss besides the model and the examples; a training is resumed with the same alone. */
  readonly settings?: Settings;
}

export interface FineTuneOptions extends Pick<
  TrainerOptions<unknown>,
  'accumulate' | 'maxSteps' | 'patience' | 'store' | 'saveEvery' | 'resume' | 'onLog' | 'onResume' | 'signal'
> {
  /** What to train. Default: every parameter that is not frozen. */
  parameters?: readonly Trainable[];
  /** Default 3. */
  epochs?: number;
  /** Default 16. */
  batchSize?: number;
  /** Default 5e-5. */
  lr?: number;
  /** Default 'linear'. */
  schedule?: ScheduleName;
  /** Share of the steps in which the learning rate rises. Default 0. */
  warmupRatio?: number;
  /** Default 0.01, of all parameters. */
  weightDecay?: number;
  decayExclude?: (name: string) => boolean;
  /** Default 1. */
  maxGradNorm?: number;
  /** Of the order of examples, of masks and dropout. Default 0. */
  seed?: number;
  /** Put into the place of every dropout probability of the model. Default: those of its config. */
  dropout?: number;
  /** Default true. False keeps the order of the examples exactly. */
  shuffle?: boolean;
  /** Examples of like length share a batch, so that steps take about equally long. Default false, as in transformers. */
  groupByLength?: boolean;
  /** End with the weights of the best evaluation, as `patience` always does. Default false: with the last. */
  keepBest?: boolean;
}

/** Steps of a training of `count` prepared examples. */
export function stepsOf(count: number, options: FineTuneOptions): number {
  const { epochs = 3, batchSize = 16, accumulate = 1, maxSteps = Infinity } = options;
  return Math.min(Math.ceil(Math.ceil(count / batchSize) / accumulate) * epochs, maxSteps);
}

/**
 * Fine-tunes a model as transformers' Trainer does: AdamW, a schedule, gradients clipped, an evaluation after each epoch.
 *
 * @throws InputError for no examples, or a loss that is not finite; ConfigError for options without sense
 */
export async function fineTune<Example, Prepared extends { length: number }>(
  recipe: Recipe<Example, Prepared>,
  train: readonly Example[],
  evaluation: readonly Example[],
  options: FineTuneOptions = {},
): Promise<TrainingResult> {
  const { model } = recipe;
  const {
    epochs = 3,
    batchSize = 16,
    lr = 5e-5,
    warmupRatio = 0,
    seed = 0,
    shuffle = true,
    groupByLength = false,
    keepBest,
    patience,
    store,
  } = options;
  const { parameters = model.parameters(), weightDecay = 0.01, decayExclude = () => false, dropout } = options;
  if (train.length === 0) throw new InputError({ what: 'training examples', expected: 'at least one', got: 'none' });
  if (!(warmupRatio >= 0 && warmupRatio <= 1)) {
    throw new ConfigError({ what: 'warmupRatio', expected: '0 to 1', got: show(warmupRatio) });
  }
  if (evaluation.length === 0 && (keepBest || patience !== undefined)) {
    const what = keepBest ? 'keepBest' : 'patience';
    throw new ConfigError({ what, expected: 'examples to evaluate on', got: 'none' });
  }
  if (dropout !== undefined) setDropout(model, dropout);
  const prepared = train.flatMap((example) => recipe.prepare(example));
  if (prepared.length === 0) throw new InputError({ what: 'training examples', expected: 'some text', got: 'none' });
  if (!recipe.checkEvaluation) for (const example of evaluation) recipe.prepare(example);
  else if (evaluation.length > 0) recipe.checkEvaluation(evaluation);
  const lengths = groupByLength ? prepared.map(({ length }) => length) : undefined;
  const totalSteps = stepsOf(prepared.length, options);
  const warmupSteps = Math.ceil(warmupRatio * totalSteps);
  const { metric } = recipe;
  const trainer = new Trainer<ExampleBatch<Prepared>>({
    ...pick(options, [
      'accumulate',
      'maxSteps',
      'patience',
      'store',
      'saveEvery',
      'resume',
      'onResume',
      'onLog',
      'signal',
      'maxGradNorm',
    ]),
    optimizer: new AdamW(parameters, { lr, weightDecay, decayExclude }),
    schedule: schedule(options.schedule ?? 'linear', { totalSteps, warmupSteps }),
    totalSteps,
    epochs,
    seed,
    ...(store && { settings: settingsOf(recipe, train, prepared, totalSteps, options) }),
    batches: (epoch) =>
      epochBatches(prepared.length, { batchSize, shuffle, seed, epoch, ...(lengths && { lengths }) }).map(
        (indices) => ({
          examples: Array.from(indices, (i) => prepared[i]),
          indices,
          epoch,
        }),
      ),
    loss: (batch) => recipe.loss(batch),
    ...(evaluation.length > 0 && {
      evaluate: async () => {
        model.eval();
        const metrics = await recipe.evaluate(evaluation);
        model.train();
        return metrics;
      },
      ...((keepBest || patience !== undefined) && { best: { metric: metric.name, lower: metric.lower ?? false } }),
    }),
  });
  model.train();
  try {
    return await trainer.train();
  } finally {
    model.eval();
  }
}

/** What decides the losses of a training, besides the parameters that it trains: for `resume`. */
function settingsOf(
  { model, settings }: Pick<Recipe<never, never>, 'model' | 'settings'>,
  train: readonly unknown[],
  prepared: readonly { length: number }[],
  totalSteps: number,
  { schedule: name = 'linear', ...options }: FineTuneOptions,
): Settings {
  const { batchSize = 16, accumulate = 1, shuffle = true, seed = 0, lr = 5e-5, dropout } = options;
  const { warmupRatio = 0, weightDecay = 0.01, maxGradNorm = 1, groupByLength = false } = options;
  const { parameters = model.parameters(), decayExclude = () => false } = options;
  const trained = new Set(parameters.filter(({ requiresGrad }) => requiresGrad));
  const undecayed = [...trained].filter(({ name }) => decayExclude(name)).map(({ name }) => name);
  const scales = model.modules().flatMap((module) => (module instanceof LoraAdapter ? [module.scale] : []));
  const { kernels, dtype, arithmetic } = model.engine.info();
  const texts = train.reduce<number>((sum, example) => randomStream(sum, JSON.stringify(example)), 0);
  const digest = prepared.reduce((sum, { length }) => randomStream(sum, `${length}`), texts);
  const isEven = name === 'constant' && warmupRatio === 0; // which any number of steps may follow
  return {
    ...{ examples: prepared.length, batchSize, accumulate, shuffle, seed, lr, schedule: name },
    ...(!isEven && { 'steps in all': totalSteps }),
    ...{ warmupRatio, weightDecay, maxGradNorm: show(maxGradNorm), dropout: dropout ?? 'as in config.json' },
    groupByLength,
    decayExclude:
      undecayed.length > 0 ? `${undecayed.length} parameters, ${randomStream(0, undecayed.join())}` : 'none',
    'alpha / rank of adapters': [...new Set(scales)].join() || 'none',
    ...settings,
    'digest of the data': digest,
    'digest of the model': digestOf(model, trained),
    kernels: `${kernels}, ${dtype}, ${arithmetic}`,
  };
}

/** A number for the config of a model and its weights, without those that are left out: they are saved themselves. */
export function digestOf(model: BertPreTrainedModel, without: ReadonlySet<Trainable> = new Set()): number {
  let hash = randomStream(0, JSON.stringify(model.config));
  for (const parameter of model.parameters() as Trainable[]) {
    if (without.has(parameter)) continue;
    const { data } = 'packed' in parameter ? parameter.toTensor() : parameter; // laid out alike on all kernels
    const words = new Uint32Array(data.buffer, data.byteOffset, data.byteLength >> 2);
    for (let i = 0; i < words.length; i++) hash = Math.imul(hash ^ words[i], 0x01000193); // FNV-1a
  }
  return hash >>> 0;
}

/** Puts one probability into the place of all of a model's. */
export function setDropout(model: BertPreTrainedModel, probability: number): void {
  for (const module of model.modules()) {
    if (module instanceof Dropout) module.probability = probability;
    if (module instanceof SelfAttention) module.dropout = probability;
  }
}

/** Runs a model over examples a few at a time, without gradients, in their order. */
export function* forwardAll<P extends { length: number }>(
  model: BertPreTrainedModel,
  prepared: readonly P[],
  inputsOf: (batch: P[]) => ModelInputs & { choices?: number },
  tokensPerBatch = 2048,
): Generator<{ output: ModelOutput; batch: P[] }> {
  for (let start = 0; start < prepared.length;) {
    let [end, tokens] = [start, 0];
    while (end < prepared.length && (end === start || tokens + prepared[end].length <= tokensPerBatch)) {
      tokens += prepared[end++].length;
    }
    const batch = prepared.slice(start, end);
    const { choices, ...inputs } = inputsOf(batch);
    yield { output: model.forward(inputs, choices === undefined ? {} : ({ choices } as object)), batch };
    start = end;
  }
}

function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(keys.filter((key) => from[key] !== undefined).map((key) => [key, from[key]])) as Pick<T, K>;
}

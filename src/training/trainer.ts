import { CheckpointError, ConfigError, InputError, show } from '../errors.ts';
import { parseSafetensors, toFloat32, toFloat64, writeSafetensors, type TensorView } from '../safetensors/index.ts';
import { withGradients, zeroGradients, type Tensor } from '../tensor/index.ts';
import { clipFactor, gradientNorm, type Optimizer, type Trainable } from './optimizers.ts';
import type { Schedule } from './schedules.ts';

export type Metrics = Record<string, number>;

/** What must be as it was when a training is resumed, or its losses would be others. */
export type Settings = Readonly<Record<string, string | number | boolean>>;

/** A line of metrics.jsonl: a step, or an evaluation. */
export type LogRecord = { step: number; loss: number; lr: number } | ({ epoch: number; step: number } & Metrics);

/** Where a training keeps its state. `write` must be all or nothing: a reader never sees half a file. */
export interface TrainingStore {
  write(name: string, bytes: Uint8Array): Promise<void>;
  read(name: string): Promise<Uint8Array | undefined>;
}

export interface TrainerOptions<Batch> {
  optimizer: Optimizer;
  /** The batches of an epoch, counted from 0: the same ones for the same epoch, or a training cannot be resumed exactly. */
  batches: (epoch: number) => Iterable<Batch> | AsyncIterable<Batch>;
  /** Mean loss of a batch, a single number; called with a tape open. */
  loss: (batch: Batch) => Tensor;
  /** Default 1. */
  epochs?: number;
  /** Stops after so many steps, whatever the epochs. */
  maxSteps?: number;
  /** Of the whole training, where known: for progress. */
  totalSteps?: number;
  /** Share of the learning rate at each step. Default: all of it. */
  schedule?: Schedule;
  /** Batches whose gradients make one step. Default 1. */
  accumulate?: number;
  /** Gradients are scaled down to this norm; Infinity leaves them. Default 1. */
  maxGradNorm?: number;
  /** Of dropout. Default 0. */
  seed?: number;
  /** Called after each epoch, in evaluation mode of the caller's making. */
  evaluate?: (epoch: number) => Metrics | Promise<Metrics>;
  /** The metric that decides which epoch was best: its weights are those the training ends with. Default: the last epoch's. */
  best?: { metric: string; lower?: boolean };
  /** Stop when so many evaluations in a row were no better than the best. Needs `best`. */
  patience?: number;
  /** Where the state is kept, for `resume`. */
  store?: TrainingStore;
  /** Save the state every so many steps, besides the end of each epoch. */
  saveEvery?: number;
  /** Go on from the saved state, if there is one. */
  resume?: boolean;
  /** Saved with the state, and compared when it is resumed. */
  settings?: Settings;
  /** Called with the records of the steps made before, when a training is resumed. */
  onResume?: (history: readonly LogRecord[]) => void;
  onLog?: (record: LogRecord, progress: Progress) => void | Promise<void>;
  signal?: AbortSignal;
}

export interface Progress {
  epoch: number;
  step: number;
  /** Of the whole training, when known. */
  totalSteps: number | undefined;
  /** Norm of the gradient before clipping; undefined for an evaluation. */
  gradNorm?: number;
}

export interface TrainingResult {
  steps: number;
  /** Every record since the first step, those before a resume included. */
  history: LogRecord[];
  /** The best evaluation, or the last when no metric decides. */
  best: ({ epoch: number } & Metrics) | undefined;
  stopped: 'done' | 'maxSteps' | 'patience' | 'aborted';
}

const STATE = 'state.safetensors';
const BEST = 'best.safetensors';

/** What is saved beside the tensors. */
interface SavedState {
  step: number;
  epoch: number;
  /** Steps of that epoch already made. */
  stepInEpoch: number;
  /** The step after which the last evaluation was made, so that none is made twice; 0 before the first. */
  evaluated: number;
  history: LogRecord[];
  best: TrainingResult['best'];
  /** The metric that decided which one that is; its weights are in a file of their own. */
  metric?: string | undefined;
  sinceBest: number;
  settings?: Settings | undefined;
}

/**
 * The training loop: batches → loss → gradients → step, epoch by epoch, with evaluation, early stopping and the best weights
 * kept. It knows parameters and a loss, nothing of what they belong to.
 *
 * A training that is killed at any moment and started again with `resume` makes the same losses, bit for bit, as one that
 * was not: its state is saved whole (parameters, the optimizer's numbers, the place in the data), and random numbers depend on
 * seed and step alone.
 */
export class Trainer<Batch> {
  readonly options: TrainerOptions<Batch>;
  readonly #parameters: readonly Trainable[];
  #state: SavedState = { step: 0, epoch: 0, stepInEpoch: 0, evaluated: 0, history: [], best: undefined, sinceBest: 0 };
  #bestWeights: Map<string, Float32Array | Float64Array> | undefined;

  /** @throws ConfigError for options without sense */
  constructor(options: TrainerOptions<Batch>) {
    const { epochs = 1, maxSteps, accumulate = 1, maxGradNorm = 1, patience, saveEvery, best, evaluate } = options;
    const counts = { epochs, maxSteps, accumulate, patience, saveEvery };
    for (const [what, value] of Object.entries(counts)) {
      if (value === undefined || (Number.isSafeInteger(value) && value >= 1)) continue;
      throw new ConfigError({ what: `Trainer: ${what}`, expected: 'a whole number of at least 1', got: show(value) });
    }
    if (!(maxGradNorm > 0)) {
      throw new ConfigError({ what: 'Trainer: maxGradNorm', expected: 'a number above 0', got: show(maxGradNorm) });
    }
    if ((best && !evaluate) || (patience !== undefined && !best)) {
      const what = best ? 'Trainer: best' : 'Trainer: patience';
      throw new ConfigError({ what, expected: `${best ? 'evaluate' : 'best'} with it`, got: 'none' });
    }
    this.options = options;
    this.#parameters = options.optimizer.parameters;
  }

  /**
   * Trains to the end.
   *
   * @throws InputError if a loss or a metric that decides is not finite, naming the step; the weights are then those of the step before
   */
  async train(): Promise<TrainingResult> {
    const { epochs = 1, store, resume = false, saveEvery, maxSteps, patience } = this.options;
    if (resume && store) await this.#resume(store);
    const state = this.#state;
    const isEnough = () => patience !== undefined && state.sinceBest >= patience;
    let stopped: TrainingResult['stopped'] = isEnough() ? 'patience' : 'done'; // killed after its last evaluation
    let saved = -1; // the step of the state that is in the store
    for (; state.epoch < epochs && stopped === 'done'; state.epoch++, state.stepInEpoch = 0) {
      let number = 0;
      for await (const group of groups(this.options.batches(state.epoch), this.options.accumulate ?? 1)) {
        if (number++ < state.stepInEpoch) continue; // made before the resume
        if (this.options.signal?.aborted) stopped = 'aborted';
        else if (maxSteps !== undefined && state.step >= maxSteps) stopped = 'maxSteps';
        if (stopped !== 'done') break;
        await this.#step(group);
        state.stepInEpoch = number;
        if (!store || saveEvery === undefined || state.step % saveEvery > 0) continue;
        await this.#save(store);
        saved = state.step;
      }
      if (number === 0) {
        throw new InputError({ what: `batches of epoch ${state.epoch}`, expected: 'at least one', got: 'none' });
      }
      if (stopped === 'aborted' || state.step === state.evaluated) break; // no step since the last evaluation
      if (store && this.options.evaluate && saved !== state.step) await this.#save(store); // one that fails loses no step
      const { sinceBest } = state;
      await this.#evaluate();
      state.evaluated = state.step;
      // Within an epoch it does not count for patience: a training that is not stopped makes none there.
      if (stopped === 'maxSteps') state.sinceBest = Math.min(sinceBest, state.sinceBest);
      // A whole epoch is saved as the beginning of the next one; a stop within it, by maxSteps, as where it is.
      const place = stopped === 'done' ? { epoch: state.epoch + 1, stepInEpoch: 0 } : {};
      if (isEnough()) stopped = 'patience';
      if (store) await this.#save(store, { ...state, ...place });
    }
    if (stopped === 'aborted' && store) await this.#save(store);
    else this.#restoreBest();
    return { steps: state.step, history: state.history, best: state.best, stopped };
  }

  async #step(group: Batch[]): Promise<void> {
    const { optimizer, loss, schedule = () => 1, seed = 0, maxGradNorm = 1, accumulate = 1 } = this.options;
    const state = this.#state;
    zeroGradients(this.#parameters);
    let sum = 0;
    group.forEach((batch, part) => {
      sum += withGradients(
        this.#parameters,
        (backward) => {
          const value = loss(batch);
          backward(value, 1 / group.length);
          return value.data[0];
        },
        { seed, step: state.step * accumulate + part },
      );
    });
    const mean = sum / group.length;
    const gradNorm = gradientNorm(this.#parameters);
    if (!Number.isFinite(mean) || !Number.isFinite(gradNorm)) {
      throw new InputError({
        what: `step ${state.step + 1}`,
        expected: 'a finite loss and gradient',
        got: `loss ${mean}, norm of the gradient ${gradNorm}`,
        fix: 'lower the learning rate, and check the data and the weights it started from',
      });
    }
    const share = schedule(state.step);
    optimizer.step(share, clipFactor(gradNorm, maxGradNorm));
    state.step++;
    await this.#log({ step: state.step, loss: mean, lr: optimizer.lr * share }, gradNorm);
    await new Promise((resolve) => setTimeout(resolve, 0)); // timers, signals and pages have their turn
  }

  async #evaluate(): Promise<void> {
    const { evaluate, best } = this.options;
    if (!evaluate) return;
    const state = this.#state;
    const metrics = await evaluate(state.epoch);
    await this.#log({ ...metrics, epoch: state.epoch + 1, step: state.step });
    if (best && !Number.isFinite(metrics[best.metric])) {
      const got = best.metric in metrics ? `${metrics[best.metric]}` : Object.keys(metrics).join(', ');
      throw new InputError({ what: `metric ${best.metric}`, expected: 'a finite number', got });
    }
    const sign = best?.lower ? -1 : 1;
    const better = !best || !state.best || sign * metrics[best.metric] > sign * state.best[best.metric];
    state.sinceBest = better ? 0 : state.sinceBest + 1;
    if (!better) return;
    state.best = { ...metrics, epoch: state.epoch + 1 };
    if (!best) return;
    this.#bestWeights = new Map(this.#parameters.map((parameter) => [parameter.name, parameter.data.slice()]));
    await this.options.store?.write(BEST, this.#weightBytes());
  }

  async #log(record: LogRecord, gradNorm?: number): Promise<void> {
    this.#state.history.push(record);
    const { epoch, step } = this.#state;
    const { onLog, totalSteps } = this.options;
    await onLog?.(record, { epoch, step, totalSteps, ...(gradNorm !== undefined && { gradNorm }) });
  }

  #restoreBest(): void {
    for (const parameter of this.#parameters) {
      const weights = this.#bestWeights?.get(parameter.name);
      if (weights) parameter.data.set(weights);
    }
  }

  #weightBytes(): Uint8Array {
    return writeSafetensors(new Map(this.#parameters.map((parameter) => [parameter.name, rowMajor(parameter)])));
  }

  async #save(store: TrainingStore, state = this.#state): Promise<void> {
    const tensors = new Map<string, Tensor>();
    for (const parameter of this.#parameters) tensors.set(`parameter.${parameter.name}`, rowMajor(parameter));
    for (const [key, x] of this.options.optimizer.stateDict()) tensors.set(`optimizer.${key}`, x);
    const { settings, best } = this.options;
    const saved: SavedState = { ...state, metric: best?.metric, settings };
    await store.write(STATE, writeSafetensors(tensors, { state: JSON.stringify(saved) }));
  }

  async #resume(store: TrainingStore): Promise<void> {
    const bytes = await store.read(STATE);
    if (bytes === undefined) return;
    const { tensors, metadata } = parseState(bytes, STATE);
    const { settings: before, ...state } = JSON.parse(metadata.get('state') ?? '{}', notFinite) as SavedState;
    if (before) expectSettings(before, this.options.settings ?? {});
    const read = (key: string, size?: number) => numbersOf(tensors.get(key), key, size);
    const names = new Set(this.#parameters.map(({ name }) => `parameter.${name}`));
    const extra = [...tensors.keys()].find((key) => key.startsWith('parameter.') && !names.has(key));
    if (extra !== undefined) {
      throw new InputError({ what: `${STATE}: ${extra}`, expected: 'a parameter that is trained', fix: AS_BEFORE });
    }
    const all = this.#parameters.map((parameter) => read(`parameter.${parameter.name}`, parameter.size));
    this.#parameters.forEach((parameter, i) => setRows(parameter, all[i]));
    this.options.optimizer.loadState(state.step, (key) => read(`optimizer.${key}`));
    Object.assign(this.#state, state);
    this.options.onResume?.(state.history);
    const { metric } = this.options.best ?? {};
    const best = metric !== undefined && state.metric === metric ? await store.read(BEST) : undefined;
    // Without its weights, or chosen by another metric, what was best is not what this training would end with.
    if (metric !== state.metric || (metric !== undefined && !best)) {
      Object.assign(this.#state, { best: undefined, sinceBest: 0 });
    }
    if (best === undefined || !state.best) return;
    const saved = parseState(best, BEST).tensors;
    const now = new Map(this.#parameters.map((parameter) => [parameter, parameter.data.slice()]));
    this.#bestWeights = new Map();
    for (const parameter of this.#parameters) {
      setRows(parameter, numbersOf(saved.get(parameter.name), parameter.name)); // packs it
      this.#bestWeights.set(parameter.name, parameter.data.slice());
      parameter.data.set(now.get(parameter)!);
    }
  }
}

/** Batches in groups of `size`; the last may have fewer. */
async function* groups<T>(batches: Iterable<T> | AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let group: T[] = [];
  for await (const batch of batches) {
    group.push(batch);
    if (group.length < size) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
}

const rowMajor = (parameter: Trainable): Tensor => ('packed' in parameter ? parameter.toTensor() : parameter);

/** JSON has no number that is not finite: it writes null. */
const notFinite = (_: string, value: unknown) => value ?? NaN;

function setRows(parameter: Trainable, rows: ArrayLike<number>): void {
  if ('packed' in parameter) parameter.set(rows);
  else parameter.data.set(rows);
}

/** @throws CheckpointError for a file that is broken: no download mends a state */
function parseState(bytes: Uint8Array, name: string) {
  try {
    return parseSafetensors(bytes, name);
  } catch (cause) {
    if (!(cause instanceof CheckpointError)) throw cause;
    const { what, expected, got } = cause;
    const fix = 'the saved state is broken: begin anew, without resume';
    throw new CheckpointError({ what, ...(expected && { expected }), ...(got && { got }), fix, cause });
  }
}

const AS_BEFORE = 'resume with the model, the data and the options that the training began with, or begin anew';

function numbersOf(view: TensorView | undefined, key: string, size?: number): ArrayLike<number> {
  const numbers = view && (view.dtype === 'F32' ? toFloat32(view) : toFloat64(view));
  if (numbers && (size === undefined || numbers.length === size)) return numbers;
  throw new InputError({
    what: `${STATE}: ${key}`,
    expected: `a tensor of that name${numbers ? `, of ${size} numbers` : ''}`,
    got: numbers ? `${numbers.length}` : 'none',
    fix: AS_BEFORE,
  });
}

function expectSettings(before: Settings, now: Settings): void {
  for (const name of Object.keys({ ...before, ...now })) {
    if (now[name] === before[name]) continue;
    const [expected, got] = [before, now].map((settings) => show(settings[name] ?? 'none'));
    throw new InputError({ what: `resume: ${name}`, expected, got, fix: AS_BEFORE });
  }
}

import { modelFiles, type BertPreTrainedModel } from '../../bert/index.ts';
import { UsageError } from '../../errors.ts';
import type { ModelFiles } from '../../hub/index.ts';
import {
  fineTune,
  lineChart,
  stepsOf,
  type FineTuneOptions,
  type LogRecord,
  type Recipe,
  type Series,
  type TrainingResult,
  type TrainingStore,
} from '../../training/index.ts';
import { CheckFailed, note, type Io, type WriteInside } from '../io.ts';
import { jsonLine, megabytes } from '../output.ts';
import { MODULE_FILES, moduleFolders } from '../sentenceFiles.ts';
import { outcome, shown } from './tasks.ts';

/** Where a training that is not done yet keeps its state, inside the folder of the model to be. */
const STATE_FOLDER = '.training';
const LOG = 'metrics.jsonl';
/** What belongs to the tokenizer, and goes along. */
export const TOKENIZER_FILES = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'vocab.txt',
  'vocab.json',
  'merges.txt',
  'spiece.model',
  'spm.model',
  'sentencepiece.bpe.model',
  'added_tokens.json',
];
/** What belongs to sentence-transformers, for models that stay encoders. */
const SENTENCE_FILES = ['modules.json', 'sentence_bert_config.json', 'config_sentence_transformers.json'];

/**
 * Runs what writes a model into a folder. Before it loads anything, the folder is known to be one that can be written, and
 * until it is done, no other command writes there.
 *
 * @param resume 'never' for a command that has no --resume
 * @throws UsageError when something is there that a training would spoil, FileError when it cannot be written
 */
export async function intoFolder<T>(
  output: string | undefined,
  resume: boolean | 'never',
  io: Io,
  run: (output: string) => Promise<T>,
): Promise<T> {
  if (!output) throw new UsageError({ what: '--output', expected: 'a folder', got: 'none' });
  const release = await io.holdFolder(output);
  try {
    await checkOutput(output, resume, io);
    return await run(output);
  } finally {
    await release();
  }
}

/** @throws UsageError when something is there that a training would spoil */
async function checkOutput(output: string, resume: boolean | 'never', io: Io): Promise<void> {
  if (resume === true) {
    const isDone = await io.exists(`${output}/model.safetensors`);
    if (!isDone || (await io.exists(`${output}/${STATE_FOLDER}`))) return;
    const got = 'a folder that holds model.safetensors, and no training to go on with';
    throw new UsageError({ what: `--output ${output}`, got, fix: 'pass another folder' });
  }
  for (const file of ['model.safetensors', LOG]) {
    if (!(await io.exists(`${output}/${file}`))) continue;
    const orResume = file === LOG ? ', or --resume to go on with the training in it' : '';
    const fix = `pass another folder${resume === 'never' ? '' : orResume}`;
    throw new UsageError({ what: `--output ${output}`, got: `a folder that holds ${file}`, fix });
  }
}

/** @throws UsageError for weights that cannot be changed */
export function checkDtype(dtype: string | undefined, done = 'trained'): void {
  if (dtype !== 'q8') return;
  const fix = `leave --dtype out, and quantize the ${done} model`;
  throw new UsageError({ what: '--dtype q8', expected: `float weights, which can be ${done}`, fix });
}

/** A store in a folder: each file is written aside and then renamed. */
function folderStore(folder: string, io: Io): TrainingStore {
  return {
    write: (name, bytes) => io.writeFolder(`${folder}/${STATE_FOLDER}`, (write) => write(name, bytes)),
    read: async (name) => {
      const path = `${folder}/${STATE_FOLDER}/${name}`;
      return (await io.exists(path)) ? io.readFile(path) : undefined;
    },
  };
}

export interface TrainingJob<Example> {
  /** Name of the command, for the file that it makes. */
  command: 'train' | 'distill' | 'pretrain';
  recipe: Recipe<Example, never>;
  train: readonly Example[];
  evaluation: readonly Example[];
  options: FineTuneOptions;
  /** Where the model came from, whose tokenizer goes along. */
  source: ModelFiles;
  /** Besides the model itself, what the folder gets. Asked for before the model is written, which it may still change. */
  extra?: (model: BertPreTrainedModel) => Map<string, Uint8Array>;
}

interface RunFlags {
  output?: string;
  dryRun?: boolean;
  resume?: boolean;
  dtype?: string;
  json?: boolean | undefined;
}

/**
 * What commands that train do with their flags: a training, or with --dry-run its plan.
 *
 * @param prepare loads what is needed; called once it is known that the model can be written
 */
export async function trainOrPlan(flags: RunFlags, io: Io, prepare: () => Promise<TrainingJob<never>>): Promise<void> {
  const { output, dryRun: isDry, resume = false, dtype, json } = flags;
  checkDtype(dtype);
  if (isDry) return dryRun(await prepare(), json, io);
  await intoFolder(output, resume, io, async (folder) => {
    const result = await runTraining(await prepare(), folder, io);
    await io.stdout.write(outcome(folder, result, json));
  });
}

/** Trains, with a log of every step, and writes the model. Resumes when asked to. */
async function runTraining<Example>(job: TrainingJob<Example>, output: string, io: Io): Promise<TrainingResult> {
  const { recipe, train, evaluation, options } = job;
  const controller = new AbortController();
  const progress = io.progress('steps', stepsOf(train.length, options));
  const begin = performance.now();
  let [first, logged] = [-1, 0];
  const history: LogRecord[] = [];
  const flush = async () => {
    if (logged === 0) await io.writeFolder(output, (write) => write(LOG, history.map(jsonLine).join('')));
    else await io.appendFile(`${output}/${LOG}`, history.slice(logged).map(jsonLine).join(''));
    logged = history.length;
  };
  const release = io.onInterrupt(() => controller.abort());
  try {
    const result = await fineTune(recipe, train, evaluation, {
      ...options,
      store: folderStore(output, io),
      signal: controller.signal,
      onResume: (earlier) => {
        for (const record of earlier) history.push(record); // too many for arguments of one call
      },
      onLog: async (record, { step, totalSteps }) => {
        history.push(record);
        await flush();
        if ('loss' in record) {
          if (first < 0) first = step - 1;
          const rate = ((step - first) * 1000) / (performance.now() - begin);
          progress.update(step, `loss ${record.loss.toFixed(4)}, ${rate.toFixed(2)} steps/s`, totalSteps);
        } else await note(io, shown(record));
      },
    });
    if (result.stopped === 'aborted') {
      throw new CheckFailed(`stopped after step ${result.steps}; its state is in ${output}: go on with --resume`);
    }
    await writeModel(job, output, result, io);
    return result;
  } finally {
    release();
    progress.stop();
  }
}

async function writeModel<Example>(
  { command, recipe, source, extra }: TrainingJob<Example>,
  output: string,
  { history }: TrainingResult,
  io: Io,
): Promise<void> {
  const { model } = recipe;
  await io.writeFolder(output, async (write) => {
    await writeCompanions(model, source, write);
    await write('loss.svg', lossCurve(history));
    for (const [name, content] of extra?.(model) ?? []) await write(name, content);
    for (const [name, content] of modelFiles(model, `bertscript ${io.versions.bertscript} ${command}`)) {
      await write(name, content); // the weights last: until they are there, the folder is no model
    }
  });
  await io.removeFolder(`${output}/${STATE_FOLDER}`);
}

/**
 * Copies what belongs to the model but is neither its config nor its weights.
 *
 * @param tokenizer where the tokenizer's files are, if not in `source`
 */
export async function writeCompanions(
  model: BertPreTrainedModel,
  source: ModelFiles,
  write: WriteInside,
  tokenizer = source,
): Promise<void> {
  const isEncoder = !('classifier' in model || 'predictions' in model || 'qaOutputs' in model);
  const copy = async (files: ModelFiles, names: readonly string[]) => {
    for (const name of names) {
      const content = await files.read(name);
      if (content !== undefined) await write(name, content);
    }
  };
  await copy(tokenizer, TOKENIZER_FILES);
  if (!isEncoder) return;
  const [, ...modules] = await moduleFolders(source);
  await copy(source, [...SENTENCE_FILES, ...modules.flatMap((path) => MODULE_FILES.map((file) => `${path}/${file}`))]);
}

function lossCurve(history: readonly LogRecord[]): string {
  const series: Series[] = [
    { name: 'training loss', points: history.flatMap((r) => ('loss' in r ? [[r.step, r.loss] as const] : [])) },
    {
      name: 'evaluation loss',
      points: history.flatMap((r) => ('eval_loss' in r ? [[r.step, r.eval_loss] as const] : [])),
    },
  ];
  const finite = ({ name, points }: Series) => ({ name, points: points.filter(([, loss]) => Number.isFinite(loss)) });
  const drawn = series.map(finite).filter(({ points }) => points.length > 0);
  return lineChart(drawn, { title: 'Loss', xLabel: 'step', yLabel: 'loss' });
}

/** Steps that a dry run makes to measure one. */
const MEASURED = 3;

const median = (times: readonly number[]) => [...times].sort((a, b) => a - b)[times.length >> 1];

/** Prints what a training would do, and how long it would take: three steps are made, and thrown away. */
async function dryRun<Example>(job: TrainingJob<Example>, json: boolean | undefined, io: Io): Promise<void> {
  const { recipe, train, evaluation, options } = job;
  const { model } = recipe;
  const parameters = options.parameters ?? model.parameters();
  const trainable = parameters.filter(({ requiresGrad }) => requiresGrad).reduce((sum, { size }) => sum + size, 0);
  const total = model.parameters().reduce((sum, { size }) => sum + size, 0);
  const prepared = train.reduce((sum, example) => sum + recipe.prepare(example).length, 0);
  const steps = stepsOf(prepared, options);
  const times: number[] = [];
  const trial = { ...options };
  if (evaluation.length > 0) {
    // Nothing is evaluated here, so that no evaluation can decide.
    delete trial.patience;
    delete trial.keepBest;
  }
  let last = performance.now();
  await fineTune(recipe, train, [], {
    ...trial,
    maxSteps: Math.min(MEASURED, steps),
    onLog: () => {
      times.push(performance.now() - last);
      last = performance.now();
    },
  });
  const seconds = median(times) / 1000;
  const plan = {
    examples: prepared,
    evaluation: evaluation.length,
    steps,
    parameters: total,
    trainable,
    // Weights, gradients, and Adam's two means; and what was in use after three steps.
    state_bytes: 4 * (total + 3 * trainable),
    memory_bytes: model.engine.info().memory,
    seconds_per_step: seconds,
    seconds_total: seconds * steps,
  };
  if (json) return io.stdout.write(jsonLine(plan));
  await io.stdout.write(
    [
      `examples      ${plan.examples}, ${plan.evaluation} to evaluate on`,
      `steps         ${steps}`,
      `parameters    ${trainable} of ${total} are trained`,
      `memory        ${megabytes(plan.memory_bytes)} after three steps, ${megabytes(plan.state_bytes)} of it weights, gradients and the optimizer's`,
      `time          ${seconds.toFixed(2)} s a step, ${(plan.seconds_total / 60).toFixed(1)} minutes in all, without evaluations`,
      '',
    ].join('\n'),
  );
}

/** The same for what only runs a model over examples: three batches of them are measured. */
export async function dryRunOver<Example>(
  { model, examples, batchSize, run }: OverExamples<Example>,
  extra: Record<string, number>,
  json: boolean | undefined,
  io: Io,
): Promise<void> {
  const batches = Math.ceil(examples.length / batchSize);
  const times: number[] = [];
  const whole = Math.floor(examples.length / batchSize) || batches; // the rest is no measure, and may be too few to evaluate
  for (let i = 0; i < Math.min(MEASURED, whole); i++) {
    const begin = performance.now();
    await run(examples.slice(i * batchSize, (i + 1) * batchSize));
    times.push(performance.now() - begin);
  }
  const seconds = times.length > 0 ? median(times) / 1000 : 0;
  const parameters = model.parameters().reduce((sum, { size }) => sum + size, 0);
  const plan = {
    ...{ examples: examples.length, steps: batches, parameters, ...extra },
    ...{ state_bytes: 4 * parameters, memory_bytes: model.engine.info().memory },
    ...{ seconds_per_step: seconds, seconds_total: seconds * batches },
  };
  if (json) return io.stdout.write(jsonLine(plan));
  const more = Object.entries(extra).map(([name, value]) => `${name.padEnd(13)} ${value}`);
  await io.stdout.write(
    [
      `examples      ${plan.examples}`,
      `steps         ${batches} of ${batchSize} examples`,
      `parameters    ${parameters}`,
      ...more,
      `memory        ${megabytes(plan.memory_bytes)}, ${megabytes(plan.state_bytes)} of it weights`,
      `time          ${seconds.toFixed(2)} s a step, ${(plan.seconds_total / 60).toFixed(1)} minutes in all`,
      '',
    ].join('\n'),
  );
}

interface OverExamples<Example> {
  model: Pick<BertPreTrainedModel, 'engine'> & { parameters(): { size: number }[] };
  examples: readonly Example[];
  batchSize: number;
  run: (batch: readonly Example[]) => unknown;
}

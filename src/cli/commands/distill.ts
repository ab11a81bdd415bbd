import { Command } from 'commander';
import {
  loadAnyModel,
  openModelFiles,
  type BertForMaskedLM,
  type BertModel,
  type BertPreTrainedModel,
} from '../../bert/index.ts';
import { ConfigError, UsageError } from '../../errors.ts';
import { MemoryFiles, type ModelFiles } from '../../hub/index.ts';
import { AutoTokenizer, type Tokenizer } from '../../tokenizer/index.ts';
import {
  Distillation,
  EmbeddingDistillation,
  MaskedLMDistillation,
  prunedFiles,
  type DistillationOptions,
  type LogitsRecipe,
  type MaskedLMDistillationOptions,
  type Recipe,
} from '../../training/index.ts';
import { note, type Io } from '../io.ts';
import { addModelOptions, loadOptions, modelLocation, type ModelFlags } from '../modelOptions.ts';
import { listed } from '../output.ts';
import {
  addMaskingOptions,
  addTrainingOptions,
  expectFlagsOfTask,
  fineTuneOptions,
  maskingOptions,
  taskFlags,
  type MaskingFlags,
  type TrainingFlags,
} from '../training/options.ts';
import { TOKENIZER_FILES, trainOrPlan } from '../training/run.ts';
import { readTexts, trainingTasks, withColumns, type RecipeFlags } from '../training/tasks.ts';
import { given, nonNegative, oneOf } from '../values.ts';
import { layerList } from './prune.ts';

interface DistillFlags extends ModelFlags, TrainingFlags, MaskingFlags, DistillationOptions {
  teacher?: string;
  student?: string;
  layers?: number[];
  task: string;
  train: string;
  eval?: string;
  columns?: string;
  weights?: [soft: number, words: number, cosine: number];
  output?: string;
}

const tasks = ['classification', 'token-classification', 'regression', 'similarity', 'mlm'] as const;

/** Trains a student to say what a teacher says. */
export function distill(io: Io): Command {
  const command = new Command('distill').description('train a smaller model to say what a larger one says');
  return addMaskingOptions(addTrainingOptions(addModelOptions(command)))
    .option('--teacher <dir>', 'folder of the model to learn from, trained for the task (default: that of --model)')
    .option('--layers <list>', "numbers of the teacher's layers that the student starts with", layerList)
    .option('--student <dir>', 'folder of a model that the student starts as, of the same vocabulary, for --layers')
    .requiredOption('--task <name>', tasks.join(', '), oneOf('--task', tasks))
    .requiredOption(
      '--train <file>',
      'labelled examples, as for train; plain text for mlm and, a text a line, similarity',
    )
    .option('--output <dir>', 'folder for the student')
    .option('--eval <file>', 'examples to evaluate on after each epoch')
    .option('--columns <names>', 'names of the columns of a file without a header, as text,label')
    .option('--temperature <t>', 'softens what the teacher says (default: 2)', nonNegative('--temperature'))
    .option(
      '--alpha <share>',
      "share of the teacher's word; the rest is that of the labels (default: 0.5; of vectors: 1)",
      nonNegative('--alpha'),
    )
    .option('--cosine <w>', 'weight of likeness of the last hidden states (default: 0)', nonNegative('--cosine'))
    .option('--weights <soft,words,cosine>', 'of mlm: of its three losses (default: 5,2,1)', threeWeights)
    .action(async ({ json, ...flags }: DistillFlags) => {
      checkFlags(flags);
      await trainOrPlan({ json, ...flags }, io, async () => {
        const task = trainingTasks[flags.task];
        const file = withColumns(flags.columns, task, flags.train, flags.eval);
        const readExamples = flags.task === 'similarity' ? readTexts : task.read;
        const read = (path: string) => readExamples(file(path), io) as Promise<never[]>;
        const train = await read(flags.train);
        const evaluation = flags.eval === undefined ? [] : await read(flags.eval);
        const source = openModelFiles(modelLocation(given({ model: flags.teacher ?? flags.model }), io));
        const teacher = await task.load(source, { ...(await loadOptions(flags, io)), dtype: 'f32' });
        const tokenizer = await AutoTokenizer.fromPretrained(source);
        const student = await studentOf(teacher, tokenizer, flags, io);
        if (flags.gradientCheckpointing) student.gradientCheckpointingEnable();
        const own = (await task.options?.(source, teacher.engine, tokenizer)) ?? {};
        const recipe = recipeOf(student, teacher, tokenizer, flags, own);
        const options = fineTuneOptions(flags);
        return { command: 'distill', recipe, train, evaluation, options, source };
      });
    });
}

function checkFlags({ layers, student, task, weights, alpha, cosine, temperature, ...masking }: DistillFlags): void {
  if ((layers === undefined) === (student === undefined)) {
    const got = layers === undefined ? 'neither' : 'both';
    throw new UsageError({ what: 'distill', expected: 'either --layers or --student', got });
  }
  expectFlagsOfTask(task, {
    ...taskFlags(task, masking),
    '--weights': [weights, task === 'mlm'],
    '--alpha': [alpha, task !== 'mlm'],
    '--cosine': [cosine, task !== 'mlm' && task !== 'similarity'],
    '--temperature': [temperature, task !== 'similarity'],
  });
}

/** Some layers of the teacher, or a model of its own whose head, if it has none, starts at random. */
async function studentOf(
  teacher: BertPreTrainedModel,
  tokenizer: Tokenizer,
  flags: DistillFlags,
  io: Io,
): Promise<BertPreTrainedModel> {
  const { engine } = teacher;
  if (flags.student === undefined) {
    const made = prunedFiles(teacher, given({ layers: flags.layers }));
    return loadAnyModel(new MemoryFiles(made), { engine });
  }
  const files: ModelFiles = openModelFiles(modelLocation({ model: flags.student }, io));
  if (await isTokenizer(files)) expectSameTokens(tokenizer, await AutoTokenizer.fromPretrained(files), flags.student);
  const hasLabels = trainingTasks[flags.task].labels !== undefined;
  const student = await trainingTasks[flags.task].load(files, {
    ...{ engine, dtype: 'f32', initializeMissing: true, seed: flags.seed },
    ...(hasLabels && { labels: teacher.config.id2label }),
  });
  const started = student.loadReport?.initialized ?? [];
  if (started.length > 0) await note(io, `${started.length} new tensors start at random: ${listed(started)}`);
  return student;
}

const isTokenizer = async (files: ModelFiles) =>
  (await Promise.all(TOKENIZER_FILES.map((name) => files.read(name)))).some((content) => content !== undefined);

/** The student reads the teacher's ids, and is written with the teacher's tokenizer. */
function expectSameTokens(teacher: Tokenizer, student: Tokenizer, what: string): void {
  for (let id = 0; id < Math.max(teacher.vocabSize, student.vocabSize); id++) {
    const [expected, got] = [teacher, student].map((tokenizer) => tokenizer.idToToken(id) ?? 'none');
    if (expected === got) continue;
    const fix = 'begin with layers of the teacher, or a student that was pretrained with its vocabulary';
    throw new ConfigError({ what: `--student ${what}: token ${id}`, expected: `the teacher's, ${expected}`, got, fix });
  }
}

function recipeOf(
  student: BertPreTrainedModel,
  teacher: BertPreTrainedModel,
  tokenizer: Tokenizer,
  flags: DistillFlags,
  own: RecipeFlags,
): Recipe<never, never> {
  const { maxLength, seed, temperature, alpha, cosine } = flags;
  if (flags.task === 'mlm') {
    const [soft, words, likeness] = flags.weights ?? [5, 2, 1];
    const options = given<MaskedLMDistillationOptions>({ maxLength, seed, temperature, ...maskingOptions(flags) });
    const weights = { soft, words, cosine: likeness };
    const models = [student, teacher] as [BertForMaskedLM, BertForMaskedLM];
    return new MaskedLMDistillation(...models, tokenizer, { ...options, weights }) as unknown as Recipe<never, never>;
  }
  if (flags.task === 'similarity') {
    const options = { ...own, ...given({ maxLength, alpha }) };
    const models = [student, teacher] as [BertModel, BertModel];
    return new EmbeddingDistillation(...models, tokenizer, options) as unknown as Recipe<never, never>;
  }
  const inner = trainingTasks[flags.task].recipe(student, tokenizer, given({ maxLength }));
  const options = given<DistillationOptions>({ temperature, alpha, cosine });
  return new Distillation(inner as LogitsRecipe<never, never>, teacher, options);
}

function threeWeights(text: string): [number, number, number] {
  const numbers = text.split(',').map(nonNegative('--weights'));
  if (numbers.length === 3) return numbers as [number, number, number];
  throw new ConfigError({ what: '--weights', expected: 'three numbers with commas between, such as 5,2,1', got: text });
}

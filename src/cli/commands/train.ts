import { Command } from 'commander';
import { adapterFiles, addLora, mergeAdapters, readAnyConfig } from '../../bert/index.ts';
import { InputError, show } from '../../errors.ts';
import { openFiles } from '../../hub/index.ts';
import { AutoTokenizer } from '../../tokenizer/index.ts';
import { note, type Io } from '../io.ts';
import { addModelOptions, loadOptions, modelLocation, type ModelFlags } from '../modelOptions.ts';
import { listed } from '../output.ts';
import {
  addLoraOptions,
  addMaskingOptions,
  addSimilarityOptions,
  addTrainingOptions,
  expectFlagsOfTask,
  fineTuneOptions,
  loraOptions,
  maskingOptions,
  taskFlags,
  type LoraFlags,
  type MaskingFlags,
  type SimilarityFlags,
  type TrainingFlags,
} from '../training/options.ts';
import { trainOrPlan } from '../training/run.ts';
import { labelsFor, trainingTasks, withColumns, type RecipeFlags } from '../training/tasks.ts';
import { given, oneOf } from '../values.ts';

interface TrainFlags extends ModelFlags, TrainingFlags, MaskingFlags, SimilarityFlags, LoraFlags {
  task: string;
  train: string;
  eval?: string;
  output?: string;
  columns?: string;
}

const names = Object.keys(trainingTasks);

/** Fine-tunes a model on examples. */
export function train(io: Io): Command {
  const command = new Command('train').description('fine-tune a model on labelled examples');
  return addLoraOptions(addSimilarityOptions(addMaskingOptions(addTrainingOptions(addModelOptions(command)))))
    .requiredOption('--task <name>', names.join(', '), oneOf('--task', names))
    .requiredOption('--train <file>', 'examples: .tsv .csv .jsonl with text, text_pair and label; CoNLL; SQuAD; text')
    .option('--eval <file>', 'examples to evaluate on after each epoch')
    .option('--columns <names>', 'names of the columns of a file without a header, as text,label')
    .option('--output <dir>', 'folder for the model')
    .action(async ({ json, ...flags }: TrainFlags) => {
      const task = trainingTasks[flags.task];
      expectFlagsOfTask(flags.task, taskFlags(flags.task, flags));
      const lora = loraOptions(flags);
      await trainOrPlan({ json, ...flags }, io, async () => {
        const file = withColumns(flags.columns, task, flags.train, flags.eval);
        const examples = await task.read(file(flags.train), io);
        const evaluation = flags.eval === undefined ? [] : await task.read(file(flags.eval), io);
        const files = openFiles(modelLocation(flags, io));
        const labels = task.labels && (await labelsFor(files, flags.task, task.labels([...examples, ...evaluation])));
        if (flags.task !== 'regression' && labels?.length === 1) {
          const fix = 'give examples of another class, or train a regression';
          throw new InputError({
            what: flags.train,
            expected: 'at least two classes',
            got: `only ${show(labels[0])}`,
            fix,
          });
        }
        const { engine } = await loadOptions(flags, io);
        const model = await task.load(files, {
          ...given({ engine, labels }),
          dtype: 'f32',
          initializeMissing: true,
          seed: flags.seed,
        });
        const started = model.loadReport?.initialized ?? [];
        if (started.length > 0)
          await note(io, `${started.length} new tensors start at random: ${started.slice(0, 3).join(', ')}`);
        const before = (await readAnyConfig(files)).id2label;
        const isKept = labels && started.every((name) => name.startsWith(`${model.config.family.prefix}.`));
        if (isKept && labels.some((label, i) => label !== before[i])) {
          await note(io, `the head for ${listed(before)} is kept; its classes are now called ${listed(labels)}`);
        }
        const parameters = lora && addLora(model, lora);
        if (flags.gradientCheckpointing) model.gradientCheckpointingEnable();
        const tokenizer = await AutoTokenizer.fromPretrained(files);
        const recipe = task.recipe(model, tokenizer, {
          ...(await task.options?.(files, model.engine, tokenizer)),
          ...given<RecipeFlags>({
            maxLength: flags.maxLength,
            seed: flags.seed,
            ...maskingOptions(flags),
            similarityLoss: flags.similarityLoss,
            scoreRange: scoreRange(examples),
          }),
        });
        const options = { ...fineTuneOptions(flags), ...given({ parameters }) };
        const extra = () => {
          const adapter = adapterFiles(model, { base: flags.model ?? null, half: flags.loraHalf ?? false });
          mergeAdapters(model); // the model that is written beside it needs none
          return new Map([...adapter].map(([name, bytes]) => [`adapter/${name}`, bytes]));
        };
        const job = { command: 'train', recipe, train: examples, evaluation, options, source: files } as const;
        return { ...job, ...(lora && { extra }) };
      });
    });
}

/** From the least to the greatest score of the data, where it is beyond 0 to 1. */
function scoreRange(examples: readonly { score?: number }[]): [number, number] | undefined {
  const scores = examples.flatMap(({ score }) => (typeof score === 'number' ? [score] : []));
  const [least, most] = scores.reduce(([a, b], x) => [Math.min(a, x), Math.max(b, x)], [Infinity, -Infinity]);
  return least < 0 || most > 1 ? [least, most] : undefined;
}

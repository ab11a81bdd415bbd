import { Command } from 'commander';
import { loadAnyModel, openModelFiles } from '../../bert/index.ts';
import { MemoryFiles } from '../../hub/index.ts';
import { AutoTokenizer } from '../../tokenizer/index.ts';
import { Distillation, prunedFiles, type DistillationOptions, type LogitsRecipe } from '../../training/index.ts';
import type { Io } from '../io.ts';
import { addModelOptions, loadOptions, modelLocation, type ModelFlags } from '../modelOptions.ts';
import { jsonLine } from '../output.ts';
import { addTrainingOptions, fineTuneOptions, type TrainingFlags } from '../training/options.ts';
import { checkOutput, dryRun, runTraining, type TrainingJob } from '../training/run.ts';
import { shown, trainingTasks } from '../training/tasks.ts';
import { given, nonNegative, oneOf } from '../values.ts';
import { layerList } from './prune.ts';

interface DistillFlags extends ModelFlags, TrainingFlags, Required<DistillationOptions> {
  teacher: string;
  layers: number[];
  task: string;
  train: string;
  eval?: string;
  output: string;
}

const tasks = ['classification', 'token-classification'] as const;

/** Trains a student with some of a teacher's layers to say what the teacher says. */
export function distill(io: Io): Command {
  const command = new Command('distill').description('train a smaller model to say what a larger one says');
  return addTrainingOptions(addModelOptions(command))
    .requiredOption('--teacher <dir>', 'folder of the model to learn from, trained for the task')
    .requiredOption('--layers <list>', "numbers of the teacher's layers that the student starts with", layerList)
    .requiredOption('--task <name>', tasks.join(', '), oneOf('--task', tasks))
    .requiredOption('--train <file>', 'labelled examples, as for train')
    .requiredOption('--output <dir>', 'folder for the student')
    .option('--eval <file>', 'examples to evaluate on after each epoch')
    .option('--temperature <t>', 'softens what the teacher says', nonNegative('--temperature'), 2)
    .option(
      '--alpha <share>',
      "share of the teacher's word; the rest is that of the labels",
      nonNegative('--alpha'),
      0.5,
    )
    .option('--cosine <w>', 'weight of likeness of the last hidden states', nonNegative('--cosine'), 0)
    .action(async ({ json, ...flags }: DistillFlags) => {
      const { output, temperature, alpha, cosine, dryRun: isDry = false } = flags;
      if (!isDry) await checkOutput(output, flags.resume ?? false, io);
      const task = trainingTasks[flags.task];
      const train = await task.read({ path: flags.train }, io);
      const evaluation = flags.eval === undefined ? [] : await task.read({ path: flags.eval }, io);
      const files = openModelFiles(modelLocation({ model: flags.teacher }, io));
      const teacher = await task.load(files, { ...(await loadOptions(flags, io)), dtype: 'f32' });
      const made = prunedFiles(teacher, { layers: flags.layers });
      const student = await loadAnyModel(new MemoryFiles(made), { engine: teacher.engine });
      const inner = task.recipe(
        student,
        await AutoTokenizer.fromPretrained(files),
        given({ maxLength: flags.maxLength }),
      );
      const recipe = new Distillation(inner as LogitsRecipe<never, never>, teacher, { temperature, alpha, cosine });
      const options = fineTuneOptions(flags);
      const job: TrainingJob<never> = { recipe, train, evaluation, options, output, source: files };
      if (isDry) return dryRun(job, json, io);
      const { best = {}, steps } = await runTraining(job, io);
      await io.stdout.write(
        json ? jsonLine({ output, steps, ...best }) : `${output}: ${steps} steps  ${shown(best)}\n`,
      );
    });
}

import { Command } from 'commander';
import { CheckpointError, UsageError } from '../../errors.ts';
import { openFiles } from '../../hub/index.ts';
import { loadTask } from '../../tasks/index.ts';
import { AutoTokenizer } from '../../tokenizer/index.ts';
import { heatmap } from '../../training/index.ts';
import { note, type Io, type Write } from '../io.ts';
import {
  adapterLocation,
  addAdapterOption,
  addModelOptions,
  loadOptions,
  modelLocation,
  type ModelFlags,
} from '../modelOptions.ts';
import { jsonLine, table } from '../output.ts';
import {
  addMaskingOptions,
  expectFlagsOfTask,
  maskingOptions,
  taskFlags,
  type MaskingFlags,
} from '../training/options.ts';
import { dryRunOver } from '../training/run.ts';
import { trainingTasks, withColumns, type RecipeFlags } from '../training/tasks.ts';
import { given, oneOf, wholeNumber } from '../values.ts';

interface EvaluateFlags extends ModelFlags, MaskingFlags {
  task: string;
  eval: string;
  columns?: string;
  maxLength?: number;
  seed: number;
  confusion?: string;
  dryRun?: boolean;
}

/** A model without the head of the task: an adapter may bring it. */
function refuse(error: unknown, hasHead: boolean): never {
  if (!hasHead || !(error instanceof CheckpointError) || !error.what.includes('missing tensors')) throw error;
  const { what, expected, got } = error;
  const fix = 'pass a --model that was trained for the task, or an --adapter that has its head';
  throw new CheckpointError({ what, ...given({ expected, got }), fix, cause: error });
}

const names = Object.keys(trainingTasks);

/** How well a model does on labelled examples. */
export function evaluate(io: Io): Command {
  const command = new Command('evaluate').description('measure how well a model does on labelled examples');
  return addMaskingOptions(addAdapterOption(addModelOptions(command)))
    .requiredOption('--task <name>', names.join(', '), oneOf('--task', names))
    .requiredOption('--eval <file>', 'examples, as for train')
    .option('--columns <names>', 'names of the columns of a file without a header, as text,label')
    .option('--max-length <n>', 'tokens of a text; the rest is cut', wholeNumber('--max-length', 4))
    .option('--seed <n>', 'of masks', wholeNumber('--seed', 0), 0)
    .option('--confusion <file.svg>', 'write a picture of which classes are taken for which')
    .option('--dry-run', 'print the plan, the memory and the time per step, and evaluate nothing')
    .action(async ({ json, ...flags }: EvaluateFlags) => {
      const task = trainingTasks[flags.task];
      expectFlagsOfTask(flags.task, {
        ...taskFlags(flags.task, flags),
        '--confusion': [flags.confusion, task.assess !== undefined],
      });
      const measure = async (draw?: Write) => {
        const examples = await task.read(withColumns(flags.columns, task, flags.eval)(flags.eval), io);
        const files = openFiles(modelLocation(flags, io));
        const adapter = await adapterLocation(flags, io, task.adapter);
        if (adapter !== undefined && task.head === undefined) {
          throw new UsageError({ what: '--adapter', expected: 'a task with a head of its own', got: flags.task });
        }
        const loading = await loadOptions(flags, io);
        const recipeOf = async () => {
          const model =
            adapter === undefined || task.head === undefined
              ? await task.load(files, loading).catch((error: unknown) => refuse(error, task.head !== undefined))
              : (await loadTask('evaluate', task.head, files, { ...loading, adapter })).model;
          const { maxLength, seed } = flags;
          const options = given<RecipeFlags>({ maxLength, seed, ...maskingOptions(flags) });
          return task.recipe(model, await AutoTokenizer.fromPretrained(files), options);
        };
        const subject = task.whole ? await task.whole(files, loading, flags.maxLength) : await recipeOf();
        if (flags.dryRun) {
          const { model } = subject;
          const run = (batch: readonly never[]) => subject.evaluate(batch);
          return dryRunOver({ model, examples, batchSize: 16, run }, {}, json, io);
        }
        const isShown = json || flags.confusion !== undefined;
        const assessed = isShown && 'prepare' in subject ? task.assess?.(subject, examples) : undefined;
        const { metrics, confusion } = assessed ?? { metrics: await subject.evaluate(examples), confusion: undefined };
        if (flags.confusion !== undefined && confusion) {
          const picture = heatmap(confusion.labels, confusion.counts, {
            title: 'Confusion matrix',
            xLabel: 'predicted',
            yLabel: 'true',
          });
          await draw?.(picture);
        }
        if (json)
          return io.stdout.write(jsonLine({ examples: examples.length, ...metrics, ...(confusion && { confusion }) }));
        const rows = Object.entries({ examples: examples.length, ...metrics });
        await io.stdout.write(
          table(
            ['metric', 'value'],
            rows.map(([name, value]) => [name, Number(value.toFixed(4))]),
            io.stdout,
          ),
        );
      };
      if (flags.confusion === undefined || flags.dryRun) return measure();
      await io.writeFile(flags.confusion, measure);
      await note(io, `wrote ${flags.confusion}`);
    });
}

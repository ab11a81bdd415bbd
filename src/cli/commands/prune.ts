import { Command } from 'commander';
import { loadAnyModel, openModelFiles, type BertPreTrainedModel } from '../../bert/index.ts';
import { ConfigError, UsageError } from '../../errors.ts';
import { MemoryFiles, type ModelFiles } from '../../hub/index.ts';
import { AutoTokenizer, type Tokenizer } from '../../tokenizer/index.ts';
import {
  importanceByGradient,
  prunedFiles,
  prunedVocabulary,
  type Metrics,
  type PruningOptions,
  type Recipe,
} from '../../training/index.ts';
import { readTexts } from '../input.ts';
import { note, type Io } from '../io.ts';
import { addModelOptions, loadOptions, modelLocation, type ModelFlags } from '../modelOptions.ts';
import { jsonLine } from '../output.ts';
import { checkDtype, dryRunOver, intoFolder, writeCompanions } from '../training/run.ts';
import { shown, trainingTasks, withColumns, type RecipeFlags } from '../training/tasks.ts';
import { given, nonNegative, oneOf, wholeNumber } from '../values.ts';

interface PruneFlags extends ModelFlags {
  output?: string;
  feedForward?: number;
  heads?: number;
  layers?: number[];
  magnitude?: number;
  vocabulary?: string;
  vocabularyMinimum: number;
  dryRun?: boolean;
  task?: string;
  data?: string;
  columns?: string;
  maxLength?: number;
}

const tasks = Object.keys(trainingTasks);

/** Writes a smaller model. */
export function prune(io: Io): Command {
  const command = new Command('prune').description('take the least important parts out of a model');
  return addModelOptions(command)
    .option('--output <dir>', 'folder for the new model')
    .option('--feed-forward <share>', 'share of the feed-forward columns that go', nonNegative('--feed-forward'))
    .option('--heads <share>', 'share of the heads that go; transformers 5 cannot load that', nonNegative('--heads'))
    .option('--layers <list>', 'numbers of the layers that stay, such as 0,2,4', layerList)
    .option('--magnitude <share>', 'share of the weights that become zero', nonNegative('--magnitude'))
    .option('--vocabulary <file>', 'texts: tokens that none of them has go; .txt .jsonl .tsv .csv')
    .option(
      '--vocabulary-minimum <n>',
      'how often a token stands in them, to stay',
      wholeNumber('--vocabulary-minimum', 1),
      1,
    )
    .option('--task <name>', `what --data is for: ${tasks.join(', ')}`, oneOf('--task', tasks))
    .option('--data <file>', 'examples on which importance is measured (default: by the size of weights)')
    .option('--columns <names>', 'names of the columns of a file without a header, as text,label')
    .option('--max-length <n>', 'tokens of a text; the rest is cut', wholeNumber('--max-length', 4))
    .option('--dry-run', 'print the plan, the memory and the time per step, and write nothing')
    .action(async ({ json, ...flags }: PruneFlags) => {
      const { feedForward, heads, layers, magnitude, dryRun } = flags;
      const options = given<PruningOptions>({ feedForward, heads, layers, magnitude });
      if (Object.keys(options).length === 0 && flags.vocabulary === undefined) {
        const expected = 'at least one of --feed-forward, --heads, --layers, --magnitude and --vocabulary';
        throw new UsageError({ what: 'prune', expected, got: 'none' });
      }
      if ((flags.task === undefined) !== (flags.data === undefined)) {
        throw new UsageError({ what: '--task', expected: '--data beside it', got: 'one of them alone' });
      }
      for (const [what, value] of Object.entries({ '--columns': flags.columns, '--max-length': flags.maxLength })) {
        if (value === undefined || flags.data !== undefined) continue;
        throw new UsageError({ what, expected: '--data beside it', got: 'none' });
      }
      checkDtype(flags.dtype, 'pruned');
      const load = async () => {
        const files = openModelFiles(modelLocation(flags, io));
        const loading = { ...(await loadOptions(flags, io)), dtype: 'f32' } as const;
        const measured = await measurement(flags, io);
        const model = await (measured?.task.load ?? loadAnyModel)(files, loading);
        const tokenizer = await AutoTokenizer.fromPretrained(files);
        const vocabulary = flags.vocabulary === undefined ? undefined : await vocabularyOf(files, tokenizer, flags, io);
        if (vocabulary) options.vocabulary = vocabulary.ids;
        const own = await measured?.task.options?.(files, model.engine, tokenizer);
        const before = measured?.recipeOf(model, tokenizer, own);
        return { files, model, tokenizer, measured, own, vocabulary, before };
      };
      if (dryRun) {
        const { model, before, measured } = await load();
        return plan(model, before, measured?.examples ?? [], options, json, io);
      }
      await intoFolder(flags.output, 'never', io, async (output) => {
        const { files, model, tokenizer, measured, own, vocabulary, before } = await load();
        if (before && measured && (feedForward || heads)) {
          const progress = io.progress('examples', measured.examples.length);
          const onBatch = (done: number, total: number) => progress.update(done, '', total);
          options.importance = await importanceByGradient(before, measured.examples, { onBatch }).finally(() =>
            progress.stop(),
          );
        }
        const made = prunedFiles(model, options, `bertscript ${io.versions.bertscript} prune`);
        const pruned = await loadAnyModel(new MemoryFiles(made), { engine: model.engine });
        const report: Report = { output, parameters_before: sizeOf(model), parameters: sizeOf(pruned) };
        if (vocabulary) Object.assign(report, { tokens_before: tokenizer.vocabSize, tokens: vocabulary.ids.length });
        const companions = vocabulary ? new MemoryFiles(vocabulary.files) : undefined;
        if (before && measured) {
          const after = measured.recipeOf(pruned, await AutoTokenizer.fromPretrained(companions ?? files), own);
          report.before = await before.evaluate(measured.examples);
          report.after = await after.evaluate(measured.examples);
        }
        await io.writeFolder(output, async (write) => {
          await writeCompanions(model, files, write, companions);
          for (const [name, content] of made) await write(name, content);
        });
        if (heads) {
          const why = 'transformers 5 has no config key for fewer heads of the same size, and cannot load this model';
          await note(io, `${why}; without --heads it can`);
        }
        await io.stdout.write(json ? jsonLine(report) : readable(report));
      });
    });
}

interface Report {
  output: string;
  parameters_before: number;
  parameters: number;
  tokens_before?: number;
  tokens?: number;
  before?: Metrics;
  after?: Metrics;
}

async function vocabularyOf(files: ModelFiles, tokenizer: Tokenizer, flags: PruneFlags, io: Io) {
  const texts = await readTexts(flags.vocabulary!, undefined, io);
  return prunedVocabulary(files, tokenizer, texts, { minimum: flags.vocabularyMinimum });
}

/** What would go; and, with examples, how long it takes to measure importance on them. */
async function plan(
  model: BertPreTrainedModel,
  recipe: Recipe<never, never> | undefined,
  examples: never[],
  options: PruningOptions,
  json: boolean | undefined,
  io: Io,
): Promise<void> {
  const pruned = await loadAnyModel(new MemoryFiles(prunedFiles(model, options)), { engine: model.engine });
  const left = { parameters_left: sizeOf(pruned) };
  const run = (batch: readonly never[]) => importanceByGradient(recipe!, batch);
  await dryRunOver({ model, examples, batchSize: 8, run }, left, json, io);
}

/** The examples of `--data`, and what to do with them. */
async function measurement({ task: name, data, columns, maxLength }: PruneFlags, io: Io) {
  if (name === undefined || data === undefined) return undefined;
  const task = trainingTasks[name];
  const examples = await task.read(withColumns(columns, task, data)(data), io);
  const recipeOf = (model: BertPreTrainedModel, tokenizer: Tokenizer, own: RecipeFlags = {}) =>
    task.recipe(model, tokenizer, { ...own, ...given({ maxLength }) });
  return { task, examples, recipeOf };
}

export function layerList(text: string): number[] {
  const numbers = text.split(',').map(Number);
  if (/^\d+(,\d+)*$/.test(text)) return numbers;
  throw new ConfigError({ what: '--layers', expected: 'numbers with commas between, such as 0,2,4', got: text });
}

const sizeOf = (model: { parameters(): { size: number }[] }) =>
  model.parameters().reduce((sum, { size }) => sum + size, 0);

function readable({ output, parameters_before, parameters, tokens_before, tokens, before, after }: Report): string {
  const share = ((100 * parameters) / parameters_before).toFixed(0);
  const lines = [`${output}: ${parameters} of ${parameters_before} parameters, ${share} %`];
  if (tokens !== undefined) lines.push(`${tokens} of ${tokens_before} tokens`);
  if (before && after) lines.push(`before  ${shown(before)}`, `after   ${shown(after)}`);
  return `${lines.join('\n')}\n`;
}

import type { BertPreTrainedModel, LoadOptions, BertForMaskedLM, BertModel } from '../../bert/index.ts';
import {
  AutoModel,
  AutoModelForMaskedLM,
  AutoModelForQuestionAnswering,
  AutoModelForSequenceClassification,
  AutoModelForTokenClassification,
  readAnyConfig,
} from '../../bert/index.ts';
import { ConfigError, InputError, UsageError } from '../../errors.ts';
import type { ModelFiles } from '../../hub/index.ts';
import { confusionMatrix } from '../../metrics/index.ts';
import { cosineSimilarity, poolings, readSentenceModules, SentenceEncoder, type Head } from '../../tasks/index.ts';
import { normalizeRows, type Engine, type Pooling } from '../../tensor/index.ts';
import type { Tokenizer } from '../../tokenizer/index.ts';
import {
  AnswerExtraction,
  MaskedLanguageModelling,
  readConll,
  readDocuments,
  readLabelledTexts,
  readScoredTexts,
  readSquad,
  SentenceSimilarity,
  similarityExample,
  similarityMetrics,
  TextClassification,
  TextRegression,
  TokenClassification,
  type LabelledText,
  type MaskingOptions,
  type Metrics,
  type QuestionExample,
  type Recipe,
  type ScoredText,
  type SimilarityExample,
  type SimilarityLoss,
  type TableFormat,
  type TaggedSentence,
  type TrainingResult,
} from '../../training/index.ts';
import { jsonLine } from '../output.ts';
import { formatOf } from '../textFormats.ts';
import { given } from '../values.ts';
import type { Io } from '../io.ts';

/** What `train` and `evaluate` need of a task. */
export interface TrainingTask<Example = unknown> {
  read(file: DataFile, io: Io): Promise<Example[]>;
  /** Whether its examples are rows of tables. */
  isTabular?: boolean;
  /** Names of the classes of the data, if the task has classes. */
  labels?(examples: readonly Example[]): string[];
  /** What the model class is called after its family, for tasks that adapters serve. */
  head?: Head;
  /** The shipped adapter that has the head. */
  adapter?: string;
  load(files: ModelFiles, options: LoadOptions): Promise<BertPreTrainedModel>;
  /** What the model's folder says of the recipe. @throws ConfigError for what no training respects */
  options?(files: ModelFiles, engine: Engine, tokenizer: Tokenizer): Promise<RecipeFlags>;
  recipe(model: BertPreTrainedModel, tokenizer: Tokenizer, options: RecipeFlags): Recipe<Example, never>;
  /** What is evaluated in place of the recipe, when the model is more than the recipe trains. */
  whole?(files: ModelFiles, options: LoadOptions, maxLength?: number): Promise<Whole<Example>>;
  /** Metrics, and how often each class was taken for each, for tasks that have classes. */
  assess?(recipe: Recipe<Example, never>, examples: readonly Example[]): { metrics: Metrics; confusion: Confusion };
}

interface Whole<Example> {
  model: SentenceEncoder['model'];
  evaluate(examples: readonly Example[]): Metrics;
}

interface Confusion {
  labels: string[];
  counts: number[][];
}

export interface DataFile {
  path: string;
  /** Names of the columns of a table without a header. */
  columns?: string[] | undefined;
}

export interface RecipeFlags extends MaskingOptions {
  maxLength?: number;
  seed?: number;
  similarityLoss?: SimilarityLoss;
  scoreRange?: readonly [number, number];
  pooling?: Pooling;
}

/** A recipe whose prepared examples are its own affair. */
const asRecipe = (recipe: unknown) => recipe as Recipe<never, never>;

const classification: TrainingTask<LabelledText> = {
  read: (file, io) => table(file, io, readLabelledTexts),
  isTabular: true,
  labels: (examples) => sorted(examples.map(({ label }) => label)),
  head: 'ForSequenceClassification',
  adapter: 'sentiment',
  load: (files, options) => AutoModelForSequenceClassification.fromPretrained(files, options),
  recipe: (model, tokenizer, options) => asRecipe(new TextClassification(model, tokenizer, options)),
  assess: (recipe, examples) => {
    const own = recipe as unknown as TextClassification;
    const predicted = own.predictions(examples);
    const labels = [...recipe.model.config.id2label];
    const classes = labels.map((_, i) => i);
    const { counts } = confusionMatrix(predicted.targets, predicted.predictions, classes);
    return { metrics: own.evaluate(examples, predicted), confusion: { labels, counts } };
  },
};

const regression: TrainingTask<ScoredText> = {
  read: (file, io) => table(file, io, readScoredTexts),
  isTabular: true,
  labels: () => ['LABEL_0'],
  head: 'ForSequenceClassification',
  load: (files, options) => AutoModelForSequenceClassification.fromPretrained(files, options),
  recipe: (model, tokenizer, options) => asRecipe(new TextRegression(model, tokenizer, options)),
};

const tokenClassification: TrainingTask<TaggedSentence> = {
  read: async (file, io) => all(readConll(await io.readFile(file.path), file.path), file.path),
  labels: (examples) => sorted(examples.flatMap(({ tags }) => tags)),
  head: 'ForTokenClassification',
  adapter: 'entities',
  load: (files, options) => AutoModelForTokenClassification.fromPretrained(files, options),
  recipe: (model, tokenizer, options) => asRecipe(new TokenClassification(model, tokenizer, options)),
  assess: (recipe, examples) => {
    const own = recipe as unknown as TokenClassification;
    const predicted = own.predict(examples);
    const tags = examples.flatMap((example) => example.tags);
    const { classes, counts } = confusionMatrix(tags, predicted.predictions.flat());
    return { metrics: own.evaluate(examples, predicted), confusion: { labels: classes.map(String), counts } };
  },
};

const answers: TrainingTask<QuestionExample> = {
  read: async (file, io) => {
    const examples = await readSquad(await io.readFile(file.path), file.path);
    if (examples.length > 0) return examples;
    throw new InputError({ what: file.path, expected: 'at least one question', got: 'none' });
  },
  head: 'ForQuestionAnswering',
  adapter: 'question-answering',
  load: (files, options) => AutoModelForQuestionAnswering.fromPretrained(files, options),
  recipe: (model, tokenizer, { maxLength }) =>
    asRecipe(new AnswerExtraction(model, tokenizer, maxLength === undefined ? {} : { maxLength })),
};

const similarity: TrainingTask<SimilarityExample> = {
  read: async (file, io) => (await table(file, io, readScoredTexts)).map(similarityExample),
  isTabular: true,
  options: async (files, engine, tokenizer) => {
    const { pooling, steps, maxSeqLength, lowerCase, prompt } = await readSentenceModules(files, engine);
    const [small, capital] = ['a b c x y z é', 'A B C X Y Z É'].map((text) => tokenizer.encode(text).inputIds.join());
    const beyond = {
      'several poolings': pooling.length > 1,
      'a Dense module': steps.some((step) => step !== normalizeRows), // a cosine has no lengths
      'a prompt before every text': prompt !== '',
      'do_lower_case, and a tokenizer that tells capital letters from small ones': lowerCase && small !== capital,
    };
    const [got] = Object.entries(beyond).find(([, isThere]) => isThere) ?? [];
    if (got === undefined) return { pooling: poolings[pooling[0]], ...given({ maxLength: maxSeqLength ?? undefined }) };
    const expected = 'an encoder and its pooling, of whose vectors a similarity is learned';
    throw new ConfigError({ what: files.location, expected, got, fix: 'begin with a model without' });
  },
  // The vectors that `embed` gives.
  whole: async (files, options, maxLength) => {
    const loaded = await SentenceEncoder.fromPretrained(files, options);
    const { model, tokenizer } = loaded;
    const limited = async (maxSeqLength: number) =>
      new SentenceEncoder(model, tokenizer, { ...(await readSentenceModules(files, model.engine)), maxSeqLength });
    const encoder = maxLength === undefined ? loaded : await limited(maxLength);
    const cosinesOf = (pairs: (readonly string[])[]) => {
      const vectors = encoder.encode(pairs.flatMap(([first, second]) => [first, second]));
      return pairs.map((_, i) => cosineSimilarity(vectors[2 * i].embedding, vectors[2 * i + 1].embedding));
    };
    return { model, evaluate: (examples) => similarityMetrics(examples, cosinesOf) };
  },
  load: (files, options) => AutoModel.fromPretrained(files, options),
  recipe: (model, tokenizer, { similarityLoss, scoreRange, maxLength, pooling }) =>
    asRecipe(
      new SentenceSimilarity(model as BertModel, tokenizer, {
        ...(similarityLoss && { loss: similarityLoss }),
        ...(scoreRange && { scoreRange }),
        ...(pooling && { pooling }),
        ...(maxLength !== undefined && { maxLength }),
      }),
    ),
};

const mlm: TrainingTask<string[]> = {
  read: async (file, io) => all(readDocuments(await io.readFile(file.path), file.path), file.path),
  head: 'ForMaskedLM',
  adapter: 'masked-words',
  load: (files, options) => AutoModelForMaskedLM.fromPretrained(files, options),
  recipe: (model, tokenizer, options) =>
    asRecipe(new MaskedLanguageModelling(model as BertForMaskedLM, tokenizer, options)),
};

export const trainingTasks = {
  classification,
  regression,
  'token-classification': tokenClassification,
  'question-answering': answers,
  similarity,
  mlm,
} as unknown as Record<string, TrainingTask<never>>;

/**
 * Gives `--columns` to those files of a command that have columns to be named.
 *
 * @throws UsageError when none has
 */
export function withColumns(
  columns: string | undefined,
  { isTabular = false }: TrainingTask<never>,
  ...files: (string | undefined)[]
): (path: string) => DataFile {
  if (columns === undefined) return (path) => ({ path });
  const names = columns.split(',').map((name) => name.trim());
  const hasColumns = (path: string) => isTabular && ['tsv', 'csv'].includes(formatOf(path));
  const paths = files.filter((path) => path !== undefined);
  if (paths.some(hasColumns)) return (path) => ({ path, ...(hasColumns(path) && { columns: names }) });
  const got = paths.join(', ');
  throw new UsageError({ what: '--columns', expected: 'a table, .tsv or .csv', got, fix: 'leave it out' });
}

async function all<T>(examples: AsyncIterable<T>, path: string): Promise<T[]> {
  const list: T[] = [];
  for await (const example of examples) list.push(example);
  if (list.length > 0) return list;
  throw new InputError({ what: path, expected: 'at least one example', got: 'none' });
}

type TableReader<T> = (
  source: Uint8Array,
  options: { format: TableFormat; name: string; columns?: string[] },
) => AsyncIterable<T>;

async function table<T>({ path, columns }: DataFile, io: Io, read: TableReader<T>): Promise<T[]> {
  const format = formatOf(path);
  if (format === 'txt') {
    throw new UsageError({
      what: path,
      expected: '.tsv, .csv or .jsonl',
      got: 'plain text',
      fix: 'give texts with their labels',
    });
  }
  return all(read(await io.readFile(path), { format, name: path, ...(columns && { columns }) }), path);
}

const sorted = (labels: readonly string[]): string[] => [...new Set(labels)].sort();

/**
 * Labels of a new head: those of the model when it has names for all that the data has, else those of the data. A regression
 * has one.
 */
export async function labelsFor(
  files: ModelFiles,
  task: string,
  wanted: readonly string[],
): Promise<readonly string[]> {
  const { id2label } = await readAnyConfig(files);
  if (task === 'regression') return id2label.length === 1 ? id2label : wanted;
  return wanted.every((label) => id2label.includes(label)) ? id2label : wanted;
}

/** Texts alone, to learn a teacher's vectors of: a line each; or pairs with a score, as for the task. */
export async function readTexts(file: DataFile, io: Io): Promise<SimilarityExample[]> {
  if (formatOf(file.path) !== 'txt') return similarity.read(file, io);
  const documents = await mlm.read(file, io);
  return documents.flat().map((text) => ({ texts: [text] }));
}

/** A metric as it is printed. */
export function shown(metrics: Metrics): string {
  return Object.entries(metrics)
    .map(([name, value]) => `${name} ${Number(value.toFixed(4))}`)
    .join('  ');
}

/** What a training came to: a line. */
export function outcome(output: string, { steps, best }: TrainingResult, json: boolean | undefined): string {
  if (json) return jsonLine({ output, steps, ...best });
  return `${[`${output}: ${steps} step${steps === 1 ? '' : 's'}`, ...(best ? [shown(best)] : [])].join('  ')}\n`;
}

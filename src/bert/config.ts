import { ConfigError, expectOptions, show } from '../errors.ts';
import { nameOf, readObject, type ModelFiles } from '../hub/index.ts';
import { isActivationName, type ActivationName } from '../tensor/index.ts';
import { bert } from './families/bert.ts';
import { positionsOf, type Family } from './families/family.ts';
import { checkQuantizationConfig } from './quantization.ts';

/** The sizes and choices of a BERT model, under transformers' names in camelCase. */
export interface BertConfigOptions {
  vocabSize: number;
  hiddenSize: number;
  numHiddenLayers: number;
  numAttentionHeads: number;
  /** Columns of a head. null, as everywhere but in models whose heads were pruned, means `hiddenSize` / `numAttentionHeads`. */
  attentionHeadSize: number | null;
  intermediateSize: number;
  hiddenAct: ActivationName;
  hiddenDropoutProb: number;
  attentionProbsDropoutProb: number;
  /** Longest sequence that the position table serves. */
  maxPositionEmbeddings: number;
  typeVocabSize: number;
  /** Standard deviation of untrained matrices. */
  initializerRange: number;
  layerNormEps: number;
  padTokenId: number | null;
  /** Dropout before a classifier; null means `hiddenDropoutProb`. */
  classifierDropout: number | null;
  /** Whether the masked-language-model head uses the word embeddings as its output matrix. */
  tieWordEmbeddings: boolean;
  /** Label names by class number. Its length is the number of labels. */
  id2label: readonly string[];
  problemType: string | null;
  /** Class names of the checkpoint, such as `BertForTokenClassification`. */
  architectures: readonly string[];
}

type Key = keyof BertConfigOptions;
/** What a value of config.json must be. */
export type Check = readonly [expected: string, holds: (value: unknown) => boolean];

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
export const wholeNumber = (least: number, most: number): Check => [
  `a whole number from ${least} to ${most}`,
  (v) => Number.isSafeInteger(v) && (v as number) >= least && (v as number) <= most,
];
/** More than any model has, and few enough to count with. */
export const count = wholeNumber(1, 2 ** 24);
/** Numbers that 4 GiB hold, all that WebAssembly addresses. */
const LARGEST_MATRIX = 2 ** 30;
const rowCounts = ['hiddenSize', 'vocabSize', 'intermediateSize', 'maxPositionEmbeddings', 'typeVocabSize'] as const;
export const probability: Check = ['a probability from 0 to 1', (v) => isNumber(v) && v >= 0 && v <= 1];
const names: Check = ['a list of names', (v) => Array.isArray(v) && v.every((name) => typeof name === 'string')];
export const activation: Check = ['the name of an activation, such as "gelu"', isActivationName];
export const flag: Check = ['true or false', (v) => typeof v === 'boolean'];
export const tokenId: Check = ['a token id', (v) => Number.isSafeInteger(v) && (v as number) >= 0];
export const orNull = ([expected, holds]: Check): Check => [`${expected}, or null`, (v) => v === null || holds(v)];

const PROBLEM_TYPES: readonly unknown[] = ['regression', 'single_label_classification', 'multi_label_classification'];
const problemType: Check = [PROBLEM_TYPES.join(', '), (v) => PROBLEM_TYPES.includes(v)];

/** Every option: its default, and what it must be. */
const fields: { [K in Key]: readonly [value: BertConfigOptions[K], check: Check] } = {
  vocabSize: [30522, count],
  hiddenSize: [768, count],
  numHiddenLayers: [12, wholeNumber(1, 1000)],
  numAttentionHeads: [12, count],
  attentionHeadSize: [null, orNull(count)],
  intermediateSize: [3072, count],
  hiddenAct: ['gelu', activation],
  hiddenDropoutProb: [0.1, probability],
  attentionProbsDropoutProb: [0.1, probability],
  maxPositionEmbeddings: [512, count],
  typeVocabSize: [2, count],
  initializerRange: [0.02, ['a number above 0', (v) => isNumber(v) && v > 0]],
  layerNormEps: [1e-12, ['a number of at least 0', (v) => isNumber(v) && v >= 0]],
  padTokenId: [0, orNull(tokenId)],
  classifierDropout: [null, orNull(probability)],
  tieWordEmbeddings: [true, flag],
  id2label: [
    ['LABEL_0', 'LABEL_1'],
    ['label names by class number', names[1]],
  ],
  problemType: [null, orNull(problemType)],
  architectures: [[], names],
};

/** The key of an option in config.json: `hidden_size` of `hiddenSize`. */
const jsonKeyOf = (option: Key) => option.replace(/[A-Z]/g, (capital) => `_${capital.toLowerCase()}`);

/** What a checkpoint may ask for that would change the numbers, and that this library does not do. */
const unsupported: readonly (readonly [jsonKey: string, supported: unknown])[] = [
  ['position_embedding_type', 'absolute'],
  ['is_decoder', false],
  ['add_cross_attention', false],
];

interface Field {
  /** In config.json; null for an option that the family does not have. */
  jsonKey: string | null;
  check: Check;
  default: unknown;
}

/** The options of a family: BERT's, renamed and with other defaults, and its own. */
function fieldsOf({ config: { keys = {}, defaults: own = {}, extra = {} } = {} }: Family): Map<string, Field> {
  const all = new Map<string, Field>();
  for (const option of Object.keys(fields) as Key[]) {
    const [value, check] = fields[option];
    const { [option]: jsonKey = jsonKeyOf(option) } = keys;
    all.set(option, { jsonKey, check, default: own[option] === undefined ? value : own[option] });
  }
  for (const [option, [jsonKey, check, value]] of Object.entries(extra)) {
    all.set(option, { jsonKey, check, default: value });
  }
  return all;
}

/** A config class: BertConfig, or that of another family. */
export interface ConfigClass<C extends BertConfig = BertConfig> {
  new (options?: Partial<BertConfigOptions>, file?: string): C;
  readonly family: Family;
  fromJSON<C extends BertConfig>(this: ConfigClass<C>, json: unknown, source?: string): C;
}

// The class has every option as a field: declared once, as an interface, and assigned in one loop.
/* eslint-disable @typescript-eslint/no-unsafe-declaration-merging */
export interface BertConfig extends Readonly<BertConfigOptions> {
  /** Columns of the embedding tables: `hiddenSize`, unless the family factorizes them. */
  readonly embeddingSize: number;
}

export class BertConfig {
  /* eslint-enable */
  static readonly family: Family = bert;

  /**
   * @param options what differs from the defaults, BERT-base's
   * @param file    the config.json they come from, whose keys errors name
   * @throws ConfigError naming the first option that is unknown or out of its range
   */
  constructor(options: Partial<BertConfigOptions> = {}, file?: string) {
    const all = fieldsOf(this.family);
    const source = file ?? this.constructor.name;
    const nameIn = (key: string) => (file === undefined ? key : all.get(key)!.jsonKey);
    const known = [...all.keys()].filter((key) => all.get(key)!.jsonKey !== null);
    expectOptions(source, options, known, `give the content of a config.json to ${this.constructor.name}.fromJSON`);
    for (const [key, field] of all) {
      const { [key]: value = field.default } = options as Record<string, unknown>;
      const [expected, holds] = field.check;
      if (field.jsonKey !== null && !holds(value)) {
        throw new ConfigError({ what: `${source}: ${nameIn(key)}`, expected, got: show(value) });
      }
      Object.assign(this, { [key]: value });
    }
    Object.assign(this, { embeddingSize: this.embeddingSize ?? this.hiddenSize });
    if (this.attentionSize === this.hiddenSize) Object.assign(this, { attentionHeadSize: null }); // nothing was pruned
    if (this.attentionHeadSize === null && this.hiddenSize % this.numAttentionHeads !== 0) {
      throw new ConfigError({
        what: `${source}: ${nameIn('hiddenSize')}`,
        expected: `a multiple of ${nameIn('numAttentionHeads')}, ${this.numAttentionHeads}`,
        got: `${this.hiddenSize}`,
      });
    }
    for (const key of rowCounts) {
      const most = Math.floor(LARGEST_MATRIX / this.hiddenSize);
      if (this[key] <= most) continue;
      const expected = `at most ${most}, for matrices of ${nameIn('hiddenSize')} ${this.hiddenSize} that fit into memory`;
      throw new ConfigError({ what: `${source}: ${nameIn(key)}`, expected, got: `${this[key]}` });
    }
    if (this.padTokenId !== null && this.padTokenId >= this.vocabSize) {
      throw new ConfigError({
        what: `${source}: ${nameIn('padTokenId')}`,
        expected: `less than ${nameIn('vocabSize')}, ${this.vocabSize}`,
        got: `${this.padTokenId}`,
      });
    }
  }

  /** What makes the model differ from BERT. */
  get family(): Family {
    return (this.constructor as ConfigClass).family;
  }

  /** The same model for other classes. */
  withLabels(labels: readonly string[]): this {
    const isOtherHead = labels.length !== this.numLabels; // whose loss may be another
    return this.with({ id2label: [...labels], ...(isOtherHead && { problemType: null }) });
  }

  /** A copy with some options changed, which are not checked. */
  with(changes: Partial<BertConfigOptions>): this {
    const copy = Object.create(Object.getPrototypeOf(this) as object) as this;
    return Object.assign(copy, this, changes);
  }

  /** Columns of all heads together. */
  get attentionSize(): number {
    const { attentionHeadSize, numAttentionHeads, hiddenSize } = this;
    return attentionHeadSize === null ? hiddenSize : attentionHeadSize * numAttentionHeads;
  }

  get numLabels(): number {
    return this.id2label.length;
  }

  /** Tokens of the longest sequence that the position table serves. */
  get maxSequenceLength(): number {
    return this.maxPositionEmbeddings - (positionsOf(this)?.first(this) ?? 0);
  }

  /**
   * From the content of a `config.json`; the only place that reads its snake_case. Keys that change nothing here are ignored.
   *
   * @throws ConfigError for a value out of its range, or a feature that is not supported
   */
  static fromJSON<C extends BertConfig>(this: ConfigClass<C>, json: unknown, source = 'config.json'): C {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) {
      throw new ConfigError({ what: source, expected: 'a JSON object', got: show(json) });
    }
    const values = json as Record<string, unknown>;
    const { modelType, config: { only = [], aliases = {} } = {} } = this.family;
    for (const [key, supported] of [['model_type', modelType] as const, ...unsupported, ...only]) {
      const value = values[key] ?? supported;
      if (value !== supported) {
        throw new ConfigError({ what: `${source}: ${key}`, expected: show(supported), got: show(value) });
      }
    }
    const options: Record<string, unknown> = {};
    for (const [key, { jsonKey, check }] of fieldsOf(this.family)) {
      if (jsonKey === null) continue;
      const [, holds] = check;
      const value = values[[jsonKey, ...(aliases[key] ?? [])].find((name) => values[name] !== undefined) ?? jsonKey];
      if (value !== null || holds(null)) options[key] = value; // a null that means nothing is as good as absent
    }
    options.id2label = readLabels(values, source);
    return new this(options, source);
  }

  /** The content of a `config.json` that this library and transformers read back. */
  toJSON(): Record<string, unknown> {
    const json: Record<string, unknown> = { model_type: this.family.modelType };
    for (const [key, { jsonKey }] of fieldsOf(this.family)) {
      if (jsonKey !== null) json[jsonKey] = (this as unknown as Record<string, unknown>)[key];
    }
    if (this.attentionHeadSize === null) {
      delete json.attention_head_size; // which transformers does not know
      delete json.head_dim; // and which it works out
    }
    json.id2label = Object.fromEntries(this.id2label.map((label, id) => [id, label]));
    json.label2id = Object.fromEntries(this.id2label.map((label, id) => [label, id]));
    return json;
  }
}

/** `id2label` is an object keyed "0", "1", …; old files give `num_labels` instead. */
function readLabels(values: Record<string, unknown>, source: string): unknown {
  const labels = values.id2label;
  if (labels === undefined || labels === null) {
    const number = values.num_labels ?? fields.id2label[0].length;
    const [expected, holds] = wholeNumber(1, 1e6);
    if (!holds(number)) throw new ConfigError({ what: `${source}: num_labels`, expected, got: show(number) });
    return Array.from({ length: number as number }, (_, i) => `LABEL_${i}`);
  }
  if (typeof labels !== 'object') return labels;
  const number = Object.keys(labels).length;
  const list = Array.from({ length: number }, (_, id) => (labels as Record<string, unknown>)[id]);
  const gap = list.findIndex((label) => label === undefined);
  if (gap >= 0) {
    throw new ConfigError({
      what: `${source}: id2label`,
      expected: `a label for each class from 0 to ${number - 1}`,
      got: `none for ${gap}`,
    });
  }
  return list;
}

/**
 * @param choose the config class for the content of config.json
 * @throws FileError if there is no config.json; ConfigError if it is malformed, of another family, or of weights in another
 *         format
 */
export async function readConfig<C extends BertConfig>(
  files: ModelFiles,
  choose: (json: Record<string, unknown>, name: string) => ConfigClass<C>,
): Promise<C> {
  const json = await readObject(files, 'config.json', 'the config of a model');
  const name = nameOf(files, 'config.json');
  const config = choose(json, name).fromJSON(json, name);
  checkQuantizationConfig(json.quantization_config ?? null, name);
  return config;
}

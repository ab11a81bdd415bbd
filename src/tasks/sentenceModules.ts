import { openCheckpoint } from '../bert/index.ts';
import { ConfigError, show } from '../errors.ts';
import { filesBelow, nameOf, readJson, readObject, readObjectIfAny, type ModelFiles } from '../hub/index.ts';
import { Linear, Weights } from '../layers/index.ts';
import { normalizeRows, type Engine, type Pooling, type Tensor } from '../tensor/index.ts';

/** sentence-transformers' names of the ways in which token vectors become one vector. */
export type PoolingMode = 'cls' | 'max' | 'mean' | 'mean_sqrt_len_tokens' | 'weightedmean' | 'lasttoken';

export const poolings: Readonly<Record<PoolingMode, Pooling>> = {
  cls: 'first',
  max: 'max',
  mean: 'mean',
  mean_sqrt_len_tokens: 'meanSqrtLength',
  weightedmean: 'weightedMean',
  lasttoken: 'last',
};

const STATIC = 'StaticEmbedding';
const MODULE_CONFIG = 'the config of a module that modules.json names';

/** What comes after the encoder in a sentence-transformers model. */
export interface SentenceModules {
  /** Several modes give vectors that are put side by side. */
  pooling: PoolingMode[];
  /** Steps after pooling, [sequences, in] → [sequences, out] each, without the last normalization. */
  steps: ((x: Tensor) => Tensor)[];
  /** Whether the vectors end with length 1. */
  normalize: boolean;
  /** Most tokens of a text, special ones included; null when the model sets none. */
  maxSeqLength: number | null;
  lowerCase: boolean;
  /** Put before every text, or the first of a pair. */
  prompt: string;
  /** Whether vectors of tokens are looked up (StaticEmbedding, model2vec), not computed by an encoder. */
  isStatic: boolean;
}

/** Where the encoder and its tokenizer are: the model's own folder, or, in old models, one inside, `0_Transformer`. */
export async function transformerFiles(files: ModelFiles): Promise<ModelFiles> {
  return filesBelow(files, (await readModules(files))?.[0].path ?? '');
}

/**
 * Reads `modules.json` and what it names, as sentence-transformers does. Without that file the encoder's vectors are
 * averaged and normalized.
 *
 * @throws ConfigError for a module that this library does not know, or one out of place
 */
export async function readSentenceModules(files: ModelFiles, engine: Engine): Promise<SentenceModules> {
  const modules = await readModules(files);
  const { maxSeqLength, lowerCase } = await readTransformerConfig(filesBelow(files, modules?.[0].path ?? ''));
  const prompt = await readPrompt(files);
  const config = modules ? {} : await readObjectIfAny(files, 'config.json');
  const isStatic = modules ? modules[0].type === STATIC : config?.model_type === 'model2vec';
  const result: SentenceModules = {
    pooling: ['mean'],
    steps: [],
    normalize: !isStatic || config?.normalize === true,
    maxSeqLength,
    lowerCase,
    prompt,
    isStatic,
  };
  if (modules === undefined) return result;

  const rest = modules.slice(isStatic ? 1 : 2);
  if (!isStatic) result.pooling = await readPooling(filesBelow(files, modules[1].path), prompt);
  result.normalize = rest.at(-1)?.type === 'Normalize';
  for (const { type, path } of result.normalize ? rest.slice(0, -1) : rest) {
    if (type === 'Normalize') result.steps.push(normalizeRows);
    else if (type === 'Dense') result.steps.push(await readDense(filesBelow(files, path), engine));
    else {
      throw new ConfigError({
        what: `${nameOf(files, 'modules.json')}: module ${type}`,
        expected: `Dense or Normalize after the ${isStatic ? STATIC : 'Pooling'}`,
        got: type,
        fix: 'use a model without this module: its vectors would be wrong without it',
      });
    }
  }
  return result;
}

interface SentenceModule {
  type: string;
  path: string;
}

/** What modules.json lists: first a Transformer, second a Pooling, or first a StaticEmbedding; undefined when there is no such file. */
async function readModules(files: ModelFiles): Promise<SentenceModule[] | undefined> {
  const list = await readJson(files, 'modules.json');
  if (list === undefined) return undefined;
  const what = nameOf(files, 'modules.json');
  if (!Array.isArray(list)) throw new ConfigError({ what, expected: 'a list of modules', got: show(list) });
  const modules = list.map((module, i) => readModule(module, `${what}[${i}]`));
  const types = [0, 1].map((i) => modules[i]?.type ?? 'nothing').join(', then ');
  if (types === 'Transformer, then Pooling' || modules[0]?.type === STATIC) return modules;
  throw new ConfigError({ what, expected: `a ${STATIC}, or a Transformer, then a Pooling`, got: types });
}

function readModule(module: unknown, what: string): SentenceModule {
  const { type, path } = (module ?? {}) as { type?: unknown; path?: unknown };
  if (typeof type !== 'string' || typeof path !== 'string') {
    throw new ConfigError({ what, expected: 'an object with type and path', got: show(module) });
  }
  // sentence_transformers.models.Pooling, or a longer path in newer files; other packages' modules keep their full name.
  const own = /^sentence_transformers\.(?:.*\.)?(\w+)$/.exec(type);
  return { type: own ? own[1] : type, path: path === '.' ? '' : path };
}

async function readPooling(files: ModelFiles, prompt: string): Promise<PoolingMode[]> {
  const file = nameOf(files, 'config.json');
  const config = await readObject(files, 'config.json', MODULE_CONFIG);
  if (config.include_prompt === false && prompt !== '') {
    throw new ConfigError({
      what: `${file}: include_prompt`,
      expected: 'true, for a model with a prompt',
      got: 'false',
    });
  }
  const old: [key: string, mode: PoolingMode][] = [
    ['pooling_mode_cls_token', 'cls'],
    ['pooling_mode_max_tokens', 'max'],
    ['pooling_mode_mean_tokens', 'mean'],
    ['pooling_mode_mean_sqrt_len_tokens', 'mean_sqrt_len_tokens'],
    ['pooling_mode_weightedmean_tokens', 'weightedmean'],
    ['pooling_mode_lasttoken', 'lasttoken'],
  ];
  const flagged = old.filter(([key]) => config[key] === true).map(([, mode]) => mode);
  const modes = [config.pooling_mode ?? (flagged.length > 0 ? flagged : 'mean')].flat();
  for (const mode of modes) {
    if (typeof mode !== 'string' || !Object.hasOwn(poolings, mode)) {
      throw new ConfigError({
        what: `${file}: pooling_mode`,
        expected: Object.keys(poolings).join(', '),
        got: show(mode),
      });
    }
  }
  if (modes.length === 0) throw new ConfigError({ what: file, expected: 'a pooling mode', got: 'none' });
  return modes as PoolingMode[];
}

/** A linear layer and its activation on a sentence's vector, sentence-transformers' Dense. */
async function readDense(files: ModelFiles, engine: Engine): Promise<(x: Tensor) => Tensor> {
  const config = await readObject(files, 'config.json', MODULE_CONFIG);
  const { checkDense } = await import('./denseConfig.ts'); // few models have one
  const { inFeatures, outFeatures, bias, activation } = checkDense(config, nameOf(files, 'config.json'));
  const checkpoint = await openCheckpoint(files, engine, 'auto', null);
  try {
    const linear = new Linear(new Weights(checkpoint, 'linear'), inFeatures, outFeatures, { bias });
    checkpoint.report();
    await checkpoint.fill();
    return (x) => linear.forward(x, activation);
  } finally {
    await checkpoint.close();
  }
}

async function readTransformerConfig(files: ModelFiles): Promise<{ maxSeqLength: number | null; lowerCase: boolean }> {
  const config = (await readObjectIfAny(files, 'sentence_bert_config.json')) ?? {};
  const { max_seq_length: length = null, do_lower_case: lowerCase = false } = config;
  const what = nameOf(files, 'sentence_bert_config.json');
  if (length !== null && !(Number.isSafeInteger(length) && (length as number) >= 1)) {
    throw new ConfigError({
      what: `${what}: max_seq_length`,
      expected: 'a number of tokens, or null',
      got: show(length),
    });
  }
  if (typeof lowerCase !== 'boolean') {
    throw new ConfigError({ what: `${what}: do_lower_case`, expected: 'true or false', got: show(lowerCase) });
  }
  return { maxSeqLength: length as number | null, lowerCase };
}

/** The prompt that the model wants before every text, when it names a default one; else ''. */
async function readPrompt(files: ModelFiles): Promise<string> {
  const config = (await readObjectIfAny(files, 'config_sentence_transformers.json')) ?? {};
  const name = config.default_prompt_name ?? null;
  if (name === null) return '';
  const prompts = Object.entries(config.prompts ?? {}) as [string, unknown][];
  const prompt = prompts.find(([key]) => key === name)?.[1];
  if (typeof prompt === 'string') return prompt;
  const what = `${nameOf(files, 'config_sentence_transformers.json')}: default_prompt_name`;
  throw new ConfigError({ what, expected: 'the name of one of its prompts', got: show(name) });
}

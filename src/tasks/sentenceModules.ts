import { openCheckpoint } from '../bert/index.ts';
import { ConfigError, show } from '../errors.ts';
import { readJson, readObject, type ModelFiles } from '../hub/index.ts';
import { Linear, Weights } from '../layers/index.ts';
import { normalizeRows, type ActivationName, type Engine, type Pooling, type Tensor } from '../tensor/index.ts';

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
  /** Put before every text. */
  prompt: string;
}

/**
 * Reads `modules.json` and what it names, as sentence-transformers does. Without that file the encoder's vectors are
 * averaged and normalized.
 *
 * @throws ConfigError for a module that this library does not know, or one out of place
 */
export async function readSentenceModules(files: ModelFiles, engine: Engine): Promise<SentenceModules> {
  const file = `${files.location}/modules.json`;
  const { maxSeqLength, lowerCase } = await readTransformerConfig(files);
  const prompt = await readPrompt(files);
  const result: SentenceModules = { pooling: ['mean'], steps: [], normalize: true, maxSeqLength, lowerCase, prompt };
  const modules = await readJson(files, 'modules.json');
  if (modules === undefined) return result;
  if (!Array.isArray(modules)) throw new ConfigError({ what: file, expected: 'a list of modules', got: show(modules) });

  const [first, second, ...rest] = modules.map((module, i) => readModule(module, `${file}[${i}]`));
  if (first?.type !== 'Transformer' || second?.type !== 'Pooling') {
    throw new ConfigError({
      what: file,
      expected: 'a Transformer, then a Pooling',
      got: `${first?.type ?? 'nothing'}, then ${second?.type ?? 'nothing'}`,
    });
  }
  result.pooling = await readPooling(files, second.path);
  result.normalize = rest.at(-1)?.type === 'Normalize';
  for (const { type, path } of result.normalize ? rest.slice(0, -1) : rest) {
    if (type === 'Normalize') result.steps.push(normalizeRows);
    else if (type === 'Dense') result.steps.push(await readDense(files, path, engine));
    else {
      throw new ConfigError({
        what: `${file}: module ${type}`,
        expected: 'Dense or Normalize after the Pooling',
        got: type,
        fix: 'use a model without this module: its vectors would be wrong without it',
      });
    }
  }
  return result;
}

function readModule(module: unknown, what: string): { type: string; path: string } {
  const { type, path } = (module ?? {}) as { type?: unknown; path?: unknown };
  if (typeof type !== 'string' || typeof path !== 'string') {
    throw new ConfigError({ what, expected: 'an object with type and path', got: show(module) });
  }
  // sentence_transformers.models.Pooling, or a longer path in newer files; other packages' modules keep their full name.
  const own = /^sentence_transformers\.(?:.*\.)?(\w+)$/.exec(type);
  return { type: own ? own[1] : type, path };
}

async function readPooling(files: ModelFiles, path: string): Promise<PoolingMode[]> {
  const file = `${files.location}/${path}/config.json`;
  const config = await readObject(files, `${path}/config.json`, MODULE_CONFIG);
  if (config.include_prompt === false) {
    throw new ConfigError({ what: `${file}: include_prompt`, expected: 'true', got: 'false' });
  }
  const old: [key: string, mode: PoolingMode][] = [
    ['pooling_mode_cls_token', 'cls'],
    ['pooling_mode_max_tokens', 'max'],
    ['pooling_mode_mean_tokens', 'mean'],
    ['pooling_mode_mean_sqrt_len_tokens', 'mean_sqrt_len_tokens'],
    ['pooling_mode_weightedmean_tokens', 'weightedmean'],
    ['pooling_mode_lasttoken', 'lasttoken'],
  ];
  const modes = config.pooling_mode
    ? [config.pooling_mode].flat()
    : old.filter(([key]) => config[key] === true).map(([, mode]) => mode);
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

/** PyTorch's class names of the activations that Dense modules are saved with. */
const denseActivations: Record<string, ActivationName> = {
  Tanh: 'tanh',
  Identity: 'linear',
  ReLU: 'relu',
  GELU: 'gelu',
  SiLU: 'silu',
  Sigmoid: 'sigmoid',
};

async function readDense(files: ModelFiles, path: string, engine: Engine): Promise<(x: Tensor) => Tensor> {
  const file = `${files.location}/${path}/config.json`;
  const config = await readObject(files, `${path}/config.json`, MODULE_CONFIG);
  const { in_features: inFeatures, out_features: outFeatures, bias = true } = config;
  if (!Number.isSafeInteger(inFeatures) || !Number.isSafeInteger(outFeatures) || typeof bias !== 'boolean') {
    throw new ConfigError({ what: file, expected: 'in_features, out_features and bias', got: show(config) });
  }
  for (const key of ['module_input_name', 'module_output_name']) {
    const name = config[key] ?? 'sentence_embedding';
    if (name !== 'sentence_embedding') {
      throw new ConfigError({ what: `${file}: ${key}`, expected: '"sentence_embedding"', got: show(name) });
    }
  }
  const className =
    config.activation_function === undefined ? 'Tanh' : String(config.activation_function ?? 'Identity');
  const activation = denseActivations[className.replace(/^torch\..*\./, '')];
  if (activation === undefined) {
    const expected = `one of ${Object.keys(denseActivations).join(', ')}`;
    throw new ConfigError({ what: `${file}: activation_function`, expected, got: className });
  }
  const folder: ModelFiles = {
    location: `${files.location}/${path}`,
    read: (name) => files.read(`${path}/${name}`),
  };
  const checkpoint = await openCheckpoint(folder, engine, 'auto', null);
  const linear = new Linear(new Weights(checkpoint, 'linear'), inFeatures as number, outFeatures as number, { bias });
  checkpoint.report();
  await checkpoint.fill();
  return (x) => linear.forward(x, activation);
}

async function readTransformerConfig(files: ModelFiles): Promise<{ maxSeqLength: number | null; lowerCase: boolean }> {
  const config = (await readJson(files, 'sentence_bert_config.json')) ?? {};
  const { max_seq_length: length = null, do_lower_case: lowerCase = false } = config as Record<string, unknown>;
  const what = `${files.location}/sentence_bert_config.json`;
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

/** The prompt that the model wants before every text, when it names a default one. */
async function readPrompt(files: ModelFiles): Promise<string> {
  const config = ((await readJson(files, 'config_sentence_transformers.json')) ?? {}) as Record<string, unknown>;
  const name = config.default_prompt_name ?? null;
  if (name === null) return '';
  const prompt = (config.prompts as Record<string, unknown> | undefined)?.[String(name)];
  if (typeof prompt === 'string') return prompt;
  const what = `${files.location}/config_sentence_transformers.json: default_prompt_name`;
  throw new ConfigError({ what, expected: 'the name of one of its prompts', got: show(name) });
}

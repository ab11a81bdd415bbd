import {
  loadAnyModel,
  loadWithAdapter,
  modelInputs,
  type AnyOutput,
  type BertPreTrainedModel,
  type LoadOptions,
  type PredictionOptions,
} from '../bert/index.ts';
import { CheckpointError, ConfigError, show } from '../errors.ts';
import { nameOf, openFiles, readJson, readObject, type ModelLocation } from '../hub/index.ts';
import type { FloatArray, Tensor } from '../tensor/index.ts';
import { AutoTokenizer, type Encoding, type Tokenizer } from '../tokenizer/index.ts';

/** A model, and the tokenizer that belongs to it. */
export interface TaskModel {
  model: BertPreTrainedModel;
  tokenizer: Tokenizer;
  /** Class numbers by name, where a config gives them beside the names by number. */
  label2id?: Readonly<Record<string, number>>;
}

export interface TaskOptions extends LoadOptions {
  /** A LoRA adapter in PEFT's format, with the head that the task needs: its `config.json` names the class and the labels. */
  adapter?: ModelLocation;
}

/** What a task needs on top of the encoder. */
export type Head = 'ForSequenceClassification' | 'ForTokenClassification' | 'ForQuestionAnswering' | 'ForMaskedLM';

/** The model classes by the end of their name, and what they are good for. ELECTRA's pretraining has no words to offer. */
const classes: [name: RegExp, serves: string, head?: Head][] = [
  [/ForSequenceClassification$/, 'text-classification, zero-shot-classification, rerank', 'ForSequenceClassification'],
  [/ForTokenClassification$/, 'token-classification', 'ForTokenClassification'],
  [/ForQuestionAnswering$/, 'question-answering', 'ForQuestionAnswering'],
  [/ForMaskedLM$|^(?!Electra).*ForPreTraining$/, 'fill-mask', 'ForMaskedLM'],
  [/Model$/, 'feature-extraction, sentence-similarity, search, extractive-summarization'],
];

/**
 * Loads the model and the tokenizer for a task that needs a head.
 *
 * @throws ConfigError if the checkpoint has another one, or none; see `fromPretrained` for the rest
 */
export async function loadTask(
  task: string,
  head: Head,
  location: ModelLocation,
  { adapter, ...options }: TaskOptions = {},
): Promise<TaskModel> {
  const files = openFiles(location);
  const adapterFiles = adapter === undefined ? undefined : openFiles(adapter);
  // An adapter of PEFT's own comes without a config.json: then the model must have the head.
  const named = adapterFiles && (await readJson(adapterFiles, 'config.json')) !== undefined ? adapterFiles : files;
  const { architectures, label2id } = await readObject(named, 'config.json', 'the config of a model');
  const names: readonly unknown[] = Array.isArray(architectures) ? architectures : [];
  const name = names.length > 0 ? String(names[0]) : 'no class in "architectures"';
  const found = classes.find(([pattern]) => pattern.test(name));
  if (found?.[2] !== head) {
    const serves = found ? `, which serves ${found[1]}` : '';
    throw new ConfigError({
      what: `${task}: ${nameOf(named, 'config.json')}`,
      expected: `a model …${head}`,
      got: `${name}${serves}`,
      fix: 'use a checkpoint that was trained for this task',
    });
  }
  const model = adapterFiles ? await loadWithAdapter(files, adapterFiles, options) : await loadAnyModel(files, options);
  const tokenizer = await AutoTokenizer.fromPretrained(files);
  const isObject = typeof label2id === 'object' && label2id !== null;
  return { model, tokenizer, ...(isObject && { label2id: label2id as Record<string, number> }) };
}

/** Most tokens that the model reads: what its tokenizer says, or its position table. */
export function maxLengthOf({ model, tokenizer }: TaskModel): number {
  return Math.min(tokenizer.modelMaxLength, model.config.maxSequenceLength);
}

/** @throws ConfigError unless the tokenizer is one for this model */
export function expectTokenizer({ model, tokenizer }: TaskModel): void {
  const { vocabSize } = model.config;
  if (tokenizer.vocabSize <= vocabSize) return;
  throw new ConfigError({
    what: 'tokenizer',
    expected: `at most ${vocabSize} tokens, as the model has embeddings for`,
    got: `${tokenizer.vocabSize}`,
    fix: 'use the tokenizer that belongs to this model',
  });
}

/** Runs the model on windows, takes what is wanted of its output, and gives back the memory. */
export function forwardWindows<T>(
  { model }: { model: Parameters<typeof modelInputs>[0] & Pick<BertPreTrainedModel, 'engine' | 'forward'> },
  windows: readonly Encoding[],
  read: (output: AnyOutput) => T[],
  options: PredictionOptions = {},
): T[] {
  return model.engine.scope(() => {
    const output: AnyOutput = model.forward(modelInputs(model, windows), options);
    return read(output);
  });
}

/** A copy of each sequence's logits: [labels]. @throws CheckpointError if one is not finite */
export function sequenceLogits({ batch, logits, logitsPer }: AnyOutput): FloatArray[] {
  const { data, shape } = expectOutput('logits of sequences', logitsPer === 'sequence' ? logits : undefined);
  expectFinite(data);
  return Array.from({ length: batch.size }, (_, s) => data.slice(s * shape[1], (s + 1) * shape[1]));
}

/** A copy of each sequence's rows, one per token: [tokens][columns]. @throws CheckpointError if a number is not finite */
export function tokenRows({ batch }: AnyOutput, x: Tensor): FloatArray[][] {
  const { data, shape } = x;
  expectFinite(data);
  const size = shape.length > 1 ? shape[1] : 1;
  return Array.from({ length: batch.size }, (_, s) =>
    Array.from({ length: batch.lengthOf(s) }, (_, i) => {
      const row = batch.offsets[s] + i;
      return data.slice(row * size, (row + 1) * size);
    }),
  );
}

/** @throws CheckpointError if what a model says is no number, or more than any */
export function expectFinite(output: FloatArray): void {
  const bad = output.find((x) => !Number.isFinite(x));
  if (bad === undefined) return;
  throw new CheckpointError({
    what: 'output of the model',
    expected: 'finite numbers',
    got: `${bad}`,
    fix: 'check the weights of the model: they, or the activations they lead to, overflow',
  });
}

/** @throws ConfigError if a model that was given to a task does not have the head for it */
export function expectOutput(what: string, output: Tensor | undefined): Tensor {
  if (output !== undefined) return output;
  throw new ConfigError({ what: 'model', expected: `one that gives ${what}`, got: show('none'), fix: 'use another' });
}

import type { Command } from 'commander';
import type { BertPreTrainedModel, LoadOptions } from '../bert/index.ts';
import { UsageError } from '../errors.ts';
import { Engine, type FloatType } from '../tensor/index.ts';
import { note, type Io } from './io.ts';
import { listed } from './output.ts';
import { oneOf, wholeNumber } from './values.ts';

/** The flags that every command takes. */
export interface ModelFlags {
  model?: string;
  /** Of the commands that take it. */
  adapter?: string;
  dtype: 'auto' | 'f32' | 'q8';
  threads: number | 'auto';
  turbo?: boolean;
  kernels: 'auto' | 'simd' | 'reference';
  json?: boolean;
}

export function addModelOptions(command: Command): Command {
  return command
    .option('--model <dir>', 'folder or address of a model (default: the one shipped with the package)')
    .option('--dtype <type>', 'weights: auto (as stored), f32 or q8', oneOf('--dtype', ['auto', 'f32', 'q8']), 'auto')
    .option('--threads <n>', 'threads, or auto: one per core', parseThreads, 'auto')
    .option('--turbo', 'ask V8 for 256-bit vectors (Node 24 and later) or fused multiply-add (Node 20)')
    .option('--kernels <set>', 'auto, simd or reference', oneOf('--kernels', ['auto', 'simd', 'reference']), 'auto')
    .option('--json', 'print JSON, one object per line');
}

/** Of the commands that can do with one. */
export function addAdapterOption(command: Command): Command {
  return command.option('--adapter <dir>', "folder or address of a LoRA adapter in PEFT's format, with its head");
}

/**
 * @param usual name of the shipped adapter to take when neither a model nor an adapter is given
 * @returns undefined when there is none to load
 */
export async function adapterLocation(
  { model, adapter }: ModelFlags,
  io: Io,
  usual?: string,
): Promise<string | undefined> {
  if (adapter === '') throw new UsageError({ what: '--adapter', expected: 'a folder or an address', got: 'nothing' });
  if (adapter !== undefined) return resolved(adapter, io);
  if (usual === undefined || model !== undefined || io.shippedAdapters === undefined) return undefined;
  const folder = `${io.shippedAdapters}/${usual}`;
  return (await io.exists(`${folder}/adapter_config.json`)) ? folder : undefined;
}

const resolved = (location: string, io: Io) =>
  /^[a-z][a-z0-9+.-]+:\/\//i.test(location) ? location : io.resolve(location);

function parseThreads(text: string): number | 'auto' {
  return text === 'auto' ? text : wholeNumber('--threads', 1)(text);
}

/** @throws UsageError if no model was named and none is shipped */
export function modelLocation({ model }: Pick<ModelFlags, 'model'>, io: Io): string {
  if (model === '') throw new UsageError({ what: '--model', expected: 'a folder or an address', got: 'nothing' });
  if (model !== undefined) return resolved(model, io);
  if (io.shippedModel !== undefined) return io.shippedModel;
  throw new UsageError({
    what: 'no model',
    got: 'the one that is shipped apart is not installed',
    fix: 'pass --model DIR, or npm install bertscript-all-minilm-l6-v2',
  });
}

/** How to load a model for these flags. Says on stderr what was asked for and cannot be had here. */
export async function loadOptions(flags: ModelFlags, io: Io, precision: FloatType = 'float32'): Promise<LoadOptions> {
  const { kernels, threads, turbo = false } = flags;
  const engine = new Engine({ dtype: precision, kernels, threads, turbo });
  const info = engine.info();
  const asked = [turbo && !info.turbo && 'turbo', threads !== 'auto' && threads > info.threads && 'threads'];
  for (const feature of asked.filter((name) => name !== false)) {
    const reason =
      info.notes.find((text) => text.startsWith(`${feature}:`)) ?? `${feature}: ${info.kernels} kernels have none`;
    await note(io, reason);
  }
  return { dtype: flags.dtype, engine };
}

/** Buffers, and heads or a pooler that the class has no use for: what checkpoints hold without being meant for it. */
const UNREMARKABLE = new RegExp(
  '(^|\\.)position_ids$|^(\\w+\\.)?pooler\\.|^(cls|classifier|pre_classifier|qa_outputs|lm_head|vocab_\\w+|predictions|' +
    'sop_classifier|generator_\\w+|discriminator_predictions|sequence_summary)\\.',
);

/** Says on stderr which tensors of the checkpoint the model did not read, where that may be a mistake. */
export async function noteUnused(
  { loadReport }: Pick<BertPreTrainedModel, 'loadReport'>,
  location: string,
  io: Io,
): Promise<void> {
  const names = (loadReport?.unused ?? []).filter((name) => !UNREMARKABLE.test(name));
  if (names.length === 0) return;
  await note(io, `${location}: ${names.length} tensors that the model does not read: ${listed(names)}`);
}

import type { Command } from 'commander';
import { BertModel, loadAdapter } from '../bert/index.ts';
import { UsageError } from '../errors.ts';
import { SentenceEncoder, type EncodeTextOptions, type PoolingMode, type SentenceEmbedding } from '../tasks/index.ts';
import type { TextInput } from '../tokenizer/index.ts';
import { note, type Io } from './io.ts';
import { adapterLocation, loadOptions, modelLocation, noteUnused, type ModelFlags } from './modelOptions.ts';
import { given, oneOf, wholeNumber } from './values.ts';

const poolingModes = ['mean', 'cls', 'max', 'mean_sqrt_len_tokens', 'weightedmean', 'lasttoken'] as const;
const overflows = ['truncate', 'error', 'chunk'] as const;

/** The flags of commands that turn texts into vectors. */
export interface EncodingFlags {
  pooling?: PoolingMode;
  dimensions?: number;
  overflow?: (typeof overflows)[number];
}

export function addEncodingOptions(command: Command): Command {
  return command
    .option(
      '--pooling <mode>',
      `${poolingModes.join(', ')} (default: as the model says)`,
      oneOf('--pooling', poolingModes),
    )
    .option('--dimensions <n>', 'keep the first n numbers of each vector', wholeNumber('--dimensions', 1))
    .option(
      '--overflow <way>',
      'for texts too long: truncate (default), error or chunk',
      oneOf('--overflow', overflows),
    );
}

export async function loadEncoder(flags: ModelFlags, io: Io): Promise<SentenceEncoder> {
  const location = modelLocation(flags, io);
  const encoder = await SentenceEncoder.fromPretrained(location, await loadOptions(flags, io));
  await noteUnused(encoder.model, location, io);
  const adapter = await adapterLocation(flags, io);
  if (adapter === undefined) return encoder;
  if (!(encoder.model instanceof BertModel)) {
    throw new UsageError({ what: '--adapter', expected: 'a model with layers to adapt', got: 'a table of vectors' });
  }
  await loadAdapter(encoder.model, adapter);
  return encoder;
}

/**
 * The embeddings of all texts, as they are computed. Shows progress, says at the end how many texts were truncated, and
 * lets signals through between batches.
 */
export async function* embedAll(
  encoder: SentenceEncoder,
  texts: readonly TextInput[],
  flags: EncodingFlags & { normalize?: boolean },
  io: Io,
): AsyncGenerator<SentenceEmbedding> {
  const { pooling, dimensions, overflow, normalize } = flags;
  const progress = io.progress('embedding', texts.length);
  const options: EncodeTextOptions = given<EncodeTextOptions>({ pooling, dimensions, overflow, normalize, onProgress });
  function onProgress(done: number): void {
    progress.update(done);
    batchDone = true;
  }
  let batchDone = false;
  let truncated = 0;
  try {
    for (const result of encoder.embeddings(texts, options)) {
      if (batchDone) await new Promise((resume) => setTimeout(resume, 0));
      batchDone = false;
      if (result.truncated) truncated++;
      yield result;
    }
  } finally {
    progress.stop();
  }
  if (truncated > 0) {
    const which = texts.length === 1 ? 'the text is' : `${truncated} of ${texts.length} texts are`;
    await note(io, `${which} longer than ${encoder.maxLength} tokens and cut there; --overflow chunk reads them whole`);
  }
}

/** The embeddings of all texts, together. */
export async function embedTexts(...args: Parameters<typeof embedAll>): Promise<SentenceEmbedding[]> {
  const results: SentenceEmbedding[] = [];
  for await (const result of embedAll(...args)) results.push(result);
  return results;
}

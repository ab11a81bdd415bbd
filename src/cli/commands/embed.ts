import { Command } from 'commander';
import type { SentenceEncoder } from '../../tasks/index.ts';
import type { TextInput } from '../../tokenizer/index.ts';
import { addEncodingOptions, embedAll, loadEncoder, type EncodingFlags } from '../encoding.ts';
import { addInputOptions, readInput, type InputFlags } from '../input.ts';
import { note, type Io } from '../io.ts';
import { addAdapterOption, addModelOptions, type ModelFlags } from '../modelOptions.ts';
import { jsonLine, writeLines } from '../output.ts';
import { checkVectorFile, writeVectorFile, type EmbeddingRow } from '../vectorFile.ts';

interface EmbedFlags extends InputFlags, ModelFlags, EncodingFlags {
  normalize: boolean;
  output?: string;
}

/** Texts → vectors, as JSON lines or in a file of arrays. */
export function embed(io: Io): Command {
  const command = new Command('embed').description('turn texts into vectors; prints JSON lines');
  return addEncodingOptions(addAdapterOption(addModelOptions(addInputOptions(command, { pairs: true }))))
    .option('--no-normalize', 'leave the vectors as long as they are')
    .option('--output <file>', 'write to .jsonl, .npy or .safetensors instead of stdout', checkVectorFile)
    .action(async (args: string[], flags: EmbedFlags) => {
      const texts = await readInput(args, flags, io);
      const encoder = await loadEncoder(flags, io);
      const results = rows(encoder, texts, flags, io);
      if (flags.output === undefined) return writeLines(io.stdout, jsonLines(results));
      await writeVectorFile(flags.output, results, texts.length, io);
      await note(io, `wrote ${texts.length} vectors to ${flags.output}`);
    });
}

async function* rows(
  encoder: SentenceEncoder,
  texts: TextInput[],
  flags: EmbedFlags,
  io: Io,
): AsyncGenerator<EmbeddingRow> {
  // Without the flag, whether to normalize is the model's own choice.
  const { normalize, ...rest } = flags;
  let index = 0;
  for await (const result of embedAll(encoder, texts, normalize ? rest : { ...rest, normalize }, io)) {
    const text = texts[index];
    const { embedding, tokenCount, truncated, dtype } = result;
    const shown = typeof text === 'string' ? { text } : { text: text[0], text_pair: text[1] };
    yield { index, ...shown, embedding: Array.from(embedding), token_count: tokenCount, truncated, dtype };
    index++;
  }
}

async function* jsonLines(rows: AsyncIterable<EmbeddingRow>): AsyncGenerator<string> {
  for await (const row of rows) yield jsonLine(row);
}

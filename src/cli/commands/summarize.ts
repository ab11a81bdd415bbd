import { Command } from 'commander';
import { UsageError } from '../../errors.ts';
import { extractiveSummarization, type SummarizationOptions } from '../../tasks/index.ts';
import { clean } from '../display.ts';
import { loadEncoder } from '../encoding.ts';
import { addInputOptions, readInputFile, readSingleTexts, type InputFlags } from '../input.ts';
import type { Io } from '../io.ts';
import { addModelOptions, type ModelFlags } from '../modelOptions.ts';
import { jsonLine, writeLines } from '../output.ts';
import { addOverflow, watch, type OverflowFlags } from '../taskRun.ts';
import { decodeText } from '../textFormats.ts';
import { given, oneOf, wholeNumber } from '../values.ts';

const methods = ['textrank', 'centroid'] as const;

interface SummarizeFlags extends InputFlags, ModelFlags, OverflowFlags {
  sentences?: number;
  method?: (typeof methods)[number];
  document?: string;
}

/** Texts → the sentences that say most of them. */
export function summarize(io: Io): Command {
  const command = new Command('summarize').description('the sentences of a text that say most of it, word for word');
  return addOverflow(addModelOptions(addInputOptions(command, { pairs: false })))
    .option('--document <file>', 'one text: all of a file, where --input takes each line for one; - is stdin')
    .option('--sentences <n>', 'how many to keep (default: 3)', wholeNumber('--sentences', 1))
    .option('--method <name>', 'textrank (default) or centroid', oneOf('--method', methods))
    .action(async (args: string[], { json, sentences, method, document, ...flags }: SummarizeFlags) => {
      const texts = await textsOf(args, document, flags, io);
      const task = extractiveSummarization(await loadEncoder(flags, io));
      const own = given<SummarizationOptions>({ sentences, method });
      async function* lines() {
        let index = 0;
        for await (const { summary, sentences: kept } of watch('reading', texts.length, flags, io, (run) =>
          task.stream(texts, { ...run, ...own }),
        )) {
          if (json) yield jsonLine({ index, summary, sentences: kept });
          else yield `${index > 0 ? '\n' : ''}${kept.map(({ text }) => `${clean(text)}\n`).join('')}`;
          index++;
        }
      }
      await writeLines(io.stdout, lines());
    });
}

async function textsOf(args: string[], document: string | undefined, flags: InputFlags, io: Io): Promise<string[]> {
  if (document === undefined) return readSingleTexts(args, flags, io);
  const extra = args.length > 0 ? 'texts as arguments' : flags.input !== undefined && '--input';
  if (extra) throw new UsageError({ what: '--document', got: `${extra} too`, fix: 'use one or the other' });
  return [decodeText(...(await readInputFile(document, io)))];
}

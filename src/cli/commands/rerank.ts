import { Command } from 'commander';
import { rerank, type RankedDocument } from '../../tasks/index.ts';
import { addInputOptions, readSingleTexts, type InputFlags } from '../input.ts';
import type { Io } from '../io.ts';
import { addAdapterOption, addModelOptions, type ModelFlags } from '../modelOptions.ts';
import { printRows } from '../output.ts';
import { addOverflow, fixed, openTask, watch, type OverflowFlags } from '../taskRun.ts';
import { wholeNumber } from '../values.ts';

interface RerankFlags extends InputFlags, ModelFlags, OverflowFlags {
  query: string;
  topK?: number;
}

/** Texts in the order in which they answer a query. */
export function rerankCommand(io: Io): Command {
  const command = new Command('rerank').description('texts by how well they answer a query, from a cross-encoder');
  return addOverflow(addAdapterOption(addModelOptions(addInputOptions(command, { pairs: false }))))
    .requiredOption('--query <text>', 'what to look for')
    .option('--top-k <n>', 'how many to show (default: all)', wholeNumber('--top-k', 1))
    .action(async (args: string[], { json, query, topK, ...flags }: RerankFlags) => {
      const texts = await readSingleTexts(args, flags, io);
      const task = await openTask('rerank', 'ForSequenceClassification', rerank, flags, io);
      const ranked: RankedDocument[] = [];
      for await (const document of watch('ranking', texts.length, flags, io, (run) => task.stream(query, texts, run))) {
        ranked.push(document);
      }
      const best = ranked.sort((a, b) => b.logit - a.logit).slice(0, topK);
      const rows = best.map(({ index, text, score, logit }) => ({ index, text, score, logit }));
      await printRows(io, json, rows, {
        index: ({ index }) => index,
        score: ({ score }) => fixed(score),
        logit: ({ logit }) => fixed(logit),
        text: ({ text }) => text,
      });
    });
}

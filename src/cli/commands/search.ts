import { Command } from 'commander';
import { searchVectors } from '../../tasks/index.ts';
import { addEncodingOptions, embedTexts, loadEncoder, type EncodingFlags } from '../encoding.ts';
import { addFormatOption, readTexts, withoutPairs, type InputFlags } from '../input.ts';
import type { Io } from '../io.ts';
import { addModelOptions, type ModelFlags } from '../modelOptions.ts';
import { printRows } from '../output.ts';
import { wholeNumber } from '../values.ts';

interface SearchFlags extends Pick<InputFlags, 'inputFormat'>, ModelFlags, EncodingFlags {
  corpus: string;
  query: string;
  topK: number;
}

/** The texts of a file that are most like a query. */
export function search(io: Io): Command {
  const command = new Command('search').description('the texts of a file that are most like a query');
  return addEncodingOptions(addModelOptions(addFormatOption(command)))
    .requiredOption('--corpus <file>', 'texts to search, from .txt, .jsonl, .tsv or .csv; - is stdin')
    .requiredOption('--query <text>', 'what to look for')
    .option('--top-k <n>', 'how many to show', wholeNumber('--top-k', 1), 10)
    .action(async ({ corpus, query, topK, inputFormat, json, ...flags }: SearchFlags) => {
      const texts = withoutPairs(await readTexts(corpus, inputFormat, io), corpus);
      const encoder = await loadEncoder(flags, io);
      const [wanted, ...vectors] = (await embedTexts(encoder, [query, ...texts], flags, io)).map((e) => e.embedding);
      const hits = searchVectors(wanted, vectors, topK);
      const rows = hits.map(({ index, score }, i) => ({ rank: i + 1, index, text: texts[index], score }));
      await printRows(io, json, rows, {
        rank: ({ rank }) => rank,
        index: ({ index }) => index,
        score: ({ score }) => score.toFixed(4),
        text: ({ text }) => text,
      });
    });
}

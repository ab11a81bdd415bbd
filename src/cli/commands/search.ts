import { Command } from 'commander';
import { InputError, UsageError } from '../../errors.ts';
import { VectorIndex, type IndexPrecision, type VectorSearchOptions } from '../../tasks/index.ts';
import { addEncodingOptions, embedTexts, loadEncoder, type EncodingFlags } from '../encoding.ts';
import { addFormatOption, readTexts, withoutPairs, type InputFlags } from '../input.ts';
import type { Io } from '../io.ts';
import { addModelOptions, type ModelFlags } from '../modelOptions.ts';
import { printRows } from '../output.ts';
import { given, oneOf, wholeNumber } from '../values.ts';
import { readVectorFile } from '../vectorFile.ts';

interface SearchFlags extends Pick<InputFlags, 'inputFormat'>, ModelFlags, EncodingFlags {
  corpus?: string;
  index?: string;
  query: string;
  topK: number;
  precision: IndexPrecision;
  rescore?: number;
}

const precisions = ['float32', 'int8', 'binary'] as const;

/** The texts of a file that are most like a query. */
export function search(io: Io): Command {
  const command = new Command('search').description('the texts of a file that are most like a query');
  return addEncodingOptions(addModelOptions(addFormatOption(command)))
    .option('--corpus <file>', 'texts to search, from .txt, .jsonl, .tsv or .csv; - is stdin')
    .option('--index <file>', 'their vectors, as embed --output wrote them: .npy or .safetensors')
    .requiredOption('--query <text>', 'what to look for')
    .option('--top-k <n>', 'how many to show', wholeNumber('--top-k', 1), 10)
    .option(
      '--precision <p>',
      'float32, int8, binary: what is compared first',
      oneOf('--precision', precisions),
      'float32',
    )
    .option('--rescore <n>', 'compare n times as many exactly (default: 4, binary 20)', wholeNumber('--rescore', 1))
    .action(async ({ corpus, index, query, topK, inputFormat, json, precision, rescore, ...flags }: SearchFlags) => {
      if (corpus === undefined && index === undefined) {
        throw new UsageError({ what: 'nothing to search', fix: 'pass --corpus FILE, --index FILE, or both' });
      }
      const texts = corpus === undefined ? undefined : withoutPairs(await readTexts(corpus, inputFormat, io), corpus);
      const saved = index === undefined ? undefined : await readVectorFile(index, io);
      if (texts && saved && texts.length !== saved.data.length / saved.dimensions) {
        const expected = `${texts.length} vectors, one for each text of ${corpus}`;
        throw new InputError({ what: index!, expected, got: `${saved.data.length / saved.dimensions}` });
      }
      const encoder = await loadEncoder(flags, io);
      const toEmbed = saved ? [query] : [query, ...texts!];
      const [wanted, ...vectors] = (await embedTexts(encoder, toEmbed, flags, io)).map((e) => e.embedding);
      const hits = new VectorIndex(saved ?? vectors, { precision }).search(
        wanted,
        given<VectorSearchOptions>({ topK, rescore }),
      );
      const rows = hits.map((hit, i) => ({
        rank: i + 1,
        index: hit.index,
        text: texts?.[hit.index] ?? null,
        score: hit.score,
      }));
      await printRows(io, json, rows, {
        rank: ({ rank }) => rank,
        index: ({ index: place }) => place,
        score: ({ score }) => score.toFixed(4),
        ...(texts && { text: ({ text }: { text: string | null }) => text ?? '' }),
      });
    });
}

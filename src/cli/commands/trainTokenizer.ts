import { Command } from 'commander';
import { UsageError } from '../../errors.ts';
import { trainByteLevelBpe, trainWordPiece, type WordPieceTrainingOptions } from '../../tokenizer/index.ts';
import { addFormatOption, readTexts } from '../input.ts';
import type { Io } from '../io.ts';
import { jsonLine } from '../output.ts';
import type { TextFormat } from '../textFormats.ts';
import { given, oneOf, wholeNumber } from '../values.ts';

/** The files of a vocabulary of either type. */
const VOCABULARY_FILES = ['vocab.txt', 'vocab.json', 'merges.txt'];

const types = ['wordpiece', 'bpe'] as const;

interface TrainTokenizerFlags {
  input: string[];
  inputFormat?: TextFormat;
  output: string;
  type: (typeof types)[number];
  vocabSize: number;
  minFrequency: number;
  limitAlphabet?: number;
  specialTokens?: string;
  lowercase?: boolean;
  force?: boolean;
  json?: boolean;
}

/** Texts → the folder of a new tokenizer, which transformers loads too. */
export function trainTokenizer(io: Io): Command {
  const collect = (path: string, others: string[] = []) => [...others, path];
  return addFormatOption(
    new Command('train-tokenizer').description('learn the vocabulary of a new tokenizer from texts'),
  )
    .requiredOption('--input <file>', 'texts from .txt, .jsonl, .tsv or .csv; - is stdin; may be given again', collect)
    .requiredOption('--output <dir>', 'folder for the new tokenizer')
    .option(
      '--type <name>',
      'wordpiece, as of BERT, or bpe, byte-level as of RoBERTa',
      oneOf('--type', types),
      types[0],
    )
    .option('--vocab-size <n>', 'most tokens', wholeNumber('--vocab-size', 1), 30000)
    .option('--min-frequency <n>', 'how often a pair must occur to be joined', wholeNumber('--min-frequency', 0), 2)
    .option('--limit-alphabet <n>', 'most characters', wholeNumber('--limit-alphabet', 1))
    .option('--special-tokens <list>', 'in place of those of BERT or RoBERTa, with commas between')
    .option('--lowercase', 'in lower case (the default for wordpiece)')
    .option('--no-lowercase', 'as it is written (the default for bpe)')
    .option('--force', 'overwrite a tokenizer that is there')
    .option('--json', 'print the report as JSON')
    .action(async ({ input, inputFormat, output, type, force = false, json, ...flags }: TrainTokenizerFlags) => {
      if (!force && (await io.exists(`${output}/tokenizer.json`))) {
        const got = 'a folder that holds tokenizer.json';
        throw new UsageError({ what: `--output ${output}`, got, fix: 'pass another folder, or --force' });
      }
      const texts: string[] = [];
      for (const path of input) for (const text of await readTexts(path, inputFormat, io)) texts.push(...[text].flat());
      const progress = io.progress('tokens', flags.vocabSize);
      const options = given<WordPieceTrainingOptions>({
        vocabSize: flags.vocabSize,
        minFrequency: flags.minFrequency,
        limitAlphabet: flags.limitAlphabet,
        specialTokens: flags.specialTokens?.split(','),
        lowercase: flags.lowercase,
        onProgress: ({ stage, done }) => stage === 'tokens' && progress.update(done),
      });
      const trained = await (type === 'bpe' ? trainByteLevelBpe : trainWordPiece)(texts, options).finally(() =>
        progress.stop(),
      );
      const files = trained.files();
      await io.writeFolder(output, async (write) => {
        for (const [name, content] of Object.entries(files)) await write(name, content);
      });
      // What a tokenizer of the other type left there would be another vocabulary beside this one.
      for (const name of VOCABULARY_FILES) if (!Object.hasOwn(files, name)) await io.removeFile(`${output}/${name}`);
      const { tokens, merges } = trained;
      const report = { output, type, texts: texts.length, tokens: tokens.length, merges: merges.length };
      const readable = `${output}: ${type}, ${tokens.length} tokens from ${texts.length} texts\n`;
      await io.stdout.write(json ? jsonLine(report) : readable);
    });
}

import { Command } from 'commander';
import { BertConfig, BertForPreTraining, randomWeights } from '../../bert/index.ts';
import { UsageError } from '../../errors.ts';
import { MemoryFiles } from '../../hub/index.ts';
import { AutoTokenizer, trainWordPiece } from '../../tokenizer/index.ts';
import { PreTraining, readDocuments, sentencePairs, type MaskedLMOptions } from '../../training/index.ts';
import type { Io } from '../io.ts';
import { addModelOptions, loadOptions, type ModelFlags } from '../modelOptions.ts';
import { jsonLine } from '../output.ts';
import {
  addMaskingOptions,
  addTrainingOptions,
  fineTuneOptions,
  maskingOptions,
  type MaskingFlags,
  type TrainingFlags,
} from '../training/options.ts';
import { checkOutput, dryRun, runTraining, type TrainingJob } from '../training/run.ts';
import { shown } from '../training/tasks.ts';
import { given, wholeNumber } from '../values.ts';

interface PretrainFlags extends ModelFlags, TrainingFlags, MaskingFlags {
  input: string;
  output: string;
  vocabSize: number;
  layers: number;
  hidden: number;
  heads: number;
  heldOut: number;
}

/** Plain documents → a vocabulary, and a BERT that was trained on them from nothing. */
export function pretrain(io: Io): Command {
  const command = new Command('pretrain').description('train a new BERT, vocabulary included, on plain documents');
  return addMaskingOptions(addTrainingOptions(addModelOptions(command), { lr: 1e-4 }))
    .requiredOption('--input <file>', 'a sentence per line, an empty line between documents')
    .requiredOption('--output <dir>', 'folder for the model')
    .option('--vocab-size <n>', 'most tokens', wholeNumber('--vocab-size', 6), 8000)
    .option('--layers <n>', 'layers', wholeNumber('--layers', 1), 4)
    .option('--hidden <n>', 'width; the feed-forward networks are four times as wide', wholeNumber('--hidden', 1), 256)
    .option('--heads <n>', 'heads of each layer', wholeNumber('--heads', 1), 4)
    .option('--held-out <n>', 'one document of so many is kept for evaluation', wholeNumber('--held-out', 2), 20)
    .action(async ({ json, ...flags }: PretrainFlags) => {
      const { input, output, heldOut, seed, vocabSize, layers, hidden, heads, maxLength = 128, dryRun: isDry } = flags;
      if (!isDry) await checkOutput(output, flags.resume ?? false, io);
      const documents: string[][] = [];
      for await (const document of readDocuments(await io.readFile(input), input)) documents.push(document);
      const isHeld = (_: unknown, i: number) => i % heldOut === heldOut - 1;
      const kept = documents.filter((document, i) => !isHeld(document, i));
      if (kept.length < 2) {
        throw new UsageError({
          what: input,
          expected: 'several documents, with empty lines between',
          got: `${kept.length}`,
        });
      }
      const vocabulary = await trainWordPiece(kept.flat(), { vocabSize });
      const source = new MemoryFiles(vocabulary.files());
      const tokenizer = await AutoTokenizer.fromPretrained(source);
      const config = new BertConfig({
        ...{ vocabSize: tokenizer.vocabSize, hiddenSize: hidden, numHiddenLayers: layers, numAttentionHeads: heads },
        ...{ intermediateSize: 4 * hidden, maxPositionEmbeddings: Math.max(maxLength, 128) },
      });
      const { engine } = await loadOptions(flags, io);
      const model = new BertForPreTraining(config, randomWeights(config, { ...given({ engine }), seed }));
      model.tieWeights();
      const masking = given<MaskedLMOptions>({ seed, maxLength, ...maskingOptions(flags) });
      const recipe = new PreTraining(model, tokenizer, masking);
      const train = sentencePairs(kept, tokenizer, { maxLength, seed });
      const evaluation = sentencePairs(documents.filter(isHeld), tokenizer, { maxLength, seed });
      const options = fineTuneOptions(flags);
      const job: TrainingJob<(typeof train)[0]> = {
        recipe: recipe as never,
        train,
        evaluation,
        options,
        output,
        source,
      };
      if (isDry) return dryRun(job, json, io);
      const { best = {}, steps } = await runTraining(job, io);
      await io.stdout.write(
        json ? jsonLine({ output, steps, ...best }) : `${output}: ${steps} steps  ${shown(best)}\n`,
      );
    });
}

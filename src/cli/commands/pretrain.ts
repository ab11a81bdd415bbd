import { Command } from 'commander';
import { BertConfig, BertForPreTraining, openModelFiles, randomWeights } from '../../bert/index.ts';
import { UsageError } from '../../errors.ts';
import { MemoryFiles, type ModelFiles } from '../../hub/index.ts';
import type { Engine } from '../../tensor/index.ts';
import { AutoTokenizer, trainWordPiece, type Tokenizer } from '../../tokenizer/index.ts';
import { PreTraining, readDocuments, sentencePairs, type MaskedLMOptions } from '../../training/index.ts';
import { note, type Io } from '../io.ts';
import { addModelOptions, loadOptions, modelLocation, type ModelFlags } from '../modelOptions.ts';
import { listed } from '../output.ts';
import {
  addMaskingOptions,
  addTrainingOptions,
  fineTuneOptions,
  maskingOptions,
  type MaskingFlags,
  type TrainingFlags,
} from '../training/options.ts';
import { trainOrPlan, type TrainingJob } from '../training/run.ts';
import { given, wholeNumber } from '../values.ts';

interface PretrainFlags extends ModelFlags, TrainingFlags, MaskingFlags {
  input: string;
  output?: string;
  vocabSize?: number;
  layers?: number;
  hidden?: number;
  heads?: number;
  heldOut: number;
}

/** Plain documents → a vocabulary, and a BERT that was trained on them from nothing; or on from a model that there is. */
export function pretrain(io: Io): Command {
  const command = new Command('pretrain').description('train a new BERT, vocabulary included, on plain documents');
  addModelOptions(command).options.find((option) => option.attributeName() === 'model')!.description =
    'folder or address of a BERT to go on from, with its vocabulary (default: a new one)';
  return addMaskingOptions(addTrainingOptions(command, { lr: 1e-4 }))
    .requiredOption('--input <file>', 'a sentence per line, an empty line between documents')
    .option('--output <dir>', 'folder for the model')
    .option('--vocab-size <n>', 'most tokens (default: 8000)', wholeNumber('--vocab-size', 6))
    .option('--layers <n>', 'layers (default: 4)', wholeNumber('--layers', 1))
    .option(
      '--hidden <n>',
      'width; the feed-forward networks are four times as wide (default: 256)',
      wholeNumber('--hidden', 1),
    )
    .option('--heads <n>', 'heads of each layer (default: 4)', wholeNumber('--heads', 1))
    .option('--held-out <n>', 'one document of so many is kept for evaluation', wholeNumber('--held-out', 2), 20)
    .action(async ({ json, ...flags }: PretrainFlags) => {
      const { input, heldOut, seed, maxLength = 128 } = flags;
      await trainOrPlan({ json, ...flags }, io, async () => {
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
        const { engine } = await loadOptions(flags, io);
        const begun = flags.model === undefined ? untrained(kept.flat(), flags) : continued(flags, io);
        const { source, model, tokenizer } = await begun({ ...given({ engine }), seed });
        if (flags.gradientCheckpointing) model.gradientCheckpointingEnable();
        const masking = given<MaskedLMOptions>({ seed, maxLength, ...maskingOptions(flags) });
        const recipe = new PreTraining(model, tokenizer, masking);
        const train = sentencePairs(kept, tokenizer, { maxLength, seed });
        const evaluation = sentencePairs(documents.filter(isHeld), tokenizer, { maxLength, seed });
        if (evaluation.length === 0) {
          await note(io, `no pair is held out to evaluate on: ${documents.length} documents, --held-out ${heldOut}`);
        }
        const options = fineTuneOptions(flags);
        const job = { command: 'pretrain', recipe, train, evaluation, options, source } as const;
        return job as unknown as TrainingJob<never>;
      });
    });
}

interface Beginning {
  source: ModelFiles;
  model: BertForPreTraining;
  tokenizer: Tokenizer;
}
type Begin = (options: { engine?: Engine; seed: number }) => Promise<Beginning>;

/** A vocabulary of the texts, and random weights. */
function untrained(
  texts: readonly string[],
  { vocabSize = 8000, layers = 4, hidden = 256, heads = 4, maxLength = 128 }: PretrainFlags,
): Begin {
  return async (options) => {
    const source = new MemoryFiles((await trainWordPiece(texts, { vocabSize })).files());
    const tokenizer = await AutoTokenizer.fromPretrained(source);
    const config = new BertConfig({
      ...{ vocabSize: tokenizer.vocabSize, hiddenSize: hidden, numHiddenLayers: layers, numAttentionHeads: heads },
      ...{ intermediateSize: 4 * hidden, maxPositionEmbeddings: Math.max(maxLength, 128) },
    });
    const model = new BertForPreTraining(config, randomWeights(config, options));
    model.tieWeights();
    return { source, model, tokenizer };
  };
}

/** The model of `--model` with its vocabulary; heads that it lacks start at random. */
function continued(flags: PretrainFlags, io: Io): Begin {
  for (const [flag, value] of Object.entries({
    'vocab-size': flags.vocabSize,
    layers: flags.layers,
    hidden: flags.hidden,
    heads: flags.heads,
  })) {
    if (value === undefined) continue;
    const fix = 'leave it out: the model has its own; or leave --model out for a new one';
    throw new UsageError({ what: `--${flag}`, got: '--model beside it', fix });
  }
  return async (options) => {
    const source = openModelFiles(modelLocation(flags, io));
    const model = await BertForPreTraining.fromPretrained(source, {
      ...options,
      dtype: 'f32',
      initializeMissing: true,
    });
    const started = model.loadReport?.initialized ?? [];
    if (started.length > 0) await note(io, `${started.length} new tensors start at random: ${listed(started)}`);
    return { source, model, tokenizer: await AutoTokenizer.fromPretrained(source) };
  };
}

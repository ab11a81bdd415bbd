import type { Command } from 'commander';
import type { LoraTraining } from '../../bert/index.ts';
import { UsageError } from '../../errors.ts';
import {
  isBiasOrNorm,
  type FineTuneOptions,
  type MaskingOptions,
  type ScheduleName,
  type SimilarityLoss,
} from '../../training/index.ts';
import { given, nonNegative, oneOf, wholeNumber } from '../values.ts';

/** The flags of commands that train. */
export interface TrainingFlags {
  epochs: number;
  batchSize: number;
  lr: number;
  schedule: ScheduleName;
  warmupRatio: number;
  weightDecay: number;
  decayExclude?: string[];
  maxGradNorm: number;
  maxLength?: number;
  seed: number;
  dropout?: number;
  maxSteps?: number;
  accumulate: number;
  saveEvery?: number;
  patience?: number;
  keepBest?: boolean;
  shuffle: boolean;
  groupByLength?: boolean;
  resume?: boolean;
  dryRun?: boolean;
  gradientCheckpointing?: boolean;
}

export function addTrainingOptions(command: Command, { lr = 5e-5, epochs = 3 } = {}): Command {
  const schedules = ['constant', 'linear', 'cosine', 'polynomial'] as const;
  return command
    .option('--epochs <n>', 'times through the data', wholeNumber('--epochs', 1), epochs)
    .option('--batch-size <n>', 'examples per batch', wholeNumber('--batch-size', 1), 16)
    .option('--lr <rate>', 'learning rate', nonNegative('--lr'), lr)
    .option('--schedule <name>', schedules.join(', '), oneOf('--schedule', schedules), 'linear')
    .option('--warmup-ratio <r>', 'share of the steps in which the rate rises', nonNegative('--warmup-ratio'), 0)
    .option('--weight-decay <w>', 'of AdamW', nonNegative('--weight-decay'), 0.01)
    .option(
      '--decay-exclude <names...>',
      'parts of names of parameters without decay; "bias-norm" means the usual ones',
    )
    .option('--max-grad-norm <n>', 'gradients are scaled down to this norm', nonNegative('--max-grad-norm'), 1)
    .option('--max-length <n>', 'tokens of a text; the rest is cut', wholeNumber('--max-length', 4))
    .option('--seed <n>', 'of order, masks and dropout', wholeNumber('--seed', 0), 0)
    .option('--dropout <p>', 'in place of the dropout of the config', nonNegative('--dropout'))
    .option('--max-steps <n>', 'stop after so many steps', wholeNumber('--max-steps', 1))
    .option('--accumulate <n>', 'batches that make one step', wholeNumber('--accumulate', 1), 1)
    .option(
      '--save-every <n>',
      'save the state every so many steps, besides the end of each epoch',
      wholeNumber('--save-every', 1),
    )
    .option('--patience <n>', 'stop after so many evaluations without a better one', wholeNumber('--patience', 1))
    .option('--keep-best', 'end with the weights of the best evaluation')
    .option('--no-shuffle', 'keep the order of the file')
    .option('--group-by-length', 'examples of like length share a batch, so that steps take about equally long')
    .option('--gradient-checkpointing', 'less memory, a third more time')
    .option('--resume', 'go on where a training into the same folder was stopped, with the same data and flags')
    .option('--dry-run', 'print the plan, the memory and the time per step, and train nothing');
}

export function addMaskingOptions(command: Command): Command {
  const units = ['token', 'word', 'span'] as const;
  return command
    .option(
      '--mask-probability <p>',
      'share of tokens to be guessed (default: 0.15)',
      nonNegative('--mask-probability'),
    )
    .option('--mask-unit <unit>', 'hide single tokens, whole words or spans of words', oneOf('--mask-unit', units));
}

export interface MaskingFlags {
  maskProbability?: number;
  maskUnit?: 'token' | 'word' | 'span';
}

export function maskingOptions({ maskProbability, maskUnit }: MaskingFlags): MaskingOptions {
  return given<MaskingOptions>({ probability: maskProbability, unit: maskUnit });
}

export function addSimilarityOptions(command: Command): Command {
  const losses = ['cosine', 'ranking'] as const;
  return command.option(
    '--similarity-loss <name>',
    'cosine: as alike as the label says; ranking: nearer than the rest of the batch',
    oneOf('--similarity-loss', losses),
  );
}

export interface SimilarityFlags {
  similarityLoss?: SimilarityLoss;
}

/** @throws UsageError for a flag that was given and means nothing to the task */
export function expectFlagsOfTask(
  task: string,
  flags: Readonly<Record<string, readonly [value: unknown, isMeant: boolean]>>,
): void {
  for (const [what, [value, isMeant]] of Object.entries(flags)) {
    if (value !== undefined && !isMeant) throw new UsageError({ what, got: `--task ${task}, which has none` });
  }
}

/** Flags that one task alone has, of the commands that have them. */
export function taskFlags(task: string, flags: MaskingFlags & SimilarityFlags) {
  return {
    '--mask-probability': [flags.maskProbability, task === 'mlm'],
    '--mask-unit': [flags.maskUnit, task === 'mlm'],
    '--similarity-loss': [flags.similarityLoss, task === 'similarity'],
  } as const;
}

export interface LoraFlags {
  loraRank?: number;
  loraAlpha?: number;
  loraTargets?: string[];
  loraHalf?: boolean;
  seed: number;
}

export function addLoraOptions(command: Command): Command {
  return command
    .option(
      '--lora-rank <n>',
      'train adapters of this rank, and the head; written to adapter/, and merged into the model',
      wholeNumber('--lora-rank', 1),
    )
    .option('--lora-alpha <a>', 'the adapters count alpha / rank times (default: twice the rank)', positive)
    .option('--lora-targets <a,b>', 'ends of names of the layers that get one (default: queries and values)', (text) =>
      text.split(','),
    )
    .option('--lora-half', 'write the adapter in 16 bits');
}

/** @returns undefined when no adapters are asked for */
export function loraOptions({ loraRank, loraAlpha, loraTargets, loraHalf, seed }: LoraFlags): LoraTraining | undefined {
  if (loraRank !== undefined)
    return given<LoraTraining>({ rank: loraRank, alpha: loraAlpha, targets: loraTargets, seed });
  const flag = Object.entries({ '--lora-alpha': loraAlpha, '--lora-targets': loraTargets, '--lora-half': loraHalf });
  const [name] = flag.find(([, value]) => value !== undefined) ?? [];
  if (name === undefined) return undefined;
  throw new UsageError({ what: name, expected: '--lora-rank beside it', got: 'none' });
}

function positive(text: string): number {
  const value = nonNegative('--lora-alpha')(text);
  if (value > 0) return value;
  throw new UsageError({ what: '--lora-alpha', expected: 'a number above 0', got: text });
}

/** The flags as `fineTune` takes them. */
export function fineTuneOptions(flags: TrainingFlags): FineTuneOptions {
  const { epochs, batchSize, lr, schedule, warmupRatio, weightDecay, maxGradNorm, seed, shuffle, accumulate } = flags;
  const { dropout, maxSteps, saveEvery, patience, keepBest, groupByLength, resume } = flags;
  const patterns = flags.decayExclude ?? [];
  const decayExclude = (name: string) =>
    patterns.some((pattern) => (pattern === 'bias-norm' ? isBiasOrNorm(name) : name.includes(pattern)));
  const fixed = { epochs, batchSize, lr, schedule, warmupRatio, weightDecay, maxGradNorm, seed, shuffle, accumulate };
  return {
    ...fixed,
    decayExclude,
    ...given<FineTuneOptions>({ dropout, maxSteps, saveEvery, patience, keepBest, groupByLength, resume }),
  };
}

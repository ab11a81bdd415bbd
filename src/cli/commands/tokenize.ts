import { Command } from 'commander';
import {
  AutoTokenizer,
  type EncodeOptions,
  type Encoding,
  type PaddingStrategy,
  type TextInput,
  type Tokenizer,
  type TruncationStrategy,
} from '../../tokenizer/index.ts';
import { UsageError } from '../../errors.ts';
import { addInputOptions, readInput, type InputFlags } from '../input.ts';
import type { Io } from '../io.ts';
import { addModelOptions, modelLocation, type ModelFlags } from '../modelOptions.ts';
import { jsonLine, writeLines } from '../output.ts';
import { given, oneOf, wholeNumber } from '../values.ts';

interface TokenizeFlags extends InputFlags, ModelFlags {
  offsets: 'utf16' | 'codepoint';
  maxLength?: number;
  truncation?: TruncationStrategy;
  stride?: number;
  padding?: PaddingStrategy;
  specialTokens: boolean;
}

const truncations = ['longest_first', 'only_first', 'only_second'] as const;
const paddings = ['longest', 'max_length'] as const;
/** Longest padding: a line of JSON holds all of it, and more would not fit into a string. */
const LONGEST_PADDING = 1_000_000;
const offsetUnits = ['utf16', 'codepoint'] as const;

/** Texts → tokens, ids and offsets, as JSON lines. */
export function tokenize(io: Io): Command {
  const command = new Command('tokenize').description('split texts into tokens; prints JSON lines');
  return addModelOptions(addInputOptions(command, { pairs: true }))
    .option('--offsets <unit>', 'unit of offset_mapping: utf16 or codepoint', oneOf('--offsets', offsetUnits), 'utf16')
    .option('--max-length <n>', 'most tokens, special ones included', wholeNumber('--max-length', 0))
    .option('--truncation <strategy>', truncations.join(', '), oneOf('--truncation', truncations))
    .option('--stride <n>', 'print every window, each sharing n tokens with the next', wholeNumber('--stride', 0))
    .option('--padding <to>', 'longest (of all texts) or max_length', oneOf('--padding', paddings))
    .option('--no-special-tokens', 'leave out [CLS], [SEP] and the like')
    .action(async (texts: string[], flags: TokenizeFlags) => {
      const tokenizer = await AutoTokenizer.fromPretrained(modelLocation(flags, io));
      const inputs = await readInput(texts, flags, io);
      await writeLines(io.stdout, lines(encodings(tokenizer, inputs, encodeOptions(flags)), flags));
    });
}

function encodeOptions({ maxLength, truncation, stride, padding, specialTokens }: TokenizeFlags): EncodeOptions {
  if (padding === 'max_length' && maxLength !== undefined && maxLength > LONGEST_PADDING) {
    const expected = `at most ${LONGEST_PADDING} tokens with --padding max_length`;
    throw new UsageError({ what: '--max-length', expected, got: `${maxLength}` });
  }
  return given<EncodeOptions>({
    maxLength,
    // Windows only come about by truncation: to ask for them is to ask for it.
    truncation: truncation ?? (stride === undefined ? undefined : 'longest_first'),
    stride,
    padding,
    addSpecialTokens: specialTokens,
  });
}

/** One by one, so that a long input need not be held in memory, unless all have to be known for the longest of them. */
function* encodings(tokenizer: Tokenizer, texts: TextInput[], options: EncodeOptions): Generator<Encoding> {
  if (options.padding === 'longest') yield* tokenizer.encodeBatch(texts, options).encodings;
  else for (const text of texts) yield tokenizer.encode(text, options);
}

function* lines(encodings: Iterable<Encoding>, { offsets, stride }: TokenizeFlags): Generator<string> {
  let index = 0;
  for (const encoding of encodings) {
    const windows = stride === undefined ? [encoding] : [encoding, ...encoding.overflowing];
    for (const [window, part] of windows.entries()) {
      yield jsonLine({
        index,
        window,
        tokens: part.tokens,
        input_ids: Array.from(part.inputIds),
        token_type_ids: Array.from(part.tokenTypeIds),
        attention_mask: Array.from(part.attentionMask),
        special_tokens_mask: Array.from(part.specialTokensMask),
        offset_mapping: offsets === 'utf16' ? part.offsets : part.codePointOffsets,
        word_ids: part.wordIds,
        truncated: part.truncated,
      });
    }
    index++;
  }
}

import { Command } from 'commander';
import { InputError, show, UsageError } from '../../errors.ts';
import { AutoTokenizer } from '../../tokenizer/index.ts';
import { readInputFile } from '../input.ts';
import type { Io } from '../io.ts';
import { addModelOptions, modelLocation, type ModelFlags } from '../modelOptions.ts';
import { jsonLine, writeLines } from '../output.ts';
import { decodeText, parseJsonLines } from '../textFormats.ts';

interface DecodeFlags extends ModelFlags {
  input?: string;
  skipSpecialTokens?: boolean;
}

/** Token ids → texts: takes what `tokenize` prints. */
export function decode(io: Io): Command {
  const command = new Command('decode').description('turn token ids back into text; reads and prints JSON lines');
  return addModelOptions(command)
    .argument('[ids...]', 'JSON: [101, 102] or {"input_ids": [101, 102]}')
    .option('--input <file>', 'JSON lines with "input_ids"; - is stdin, which is the default')
    .option('--skip-special-tokens', 'leave out [CLS], [SEP] and the like')
    .action(async (ids: string[], flags: DecodeFlags) => {
      const location = modelLocation(flags, io);
      const values = await readIds(ids, flags, io);
      const tokenizer = await AutoTokenizer.fromPretrained(location);
      const { skipSpecialTokens = false } = flags;
      const texts = values.map(({ value, where }) => {
        const inputIds = idsOf(value, where);
        const unknown = inputIds.find((id) => tokenizer.idToToken(id) === undefined);
        if (unknown === undefined) return tokenizer.decode(inputIds, { skipSpecialTokens });
        throw new InputError({
          what: `${where}: input_ids`,
          expected: `ids of the ${tokenizer.vocabSize} tokens of ${location}`,
          got: `${unknown}`,
        });
      });
      await writeLines(
        io.stdout,
        texts.map((text, index) => jsonLine({ index, text })),
      );
    });
}

async function readIds(args: string[], { input }: DecodeFlags, io: Io): Promise<{ value: unknown; where: string }[]> {
  if (args.length > 0 && input !== undefined) {
    throw new UsageError({ what: '--input', got: 'ids as arguments too', fix: 'use one or the other' });
  }
  if (args.length > 0) return args.flatMap((text, i) => parseJsonLines(text, `argument ${i + 1}`));
  if (input === undefined && io.stdin.isTTY) {
    throw new UsageError({ what: 'no ids', fix: 'give them as arguments, on stdin, or with --input FILE' });
  }
  const [bytes, name] = await readInputFile(input ?? '-', io);
  const values = parseJsonLines(decodeText(bytes, name), name);
  if (values.length > 0) return values;
  throw new InputError({ what: name, expected: 'lines of JSON with "input_ids"', got: 'none' });
}

function idsOf(value: unknown, where: string): number[] {
  const ids = Array.isArray(value) ? value : ((value ?? {}) as { input_ids?: unknown }).input_ids;
  if (Array.isArray(ids) && ids.every((id) => Number.isSafeInteger(id) && id >= 0)) return ids as number[];
  const expected = 'an object with token ids in "input_ids"';
  throw new InputError({ what: where, expected, got: show(value) });
}

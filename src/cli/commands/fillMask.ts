import { Command } from 'commander';
import { fillMask, type FillMaskOptions } from '../../tasks/index.ts';
import { addInputOptions, readSingleTexts, type InputFlags } from '../input.ts';
import type { Io } from '../io.ts';
import { addAdapterOption, addModelOptions, type ModelFlags } from '../modelOptions.ts';
import { addOverflow, fixed, openTask, printResults, watch, type OverflowFlags } from '../taskRun.ts';
import { given, wholeNumber } from '../values.ts';

interface FillMaskFlags extends InputFlags, ModelFlags, OverflowFlags {
  topK?: number;
  targets?: string[];
}

/** Texts with masks → words for them. */
export function fillMaskCommand(io: Io): Command {
  const command = new Command('fill-mask').description('words for each [MASK] in texts, from a masked language model');
  return addOverflow(addAdapterOption(addModelOptions(addInputOptions(command, { pairs: false }))))
    .option('--top-k <n>', 'how many words for each mask (default: 5)', wholeNumber('--top-k', 1))
    .option('--targets <a,b>', 'only these words', (text: string) => text.split(','))
    .action(async (args: string[], { json, topK, targets, ...flags }: FillMaskFlags) => {
      const texts = await readSingleTexts(args, flags, io);
      const task = await openTask('fill-mask', 'ForMaskedLM', fillMask, flags, io, 'masked-words');
      const own = given<FillMaskOptions>({ topK, targets });
      async function* rows() {
        let index = 0;
        for await (const found of watch('filling', texts.length, flags, io, (run) =>
          task.stream(texts, { ...run, ...own }),
        )) {
          const masks = found.map((fillings) =>
            fillings.map(({ token, tokenStr, score, sequence }) => ({ token: tokenStr, id: token, score, sequence })),
          );
          yield { index, text: texts[index], masks };
          index++;
        }
      }
      await printResults(io, json, rows(), ['index', 'mask', 'token', 'score', 'sequence'], ({ index, masks }) =>
        masks.flatMap((fillings, mask) =>
          fillings.map(({ token, score, sequence }) => [index, mask + 1, token, fixed(score), sequence]),
        ),
      );
    });
}

import { Command } from 'commander';
import { textClassification } from '../../tasks/index.ts';
import { addInputOptions, readInput, type InputFlags } from '../input.ts';
import type { Io } from '../io.ts';
import { addAdapterOption, addModelOptions, type ModelFlags } from '../modelOptions.ts';
import { addOverflow, fixed, openTask, printResults, shown, watch, type OverflowFlags } from '../taskRun.ts';
import { wholeNumber } from '../values.ts';

interface ClassifyFlags extends InputFlags, ModelFlags, OverflowFlags {
  topK?: number;
}

/** Texts, or pairs → their labels, the best first. */
export function classify(io: Io): Command {
  const command = new Command('classify').description(
    'labels of texts or pairs, from a model for sequence classification',
  );
  return addOverflow(addAdapterOption(addModelOptions(addInputOptions(command, { pairs: true }))))
    .option('--top-k <n>', 'how many labels (default: all)', wholeNumber('--top-k', 1))
    .action(async (args: string[], { json, topK, ...flags }: ClassifyFlags) => {
      const texts = await readInput(args, flags, io);
      const task = await openTask('classify', 'ForSequenceClassification', textClassification, flags, io, 'sentiment');
      const inputs = texts.map((text) => (typeof text === 'string' ? text : { text: text[0], textPair: text[1] }));
      async function* rows() {
        let index = 0;
        for await (const labels of watch('classifying', texts.length, flags, io, (run) =>
          task.stream(inputs, { ...run, topK: topK ?? null }),
        )) {
          yield { index, ...shown(texts[index]), labels: [...labels] };
          index++;
        }
      }
      await printResults(io, json, rows(), ['index', 'label', 'score', 'text'], ({ index, text, labels }) =>
        labels.map(({ label, score }) => [index, label, fixed(score), text]),
      );
    });
}

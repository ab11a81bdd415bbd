import { Command } from 'commander';
import { show, UsageError } from '../../errors.ts';
import { zeroShotClassification } from '../../tasks/index.ts';
import { addInputOptions, readSingleTexts, type InputFlags } from '../input.ts';
import type { Io } from '../io.ts';
import { addAdapterOption, addModelOptions, type ModelFlags } from '../modelOptions.ts';
import { addOverflow, fixed, openTask, printResults, watch, type OverflowFlags } from '../taskRun.ts';
import { given } from '../values.ts';

interface ZeroShotFlags extends InputFlags, ModelFlags, OverflowFlags {
  labels: string[];
  multiLabel?: boolean;
  hypothesisTemplate?: string;
}

/** Texts → which of any labels fits. */
export function zeroShot(io: Io): Command {
  const command = new Command('zero-shot').description(
    'which of your labels fits, from a model of natural language inference',
  );
  return addOverflow(addAdapterOption(addModelOptions(addInputOptions(command, { pairs: false }))))
    .requiredOption('--labels <a,b>', 'labels, with commas between', parseLabels)
    .option('--multi-label', 'any number of labels may be right')
    .option('--hypothesis-template <text>', 'sentence with {} for the label (default: "This example is {}.")')
    .action(async (args: string[], { json, labels, multiLabel, hypothesisTemplate, ...flags }: ZeroShotFlags) => {
      const texts = await readSingleTexts(args, flags, io);
      const task = await openTask('zero-shot', 'ForSequenceClassification', zeroShotClassification, flags, io);
      const own = given<{ multiLabel?: boolean; hypothesisTemplate?: string }>({ multiLabel, hypothesisTemplate });
      async function* rows() {
        let index = 0;
        for await (const result of watch('classifying', texts.length, flags, io, (run) =>
          task.stream(texts, labels, { ...run, ...own }),
        )) {
          const scored = result.labels.map((label, i) => ({ label, score: result.scores[i] }));
          yield { index, text: texts[index], labels: scored };
          index++;
        }
      }
      await printResults(io, json, rows(), ['index', 'label', 'score', 'text'], ({ index, text, labels: scored }) =>
        scored.map(({ label, score }) => [index, label, fixed(score), text]),
      );
    });
}

function parseLabels(text: string): string[] {
  const labels = text.split(',').map((label) => label.trim());
  const fail = (got: string): never => {
    throw new UsageError({ what: '--labels', expected: 'labels with commas between, each once', got });
  };
  if (labels.every((label) => label === '')) fail('none');
  if (labels.includes('')) fail(`an empty one in ${show(text)}`);
  const twice = labels.find((label, i) => labels.indexOf(label) < i);
  return twice === undefined ? labels : fail(`${show(twice)} more than once`);
}

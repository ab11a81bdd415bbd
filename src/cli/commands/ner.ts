import { Command } from 'commander';
import { tokenClassification, type TokenClassificationOptions } from '../../tasks/index.ts';
import { addInputOptions, readSingleTexts, type InputFlags } from '../input.ts';
import type { Io } from '../io.ts';
import { addAdapterOption, addModelOptions, type ModelFlags } from '../modelOptions.ts';
import { addOverflow, fixed, openTask, printResults, watch, type OverflowFlags } from '../taskRun.ts';
import { oneOf } from '../values.ts';

const strategies = ['none', 'simple', 'first', 'average', 'max'] as const;
const units = ['utf16', 'codepoint'] as const;

interface NerFlags extends InputFlags, ModelFlags, OverflowFlags {
  aggregation: (typeof strategies)[number];
  ignoreLabels: string[];
  offsets: (typeof units)[number];
}

/** Texts → the names in them, with their places. */
export function ner(io: Io): Command {
  const command = new Command('ner').description('entities in texts, from a model for token classification');
  return addOverflow(addAdapterOption(addModelOptions(addInputOptions(command, { pairs: false }))), 'chunk')
    .option('--aggregation <way>', strategies.join(', '), oneOf('--aggregation', strategies), 'none')
    .option('--ignore-labels <a,b>', 'labels to leave out', (text: string) => text.split(','), ['O'])
    .option('--offsets <unit>', 'unit of start and end: utf16 or codepoint', oneOf('--offsets', units), 'utf16')
    .action(async (args: string[], { json, aggregation, ignoreLabels, offsets, ...flags }: NerFlags) => {
      const texts = await readSingleTexts(args, flags, io);
      const task = await openTask('ner', 'ForTokenClassification', tokenClassification, flags, io, 'entities');
      const own: TokenClassificationOptions = { aggregationStrategy: aggregation, ignoreLabels, offsets };
      async function* rows() {
        let index = 0;
        for await (const found of watch('tagging', texts.length, flags, io, (run) =>
          task.stream(texts, { ...run, ...own }),
        )) {
          const entities = found.map(({ entity, score, word, start, end }) => ({ entity, score, word, start, end }));
          yield { index, text: texts[index], entities };
          index++;
        }
      }
      await printResults(io, json, rows(), ['index', 'entity', 'score', 'start', 'end', 'word'], (row) =>
        row.entities.map(({ entity, score, word, start, end }) => [row.index, entity, fixed(score), start, end, word]),
      );
    });
}

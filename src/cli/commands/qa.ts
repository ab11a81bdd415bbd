import { Command } from 'commander';
import { UsageError } from '../../errors.ts';
import { questionAnswering, type QuestionAnsweringOptions } from '../../tasks/index.ts';
import { readInputFile } from '../input.ts';
import type { Io } from '../io.ts';
import { addAdapterOption, addModelOptions, type ModelFlags } from '../modelOptions.ts';
import { addOverflow, fixed, openTask, printResults, watch, type OverflowFlags } from '../taskRun.ts';
import { decodeText } from '../textFormats.ts';
import { given, oneOf, wholeNumber } from '../values.ts';

const units = ['utf16', 'codepoint'] as const;

interface QaFlags extends ModelFlags, OverflowFlags {
  question: string;
  context?: string;
  contextFile?: string;
  topK?: number;
  maxAnswerLength?: number;
  handleImpossibleAnswer?: boolean;
  offsets: (typeof units)[number];
}

/** The stretch of a context that answers a question. */
export function qa(io: Io): Command {
  const command = new Command('qa').description('the part of a context that answers a question');
  return addOverflow(addAdapterOption(addModelOptions(command)), 'chunk')
    .requiredOption('--question <text>', 'what to ask')
    .option('--context <text>', 'where the answer is')
    .option('--context-file <file>', 'the same from a text file; - is stdin')
    .option('--top-k <n>', 'how many answers (default: 1)', wholeNumber('--top-k', 1))
    .option('--max-answer-length <n>', 'in tokens (default: 15)', wholeNumber('--max-answer-length', 1))
    .option('--handle-impossible-answer', 'there may be none: an empty answer')
    .option('--offsets <unit>', 'unit of start and end: utf16 or codepoint', oneOf('--offsets', units), 'utf16')
    .action(async ({ json, question, context, contextFile, ...flags }: QaFlags) => {
      const text = await contextOf(context, contextFile, io);
      const task = await openTask('qa', 'ForQuestionAnswering', questionAnswering, flags, io, 'question-answering');
      const { topK, maxAnswerLength, handleImpossibleAnswer, offsets } = flags;
      const own = given<QuestionAnsweringOptions>({ topK, maxAnswerLength, handleImpossibleAnswer, offsets });
      async function* rows() {
        const inputs = [{ question, context: text }];
        for await (const { answers } of watch('reading', 1, flags, io, (run) =>
          task.stream(inputs, { ...run, ...own }),
        )) {
          yield* answers;
        }
      }
      await printResults(io, json, rows(), ['score', 'start', 'end', 'answer'], ({ score, start, end, answer }) => [
        [fixed(score), start, end, answer],
      ]);
    });
}

async function contextOf(context: string | undefined, file: string | undefined, io: Io): Promise<string> {
  if ((context === undefined) === (file === undefined)) {
    const got = context === undefined ? 'neither' : 'both';
    throw new UsageError({ what: 'context', expected: '--context or --context-file', got });
  }
  if (context !== undefined) return context;
  return decodeText(...(await readInputFile(file!, io)));
}

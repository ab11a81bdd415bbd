import type { Command } from 'commander';
import {
  loadTask,
  type Head,
  type Overflow,
  type RunOptions,
  type TaskModel,
  type TextReport,
} from '../tasks/index.ts';
import type { TextInput } from '../tokenizer/index.ts';
import { note, type Io } from './io.ts';
import { adapterLocation, loadOptions, modelLocation, noteUnused, type ModelFlags } from './modelOptions.ts';
import { jsonLine, table, writeLines, type Cell } from './output.ts';
import { given, oneOf } from './values.ts';

const overflows = ['truncate', 'error', 'chunk'] as const;

export interface OverflowFlags {
  overflow?: Overflow;
}

export function addOverflow(command: Command, usual: Overflow = 'truncate'): Command {
  const ways = overflows.map((way) => (way === usual ? `${way} (default)` : way)).join(', ');
  return command.option('--overflow <way>', `for texts too long: ${ways}`, oneOf('--overflow', overflows));
}

/**
 * Loads the model, and the adapter, that the flags name, for a task that needs a head.
 *
 * @param usual the shipped adapter that has it
 */
export async function openTask<T>(
  task: string,
  head: Head,
  make: (loaded: TaskModel) => T,
  flags: ModelFlags,
  io: Io,
  usual?: string,
): Promise<T> {
  const location = modelLocation(flags, io);
  const adapter = await adapterLocation(flags, io, usual);
  const options = { ...(await loadOptions(flags, io)), ...given({ adapter }) };
  const loaded = await loadTask(task, head, location, options);
  await noteUnused(loaded.model, location, io);
  return make(loaded);
}

/** The results of a task as they come, with progress; at the end, says how many texts were truncated. */
export async function* watch<R extends object>(
  label: string,
  total: number,
  flags: OverflowFlags,
  io: Io,
  start: (options: RunOptions) => AsyncIterable<R>,
): AsyncGenerator<R> {
  const progress = io.progress(label, total);
  let truncated = 0;
  try {
    const onProgress = (done: number) => progress.update(done);
    for await (const result of start(given<RunOptions>({ onProgress, overflow: flags.overflow }))) {
      if ((result as Partial<TextReport>).truncated) truncated++;
      yield result;
    }
  } finally {
    progress.stop();
  }
  if (truncated === 0) return;
  const which = total === 1 ? 'the text is' : `${truncated} of ${total} texts are`;
  await note(io, `${which} longer than the model reads and cut there; --overflow chunk reads them whole`);
}

/** How a text is shown again: itself, or both of a pair. */
export function shown(text: TextInput): { text: string; text_pair?: string } {
  return typeof text === 'string' ? { text } : { text: text[0], text_pair: text[1] };
}

/** Results as JSON lines with `--json`, as they come; else as a table, in which a result may have several rows. */
export async function printResults<Row extends object>(
  io: Io,
  json: boolean | undefined,
  results: AsyncIterable<Row>,
  header: string[],
  cells: (row: Row) => Cell[][],
): Promise<void> {
  if (json) return writeLines(io.stdout, lines(results));
  const rows: Cell[][] = [];
  for await (const row of results) rows.push(...cells(row));
  await io.stdout.write(table(header, rows, io.stdout));
}

async function* lines(results: AsyncIterable<object>): AsyncGenerator<string> {
  for await (const row of results) yield jsonLine(row);
}

export const fixed = (score: number) => score.toFixed(4);

import { InputError, show } from '../../errors.ts';
import { linesOf, textOf, type TextSource } from './source.ts';

export type TableFormat = 'tsv' | 'csv' | 'jsonl';

export interface TableOptions {
  format: TableFormat;
  /** Of the file, for messages. */
  name?: string;
  /** Names of the columns of a file whose first line is data already. Default: the first line names them. */
  columns?: readonly string[];
}

/** A record: its fields by name, and its place for messages. Fields of TSV and CSV are text. */
export interface TableRow {
  fields: Record<string, unknown>;
  where: string;
}

/**
 * The records of a file: TSV (no quoting), CSV (RFC 4180) or JSON Lines, one after another, blank lines skipped.
 *
 * @throws InputError naming the line that is malformed
 */
export async function* readTable(source: TextSource, options: TableOptions): AsyncGenerator<TableRow> {
  const { format, name = format, columns } = options;
  if (format === 'jsonl') return yield* readJsonLines(source, name);
  let header = columns && eachOnce(columns, 'columns');
  for await (const { cells, where } of format === 'tsv' ? readTsv(source, name) : readCsv(source, name)) {
    if (header === undefined) {
      header = eachOnce(
        cells.map((cell) => cell.trim()),
        where,
      );
      continue;
    }
    if (cells.length !== header.length) {
      throw new InputError({
        what: where,
        expected: `${header.length} fields (${header.join(', ')})`,
        got: `${cells.length}`,
      });
    }
    yield { fields: Object.fromEntries(header.map((column, i) => [column, cells[i]])), where };
  }
}

function eachOnce(header: readonly string[], what: string): readonly string[] {
  const twice = header.find((column, i) => header.indexOf(column) !== i);
  if (twice !== undefined) throw new InputError({ what, expected: `one column ${show(twice)}`, got: 'two' });
  return header;
}

interface Cells {
  cells: string[];
  where: string;
}

async function* readTsv(source: TextSource, name: string): AsyncGenerator<Cells> {
  for await (const { text, where } of linesOf(source, name)) {
    if (text !== '') yield { cells: text.split('\t'), where }; // a blank line is no record
  }
}

/** A field without quotes, and what follows a field. */
const [CSV_PLAIN, CSV_END] = [/[^",\r\n]*/y, /,|\r\n|\n|\r|$/y];

/** Whole at once: a quoted field may hold line ends. */
async function* readCsv(source: TextSource, name: string): AsyncGenerator<Cells> {
  const text = await textOf(source, name);
  let cells: string[] = [];
  let line = 1;
  for (let [from, start] = [0, 1]; from < text.length || cells.length > 0;) {
    const isQuoted = text[from] === '"';
    const to = isQuoted ? quoteEnd(text, from) : from + matchAt(CSV_PLAIN, text, from)!.length;
    const end = matchAt(CSV_END, text, to);
    if (end === undefined) {
      const got = show(text.slice(from, from + 40));
      const expected = 'a CSV field, its quotes closed and doubled inside';
      throw new InputError({ what: `${name}:${line}`, expected, got });
    }
    cells.push(isQuoted ? text.slice(from + 1, to - 1).replaceAll('""', '"') : text.slice(from, to));
    line += text.slice(from, to + end.length).match(/\r\n|\n|\r/g)?.length ?? 0;
    from = to + end.length;
    if (end === ',') continue;
    if (cells.length > 1 || cells[0] !== '') yield { cells, where: `${name}:${start}` }; // a blank line is no record
    [cells, start] = [[], line];
  }
}

function matchAt(sticky: RegExp, text: string, at: number): string | undefined {
  sticky.lastIndex = at;
  return sticky.exec(text)?.[0];
}

/** Where a quoted field ends; beyond the text if it stays open. A loop, for a regular expression overflows the stack. */
function quoteEnd(text: string, from: number): number {
  let at = text.indexOf('"', from + 1);
  while (at >= 0 && text[at + 1] === '"') at = text.indexOf('"', at + 2);
  return (at < 0 ? text.length : at) + 1;
}

async function* readJsonLines(source: TextSource, name: string): AsyncGenerator<TableRow> {
  for await (const { text, where } of linesOf(source, name)) {
    if (text.trim() === '') continue;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw new InputError({ what: where, expected: 'a line of JSON', got: show(text), cause });
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new InputError({ what: where, expected: 'a JSON object', got: show(value) });
    }
    yield { fields: value as Record<string, unknown>, where };
  }
}

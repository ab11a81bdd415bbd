import type { Io, Output } from './io.ts';
import { clean, displayWidth, fit } from './display.ts';

export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

/** Writes lines in pieces of some size: one write for each would be slow, one for all would need all the memory. */
export async function writeLines(output: Output, lines: Iterable<string> | AsyncIterable<string>): Promise<void> {
  let buffer = '';
  for await (const line of lines) {
    buffer += line;
    if (buffer.length < 65536) continue;
    await output.write(buffer);
    buffer = '';
  }
  if (buffer !== '') await output.write(buffer);
}

export type Cell = string | number;

/**
 * Rows under a header, each column as wide as its widest cell; numbers to the right. Texts are shown on one line, and on
 * a terminal the last column is cut to what fits.
 */
export function table(header: string[], rows: readonly Cell[][], output: Output): string {
  const lines = [header, ...rows].map((row) => row.map((cell) => clean(String(cell))));
  const widths = header.map((_, column) =>
    lines.reduce((widest, row) => Math.max(widest, displayWidth(row[column])), 0),
  );
  const last = header.length - 1;
  const before = widths.slice(0, last).reduce((sum, width) => sum + width + 2, 0);
  if (output.isTTY) widths[last] = Math.min(widths[last], Math.max(10, output.columns - before));
  const right = header.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === 'number'));
  return lines
    .map((row) => row.map((cell, column) => fit(cell, widths[column], right[column])).join('  '))
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}

/** Rows of results: as JSON lines with `--json`, else as a table of the columns. */
export async function printRows<Row extends object>(
  io: Io,
  json: boolean | undefined,
  rows: readonly Row[],
  columns: { [title: string]: (row: Row) => Cell },
): Promise<void> {
  if (json) return writeLines(io.stdout, rows.map(jsonLine));
  const cells = rows.map((row) => Object.values(columns).map((cell) => cell(row)));
  await io.stdout.write(table(Object.keys(columns), cells, io.stdout));
}

/** The first few of many names. */
export function listed(names: readonly string[]): string {
  return names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ');
}

/** 1234567 → "1.2 MB" */
export function megabytes(bytes: number): string {
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

import { parse, type CsvError } from 'csv-parse/sync';
import { InputError, misspelt, show, UsageError } from '../errors.ts';
import type { TextInput } from '../tokenizer/index.ts';

export const textFormats = ['txt', 'jsonl', 'tsv', 'csv'] as const;
export type TextFormat = (typeof textFormats)[number];

/** What a file name says; a name without an extension is plain text. @throws UsageError for another extension */
export function formatOf(path: string): TextFormat {
  const extension = /[^/\\]\.([^./\\]+)$/.exec(path)?.[1].toLowerCase() ?? 'txt';
  const format = textFormats.find((name) => name === extension);
  if (format !== undefined) return format;
  const expected = textFormats.map((name) => `.${name}`).join(', ');
  throw new UsageError({ what: path, expected, got: `.${extension}`, fix: 'say which it is with --input-format' });
}

/** @throws InputError naming the line */
export function parseTexts(bytes: Uint8Array, format: TextFormat, file: string): TextInput[] {
  const text = decodeText(bytes, file);
  switch (format) {
    case 'txt':
      return linesOf(text);
    case 'jsonl':
      return parseJsonLines(text, file).map(({ value, where }) => textOfJson(value, where));
    case 'tsv':
      return textsOfRows(
        linesOf(text).map((line, i) => ({ fields: line.split('\t'), where: `${file}:${i + 1}` })),
        file,
      );
    case 'csv':
      return textsOfRows(parseCsv(text, file), file);
  }
}

/** UTF-8 text, without a byte order mark. @throws InputError naming the first line that is not UTF-8 */
export function decodeText(bytes: Uint8Array, file: string): string {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    let line = 0;
    for (let start = 0; start <= bytes.length; line++) {
      const end = bytes.indexOf(0x0a, start);
      const part = bytes.subarray(start, end < 0 ? bytes.length : end);
      if (!isUtf8(part, decoder)) break;
      start += part.length + 1;
    }
    const fix = 'convert the file to UTF-8';
    throw new InputError({ what: `${file}:${line + 1}`, expected: 'UTF-8', got: 'other bytes', fix, cause });
  }
}

function isUtf8(bytes: Uint8Array, decoder: TextDecoder): boolean {
  try {
    decoder.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Lines that end in LF or CRLF; the end of the last one begins no further line. */
function linesOf(text: string): string[] {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** The values of JSON Lines, each with its place for messages. Blank lines are skipped: they hold no value. */
export function parseJsonLines(text: string, file: string): { value: unknown; where: string }[] {
  const values: { value: unknown; where: string }[] = [];
  for (const [i, line] of linesOf(text).entries()) {
    if (line.trim() === '') continue;
    const where = `${file}:${i + 1}`;
    try {
      values.push({ value: JSON.parse(line), where });
    } catch (cause) {
      throw new InputError({ what: where, expected: 'a line of JSON', got: show(line), cause });
    }
  }
  return values;
}

function textOfJson(value: unknown, where: string): TextInput {
  if (typeof value === 'string') return value;
  const fields = Object(value) as { text?: unknown; text_pair?: unknown };
  for (const name of ['text', 'text_pair']) columnOf(name, Object.keys(fields), where, 'field');
  const { text, text_pair: pair = null } = fields;
  if (typeof text === 'string' && pair === null) return text;
  if (typeof text === 'string' && typeof pair === 'string') return [text, pair];
  const expected = 'a string, or an object with a string in "text" (and in "text_pair", if there is one)';
  throw new InputError({ what: where, expected, got: show(value) });
}

interface Row {
  fields: string[];
  where: string;
}

function parseCsv(text: string, file: string): Row[] {
  try {
    const rows = parse(text, {
      info: true,
      relax_column_count: true,
      record_delimiter: ['\r\n', '\n', '\r'], // a file may mix them
    }) as unknown as {
      record: string[];
      info: { lines: number };
    }[];
    return rows.map(({ record, info }) => ({ fields: record, where: `${file}:${info.lines}` }));
  } catch (error) {
    const { lines = '?', message } = error as CsvError & { lines?: number };
    throw new InputError({ what: `${file}:${lines}`, expected: 'CSV', got: message, cause: error });
  }
}

/** Texts from the columns that the header calls `text` and, for pairs, `text_pair`; other columns are left alone. */
function textsOfRows([header, ...rows]: Row[], file: string): TextInput[] {
  if (header === undefined) return [];
  const names = header.fields.map((name) => name.trim());
  const first = columnOf('text', names, `${file}:1`);
  const second = columnOf('text_pair', names, `${file}:1`);
  if (first < 0) {
    throw new InputError({
      what: `${file}:1`,
      expected: 'a header with a column "text" (and "text_pair" for pairs)',
      got: show(names.join(', ')),
    });
  }
  return rows.map(({ fields, where }): TextInput => {
    if (fields.length !== header.fields.length) {
      const expected = `${header.fields.length} fields, as in the header`;
      throw new InputError({ what: where, expected, got: `${fields.length}` });
    }
    return second < 0 ? fields[first] : [fields[first], fields[second]];
  });
}

/**
 * The place of a column, or of a field; -1 when there is none.
 *
 * @throws InputError for one that is there twice, or under a name that is nearly this one, such as `Text-Pair`: to leave it out
 *         would change the texts without a word
 */
function columnOf(name: string, names: readonly string[], where: string, kind = 'column'): number {
  const alike = [...names.filter((other) => other === name), ...misspelt(name, names)];
  if (alike.length > 1 || (alike.length === 1 && alike[0] !== name)) {
    const expected = `one ${kind} "${name}"`;
    const got = alike.map(show).join(' and ');
    throw new InputError({ what: where, expected, got, fix: `correct the ${kind}'s name` });
  }
  return names.indexOf(name);
}

import type { Command } from 'commander';
import { InputError, UsageError } from '../errors.ts';
import type { TextInput } from '../tokenizer/index.ts';
import { formatOf, parseTexts, textFormats, type TextFormat } from './textFormats.ts';
import type { Io } from './io.ts';
import { oneOf } from './values.ts';

export interface InputFlags {
  pair?: string[];
  input?: string;
  inputFormat?: TextFormat;
}

/** `[texts…]`, `--input`, and `--pair` for commands that take pairs of texts. */
export function addInputOptions(command: Command, { pairs }: { pairs: boolean }): Command {
  command.argument('[texts...]', 'texts; after -- when they begin with -');
  if (pairs) {
    const collect = (text: string, others: string[] = []) => [...others, text];
    command.option('--pair <text>', 'second text: one for all texts, or as many as texts', collect);
  }
  return addFormatOption(command.option('--input <file>', 'texts from .txt, .jsonl, .tsv or .csv; - is stdin'));
}

export function addFormatOption(command: Command): Command {
  return command.option('--input-format <format>', textFormats.join(', '), oneOf('--input-format', textFormats));
}

/** The texts and pairs that a command was given, one at least. @throws UsageError, FileError, InputError */
export async function readInput(texts: string[], flags: InputFlags, io: Io): Promise<TextInput[]> {
  const { pair, input } = flags;
  if (input === undefined) {
    if (texts.length > 0) return pair === undefined ? texts : withPairs(texts, pair);
    throw new UsageError({ what: 'no texts', fix: 'give them as arguments, or a file with --input FILE (- is stdin)' });
  }
  const extra = texts.length > 0 ? 'texts as arguments' : pair && '--pair';
  if (extra) throw new UsageError({ what: '--input', got: `${extra} too`, fix: 'use one or the other' });
  return readTexts(input, flags.inputFormat, io);
}

/** The texts of commands that take no pairs. */
export async function readSingleTexts(texts: string[], flags: InputFlags, io: Io): Promise<string[]> {
  return withoutPairs(await readInput(texts, flags, io), flags.input);
}

export function withoutPairs(texts: TextInput[], source = 'arguments'): string[] {
  return texts.map((text, index) => {
    if (typeof text === 'string') return text;
    throw new InputError({ what: `${source}: text ${index}`, expected: 'a single text', got: 'a pair of texts' });
  });
}

/** @throws FileError, InputError naming the line */
export async function readTexts(path: string, format: TextFormat | undefined, io: Io): Promise<TextInput[]> {
  const [bytes, name] = await readInputFile(path, io);
  const texts = parseTexts(bytes, format ?? formatOf(path), name);
  if (texts.length > 0) return texts;
  throw new InputError({ what: name, expected: 'at least one text', got: bytes.length > 0 ? 'none' : 'an empty file' });
}

/** @returns its content and its name in messages */
export async function readInputFile(path: string, io: Io): Promise<[Uint8Array, string]> {
  return path === '-' ? [await io.stdin.read(), 'stdin'] : [await io.readFile(path), path];
}

function withPairs(texts: string[], pair: string[]): TextInput[] {
  if (pair.length === 1 || pair.length === texts.length) {
    return texts.map((text, i): TextInput => [text, pair[pair.length === 1 ? 0 : i]]);
  }
  throw new UsageError({ what: '--pair', expected: `once, or ${texts.length} times`, got: `${pair.length} times` });
}

import { CommanderError, type Command } from 'commander';
import { BertscriptError } from '../errors.ts';
import { escapeControls } from './display.ts';
import { CheckFailed } from './io.ts';
import { REASONS } from './reasons.ts';

/** What an error makes of the command that threw it: the exit code, and the line to print. */
export function verdict(error: unknown, command: Command | undefined): { code: number; message: string } {
  if (error instanceof CheckFailed) return { code: 1, message: oneLine(error.message) };
  if (error instanceof BertscriptError) return { code: 2, message: oneLine(withFlags(error.message, command)) };
  if (error instanceof CommanderError) return { code: 2, message: oneLine(usageMessage(error)) };
  const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return { code: 3, message: oneLine(`internal error, please report it (--debug shows where): ${what}`) };
}

function usageMessage({ code, message }: CommanderError): string {
  const text = message.replace(/^error: /, '');
  if (code !== 'commander.unknownOption') return text;
  return /'--[a-z-]+'/.test(text)
    ? `${text}; see --help`
    : `${text}; see --help, and put -- before texts that begin with -`;
}

/** What the library says to those who call it, and what it comes to on the command line. */
const WORDS: readonly [RegExp, string][] = [
  [/, or start the missing ones with initializeMissing/, ''],
  [/set addSpecialTokens to false/, 'pass --no-special-tokens'],
  [/let overflow be "truncate" or "chunk"/, 'pass --overflow truncate or --overflow chunk'],
  [/or use "longest_first"/, 'or pass --truncation longest_first'],
  [/\blower stride\b/, 'lower --stride'],
  [/\(maxLength\)/, '(tokenize --max-length)'],
  [/\binputIds\b/g, 'input_ids'],
  [/\battentionMask\b/g, 'attention_mask'],
  [/\btokenTypeIds\b/g, 'token_type_ids'],
  [/\bpositionIds\b/g, 'position_ids'],
  ...Object.entries(REASONS).map(([code, reason]): [RegExp, string] => [
    new RegExp(`\\bgot ${code}\\b`),
    `got ${reason}`,
  ]),
];

/** The library calls its options as its callers write them, `maxLength`; here they are flags, `--max-length`. */
function withFlags(libraryMessage: string, command: Command | undefined): string {
  const message = WORDS.reduce((text, [word, here]) => text.replace(word, here), libraryMessage);
  const compound = (command?.options ?? []).filter((option) => /[a-z][A-Z]/.test(option.attributeName()));
  return compound.reduce((text, option) => {
    return text.replace(new RegExp(`\\b${option.attributeName()}\\b`, 'g'), option.long ?? option.flags);
  }, message);
}

const oneLine = (text: string) => escapeControls(text.trim().replace(/\s*[\r\n]+\s*/g, ' '));

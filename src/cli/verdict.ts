import { CommanderError, type Command } from 'commander';
import { BertscriptError } from '../errors.ts';
import { escapeControls } from './display.ts';
import { CheckFailed } from './io.ts';
import { inFlags } from './words.ts';

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

/** The library calls its options as its callers write them, `maxLength`; here they are flags, `--max-length`. */
function withFlags(libraryMessage: string, command: Command | undefined): string {
  const message = inFlags(libraryMessage);
  const compound = (command?.options ?? []).filter((option) => /[a-z][A-Z]/.test(option.attributeName()));
  return compound.reduce((text, option) => {
    return text.replace(new RegExp(`\\b${option.attributeName()}\\b`, 'g'), option.long ?? option.flags);
  }, message);
}

const oneLine = (text: string) => escapeControls(text.trim().replace(/\s*[\r\n]+\s*/g, ' '));

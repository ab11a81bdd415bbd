import { Command, CommanderError } from 'commander';
import { BertscriptError, UsageError } from '../errors.ts';
import { commands } from './commands/index.ts';
import { CheckFailed, ClosedPipe, type Io } from './io.ts';

/**
 * The command line.
 *
 * @param argv arguments, without those of node and the script
 * @returns the exit code: 0 done, 1 a check failed, 2 bad usage or bad input, 3 an error of this program
 */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  const program = commandLine(io);
  const name = argv.find((argument) => !argument.startsWith('-'));
  const known = program.commands.map((command) => command.name());
  try {
    if (name !== undefined ? ![...known, 'help'].includes(name) : argv.every((argument) => argument === '--debug')) {
      throw new UsageError({
        what: name === undefined ? 'no command' : `unknown command ${name}`,
        fix: `use one of ${known.join(', ')}`,
      });
    }
    await program.parse(argv);
    return 0;
  } catch (error) {
    if (error instanceof ClosedPipe) return 0;
    const { code, message } = verdict(error);
    const command = program.commands.find((candidate) => candidate.name() === name);
    const prefix = command ? `bertscript ${name}` : 'bertscript';
    const debug = argv.includes('--debug') || Boolean(io.env.BERTSCRIPT_DEBUG);
    const stack = debug && error instanceof Error ? `${error.stack}\n` : '';
    await io.stderr.write(`${prefix}: ${oneLine(withFlags(message, command))}\n${stack}`).catch(() => {});
    return code;
  }
}

function commandLine(io: Io): { commands: readonly Command[]; parse(argv: readonly string[]): Promise<void> } {
  let help = '';
  const program = new Command('bertscript')
    .description('The BERT family in pure TypeScript: text in, embeddings out, every number checked against PyTorch.')
    .version(io.versions.bertscript, '--version')
    .option('--debug', 'show the stack of an error')
    .exitOverride()
    .configureOutput({ writeOut: (text) => (help += text), writeErr: () => {} });
  for (const command of commands) program.addCommand(command(io).copyInheritedSettings(program));
  return {
    commands: program.commands,
    async parse(argv) {
      try {
        await program.parseAsync([...argv], { from: 'user' });
      } catch (error) {
        const asked = error instanceof CommanderError && error.exitCode === 0; // for --help or --version
        if (!asked) throw error;
        await io.stdout.write(help);
      }
    },
  };
}

function verdict(error: unknown): { code: number; message: string } {
  if (error instanceof CheckFailed) return { code: 1, message: error.message };
  if (error instanceof BertscriptError) return { code: 2, message: error.message };
  if (error instanceof CommanderError) return { code: 2, message: usageMessage(error) };
  const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return { code: 3, message: `internal error, please report it (--debug shows where): ${what}` };
}

function usageMessage({ code, message }: CommanderError): string {
  const text = message.replace(/^error: /, '');
  return code === 'commander.unknownOption' ? `${text}; see --help, and put -- before texts that begin with -` : text;
}

/** The library calls its options as its callers write them, `maxLength`; here they are flags, `--max-length`. */
function withFlags(message: string, command: Command | undefined): string {
  const compound = (command?.options ?? []).filter((option) => /[a-z][A-Z]/.test(option.attributeName()));
  return compound.reduce((text, option) => {
    return text.replace(new RegExp(`\\b${option.attributeName()}\\b`, 'g'), option.long ?? option.flags);
  }, message);
}

const oneLine = (text: string) => text.trim().replace(/\s*[\r\n]+\s*/g, ' ');

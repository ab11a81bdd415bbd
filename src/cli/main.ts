import { Command, CommanderError } from 'commander';
import { UsageError } from '../errors.ts';
import { commands } from './commands/index.ts';
import { escapeControls } from './display.ts';
import { ClosedPipe, type Io } from './io.ts';
import { verdict } from './verdict.ts';

/**
 * The command line.
 *
 * @param argv arguments, without those of node and the script
 * @returns the exit code: 0 done, 1 a check failed, 2 bad usage or bad input, 3 an error of this program
 */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  const available = commands.map((command) => command(io));
  const name = argv.find((argument) => !argument.startsWith('-'));
  const command = available.find((candidate) => candidate.name() === name);
  try {
    if (name === undefined ? argv.every((argument) => argument === '--debug') : !command) {
      const names = available.map((candidate) => candidate.name()).join(', ');
      const what = name === undefined ? 'no command' : `unknown command ${name}`;
      throw new UsageError({ what, fix: `use one of ${names}, or --help` });
    }
    await parse(argv, available, io);
    return 0;
  } catch (error) {
    if (error instanceof ClosedPipe) return 0;
    const { code, message } = verdict(error, command);
    const debug = argv.includes('--debug') || Boolean(io.env.BERTSCRIPT_DEBUG);
    const trace = debug && error instanceof Error ? `${error.stack}\n` : '';
    const stack = trace.split('\n').map(escapeControls).join('\n');
    const prefix = command ? `${command.name()}: ` : '';
    const once = message.startsWith(prefix) ? message : prefix + message; // a task names itself too
    await io.stderr.write(`bertscript${command ? ' ' : ': '}${once}\n${stack}`).catch(() => {});
    return code;
  }
}

/** Runs the command that `argv` names, or prints the help that it asks for. @throws CommanderError for bad usage */
async function parse(argv: readonly string[], available: readonly Command[], io: Io): Promise<void> {
  let help = '';
  const program = new Command('bertscript')
    .description('The BERT family in pure TypeScript: text in, embeddings out, every number checked against PyTorch.')
    .version(io.versions.bertscript, '--version')
    .option('--debug', 'show the stack of an error')
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ writeOut: (text) => (help += text), writeErr: () => {} });
  for (const command of available) program.addCommand(command.copyInheritedSettings(program));
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError && error.exitCode === 0)) throw error;
    await io.stdout.write(help); // commander ends --help and --version with an error, too
  }
}

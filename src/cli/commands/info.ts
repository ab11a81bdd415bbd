import { Command } from 'commander';
import { openFiles, readObject } from '../../hub/index.ts';
import type { Io } from '../io.ts';
import { addModelOptions, loadOptions, modelLocation, type ModelFlags } from '../modelOptions.ts';
import { jsonLine } from '../output.ts';
import { inFlags } from '../words.ts';

/** What computes here, and what faster ways are not in use and why. */
export function info(io: Io): Command {
  const command = new Command('info').description('what computes here: kernels, threads, versions');
  return addModelOptions(command).action(async (flags: ModelFlags) => {
    const model = flags.model === undefined ? (io.shippedModel ?? null) : modelLocation(flags, io);
    if (flags.model !== undefined) await readObject(openFiles(model!), 'config.json', 'the config of a model');
    const { engine } = await loadOptions(flags, io);
    const { notes: reasons, ...facts } = engine!.info();
    const notes = reasons.map(inFlags);
    const { bertscript, ...rest } = io.versions;
    const all = { version: bertscript, ...rest, model, ...facts };
    if (flags.json) return io.stdout.write(jsonLine({ ...all, notes }));
    const lines = [...Object.entries(all), ...notes.map((text) => ['note', text] as const)];
    await io.stdout.write(lines.map(([key, value]) => `${key.padEnd(10)} ${value ?? 'none'}\n`).join(''));
  });
}

import { Command } from 'commander';
import { loadAnyModel } from '../../bert/index.ts';
import { isInputName, isLabelName, isOutputName, parseReference, runReference } from '../../parity/index.ts';
import { writeSafetensors, type TensorInput } from '../../safetensors/index.ts';
import { note, type Io } from '../io.ts';
import { addModelOptions, loadOptions, modelLocation, noteUnused, type ModelFlags } from '../modelOptions.ts';
import { listed, megabytes, printRows } from '../output.ts';

interface ForwardFlags extends ModelFlags {
  input: string;
  output: string;
  hiddenStates?: boolean;
  attentions?: boolean;
}

/** Runs the class that config.json names on the inputs of a file, and writes those and its outputs to another. */
export function forward(io: Io): Command {
  const command = new Command('forward').description('run a model on the token ids of a safetensors file');
  return addModelOptions(command)
    .requiredOption('--input <file>', 'safetensors file with input_ids, attention_mask, token_type_ids, position_ids')
    .requiredOption('--output <file>', 'safetensors file to write: the inputs, and the outputs padded to [B, S, …]')
    .option('--hidden-states', "write the embeddings' and every layer's output too")
    .option('--attentions', "write every layer's attention probabilities too")
    .action(async ({ input, output, json, hiddenStates = false, attentions = false, ...flags }: ForwardFlags) => {
      const reference = parseReference(await io.readFile(input), input);
      const unknown = [...reference.tensors.keys()].filter((name) => !isInputName(name) && !isOutputName(name));
      if (unknown.length > 0) await note(io, `${input}: neither inputs nor outputs, so left out: ${listed(unknown)}`);
      const location = modelLocation(flags, io);
      const model = await loadAnyModel(location, await loadOptions(flags, io));
      await noteUnused(model, location, io);
      const outputs = runReference(model, reference, { hiddenStates, attentions });
      const labels = [...reference.tensors.keys()].filter(isLabelName);
      if (labels.length > 0 && !outputs.has('loss')) {
        await note(io, `${listed(labels)}: copied; this model has no loss that they serve`);
      }
      const tensors = new Map<string, TensorInput>([...reference.tensors].filter(([name]) => isInputName(name)));
      for (const [name, { data, shape }] of outputs) tensors.set(name, { data, shape });
      const metadata = { format: 'pt', producer: `bertscript ${io.versions.bertscript}` };
      const bytes = writeSafetensors(tensors, metadata);
      await io.writeFile(output, (write) => write(bytes));
      const rows = [...outputs].map(([tensor, { shape }]) => ({ tensor, dtype: 'F32', shape }));
      await printRows(io, json, rows, {
        tensor: ({ tensor }) => tensor,
        dtype: ({ dtype }) => dtype,
        shape: ({ shape }) => `[${shape.join(', ')}]`,
      });
      if (!json) await io.stdout.write(`\n${tensors.size} tensors, ${megabytes(bytes.length)}, in ${output}\n`);
    });
}

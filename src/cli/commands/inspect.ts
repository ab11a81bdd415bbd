import { Command } from 'commander';
import { configClassOf, openModelFiles, type BertConfig } from '../../bert/index.ts';
import { show } from '../../errors.ts';
import { nameOf, readObject } from '../../hub/index.ts';
import { loadTensors, type TensorView } from '../../safetensors/index.ts';
import type { Io } from '../io.ts';
import { addModelOptions, modelLocation, type ModelFlags } from '../modelOptions.ts';
import { jsonLine, megabytes, table } from '../output.ts';

const TOKENS = 128;

/** What is in a model folder, without running it. */
export function inspect(io: Io): Command {
  const command = new Command('inspect').description('config, tensors and sizes of a model');
  return addModelOptions(command).action(async (flags: ModelFlags) => {
    const files = openModelFiles(modelLocation(flags, io));
    const json = await readObject(files, 'config.json', 'the config of a model');
    const name = nameOf(files, 'config.json');
    const config = configClassOf(json, name).fromJSON(json, name);
    const { tensors, metadata } = await loadTensors(files);
    const views = [...tensors.values()];
    const rows = views.map(({ name, dtype, shape, bytes }) => ({ name, dtype, shape, bytes: bytes.length }));
    const report = {
      model: files.location,
      config: json,
      metadata: Object.fromEntries(metadata),
      parameters: countParameters(views),
      bytes: rows.reduce((sum, { bytes }) => sum + bytes, 0),
      memory: memoryEstimate(config, countParameters(views)),
      tensors: rows,
    };
    await io.stdout.write(flags.json ? jsonLine(report) : readable(report, io));
  });
}

/** Numbers that were trained: no integer buffers, such as position ids, and no scales, which belong to int8 numbers. */
function countParameters(views: readonly TensorView[]): number {
  const trained = views.filter(({ name, dtype }) => (dtype === 'I8' || /F/.test(dtype)) && !name.endsWith('_scale'));
  return trained.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
}

/** Bytes in use: weights as float32, and what a forward pass over one text of 128 tokens makes on the way. */
function memoryEstimate(config: BertConfig, parameters: number) {
  const { hiddenSize, intermediateSize, maxSequenceLength } = config;
  const tokens = Math.min(TOKENS, maxSequenceLength);
  // Of one layer at a time: its input, query, key, value, context, two projections and two sums, and the feed-forward.
  const perToken = 9 * hiddenSize + intermediateSize;
  return { weights: 4 * parameters, activations: 4 * tokens * perToken, tokens };
}

interface Inspection {
  model: string;
  config: Record<string, unknown>;
  metadata: Record<string, string>;
  parameters: number;
  bytes: number;
  memory: ReturnType<typeof memoryEstimate>;
  tensors: { name: string; dtype: string; shape: readonly number[]; bytes: number }[];
}

function readable({ model, config, metadata, parameters, bytes, memory, tensors }: Inspection, io: Io): string {
  const entries = [
    ...Object.entries(config),
    ...Object.entries(metadata).map(([k, v]) => [`metadata.${k}`, v] as const),
  ];
  const facts = entries.map(([key, value]) => [key, typeof value === 'string' ? value : show(value)]);
  const list = tensors.map(({ name, dtype, shape, bytes }) => [name, dtype, `[${shape.join(', ')}]`, bytes]);
  return [
    `${model}\n`,
    table(['config', 'value'], facts, io.stdout),
    table(['tensor', 'dtype', 'shape', 'bytes'], list, io.stdout),
    [
      `${tensors.length} tensors, ${parameters.toLocaleString('en')} parameters, ${megabytes(bytes)} in the file`,
      `memory, estimated: ${megabytes(memory.weights)} of weights, ${megabytes(memory.activations)} for ${memory.tokens} tokens\n`,
    ].join('\n'),
  ].join('\n');
}

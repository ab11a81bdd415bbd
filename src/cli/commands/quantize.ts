import { Command } from 'commander';
import { AutoModel, openModelFiles, quantizationConfig, quantizeTensors } from '../../bert/index.ts';
import { UsageError } from '../../errors.ts';
import { filesBelow, readObject, type ModelFiles } from '../../hub/index.ts';
import { calibrationBatches, roundEncoder } from '../../quantization/index.ts';
import {
  loadTensors,
  toFloat32,
  writeSafetensors,
  type TensorInput,
  type TensorView,
} from '../../safetensors/index.ts';
import { AutoTokenizer } from '../../tokenizer/index.ts';
import { MODULE_FILES, moduleFolders } from '../sentenceFiles.ts';
import { note, type Io } from '../io.ts';
import { addModelOptions, loadOptions, modelLocation, type ModelFlags } from '../modelOptions.ts';
import { jsonLine, megabytes } from '../output.ts';
import { oneOf } from '../values.ts';

const methods = ['gptq', 'plain'] as const;

interface QuantizeFlags extends ModelFlags {
  output: string;
  method: (typeof methods)[number];
  force?: boolean;
}

/** Of which a tokenizer is made. */
const TOKENIZER_FILES = [
  'tokenizer.json',
  'vocab.txt',
  'vocab.json',
  'merges.txt',
  'spiece.model',
  'sentencepiece.bpe.model',
  'spm.model',
];
/** Files that go along with the weights unchanged: of the tokenizer, and of sentence-transformers. */
const COMPANIONS = [
  ...TOKENIZER_FILES,
  'tokenizer_config.json',
  'special_tokens_map.json',
  'modules.json',
  'sentence_bert_config.json',
  'config_sentence_transformers.json',
  'README.md',
];
const WEIGHTS = 'model.safetensors';

/** Stores a model's matrices in int8, in a folder of its own. */
export function quantize(io: Io): Command {
  const command = new Command('quantize').description('store the matrices of a model in int8');
  return addModelOptions(command)
    .requiredOption('--output <dir>', 'folder for the new model')
    .option(
      '--method <name>',
      'gptq halves the error but takes minutes, plain rounds each weight to the nearest',
      oneOf('--method', methods),
      'gptq',
    )
    .option('--force', 'overwrite a model that is there')
    .action(async ({ output, method, force = false, json, ...flags }: QuantizeFlags) => {
      const location = modelLocation(flags, io);
      await checkOutput(output, location, force, io);
      const all = openModelFiles(location);
      const [base = '', ...folders] = await moduleFolders(all);
      const files = filesBelow(all, base);
      const at = (path: string) => (base === '' ? path : `${base}/${path}`);
      const report = await io.writeFolder(output, async (write): Promise<QuantizeReport> => {
        const config = await readObject(files, 'config.json', 'the config of a model');
        const { tensors, metadata } = await loadTensors(files);
        let quantized = quantizeTensors(tensors); // for gptq too, so that what cannot be quantized is refused at once
        if (method === 'gptq') quantized = quantizeTensors(tensors, await gptq(files, flags, io));
        const source = await checksums(files, tensors);
        const bytes = writeSafetensors(quantized, {
          ...Object.fromEntries(metadata),
          producer: `bertscript ${io.versions.bertscript} quantize`,
          method: `${method}: symmetric int8, a scale per row`,
          source_sha256: source,
        });
        const newConfig = { ...config, quantization_config: quantizationConfig(quantized) };
        const modules = folders.flatMap((folder) => MODULE_FILES.map((file) => `${folder}/${file}`));
        for (const path of new Set([...COMPANIONS, ...COMPANIONS.map(at), ...modules])) {
          const content = await all.read(path);
          if (content !== undefined) await write(path, content);
        }
        await write(at('config.json'), `${JSON.stringify(newConfig, null, 2)}\n`);
        await write(at(WEIGHTS), bytes); // last: until it is there, the folder is no model
        return {
          output,
          method,
          tensors: tensors.size,
          ...roundingError(tensors, quantized),
          bytes_before: [...tensors.values()].reduce((sum, view) => sum + view.bytes.length, 0),
          bytes_after: bytes.length,
          source_sha256: source,
        };
      });
      await io.stdout.write(json ? jsonLine(report) : readable(report));
    });
}

/** The encoder's matrices, rounded with a view to what they compute. Runs the model, so it takes a while. */
async function gptq(files: ModelFiles, flags: ModelFlags, io: Io): Promise<Map<string, Int8Array>> {
  const model = await AutoModel.fromPretrained(files, { ...(await loadOptions(flags, io)), dtype: 'f32' });
  const batches = calibrationBatches(model.config, await endsOfText(files, io));
  const progress = io.progress('layers · batches', model.encoder.layers.length * batches.length);
  try {
    return await roundEncoder(model, batches, async (done) => {
      progress.update(done);
      await new Promise((resume) => setTimeout(resume, 0)); // lets signals through
    });
  } finally {
    progress.stop();
  }
}

async function hasTokenizer(files: ModelFiles): Promise<boolean> {
  for (const file of TOKENIZER_FILES) if ((await files.read(file)) !== undefined) return true;
  return false;
}

/** The ids that the tokenizer puts around a text: [CLS] and [SEP]. */
async function endsOfText(files: ModelFiles, io: Io): Promise<[number, number] | null> {
  if (!(await hasTokenizer(files))) {
    await note(io, 'no tokenizer here: calibrating without [CLS] and [SEP]');
    return null;
  }
  const { inputIds } = (await AutoTokenizer.fromPretrained(files)).encode('');
  return inputIds.length === 2 ? [inputIds[0], inputIds[1]] : null;
}

async function checkOutput(output: string, location: string, force: boolean, io: Io): Promise<void> {
  const fix = 'pass another folder';
  if ((await io.realPath(output)) === (await io.realPath(location))) {
    throw new UsageError({ what: `--output ${output}`, expected: 'another folder than --model', got: 'the same', fix });
  }
  for (const file of force ? [] : [WEIGHTS, 'modules.json']) {
    if (!(await io.exists(`${output}/${file}`))) continue;
    throw new UsageError({ what: `--output ${output}`, got: `a folder that holds ${file}`, fix: `${fix}, or --force` });
  }
}

/** Of the weights files: one checksum, or `name:checksum` for each of several shards. */
async function checksums(files: ModelFiles, tensors: ReadonlyMap<string, TensorView>): Promise<string> {
  const names = new Set([...tensors.values()].map(({ file = WEIGHTS }) => file.slice(file.lastIndexOf('/') + 1)));
  const sums: string[] = [];
  for (const name of names) {
    const digest = await crypto.subtle.digest('SHA-256', (await files.read(name)) as Uint8Array<ArrayBuffer>);
    const sum = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
    sums.push(names.size === 1 ? sum : `${name}:${sum}`);
  }
  return sums.join(' ');
}

/** How far the int8 numbers, times their scales, are from those they stand for. */
function roundingError(tensors: ReadonlyMap<string, TensorView>, quantized: ReadonlyMap<string, TensorInput>) {
  let [count, numbers, sum, largest] = [0, 0, 0, 0];
  for (const [name, view] of tensors) {
    const scale = quantized.get(`${name}_scale`);
    const rounded = quantized.get(name);
    if (scale === undefined || rounded === undefined || !('data' in scale) || !('data' in rounded)) continue;
    const original = toFloat32(view);
    const columns = original.length / scale.data.length;
    for (let i = 0; i < original.length; i++) {
      const value = Number(rounded.data[i]) * Number(scale.data[Math.floor(i / columns)]);
      const error = Math.abs(original[i] - value);
      sum += error;
      if (error > largest) largest = error;
    }
    count++;
    numbers += original.length;
  }
  return { quantized: count, max_error: largest, mean_error: numbers > 0 ? sum / numbers : 0 };
}

interface QuantizeReport extends ReturnType<typeof roundingError> {
  output: string;
  method: string;
  tensors: number;
  bytes_before: number;
  bytes_after: number;
  source_sha256: string;
}

function readable(report: QuantizeReport): string {
  return [
    `${report.output}: ${report.quantized} of ${report.tensors} tensors in int8`,
    `${megabytes(report.bytes_before)} before, ${megabytes(report.bytes_after)} after`,
    `rounding error: ${report.max_error.toExponential(2)} at most, ${report.mean_error.toExponential(2)} in the mean`,
    `source sha256: ${report.source_sha256}\n`,
  ].join('\n');
}

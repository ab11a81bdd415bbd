import { CheckpointError } from '../errors.ts';
import { nameOf, readObjectIfAny, readText, type FileStream, type ModelFiles } from '../hub/index.ts';
import { parseBundleIndex, type BundleEntry } from '../tensorflow/index.ts';

/**
 * Google's names → transformers'. Others are an optimizer's. Source: https://github.com/google-research/bert
 * (modeling.py, run_pretraining.py, run_classifier.py, run_squad.py).
 */
const renames: readonly [theirs: RegExp, ours: string][] = [
  [/^(bert\/embeddings\/\w+_embeddings)$/, '$1.weight'],
  [/^((?:bert|cls)\/.*LayerNorm)\/gamma$/, '$1.weight'],
  [/^((?:bert|cls)\/.*LayerNorm)\/beta$/, '$1.bias'],
  [/^((?:bert|cls)\/.*)\/kernel$/, '$1.weight'],
  [/^((?:bert|cls)\/.*)\/bias$/, '$1.bias'],
  [/^cls\/predictions\/output_bias$/, 'cls.predictions.bias'],
  [/^cls\/seq_relationship\/output_weights$/, 'cls.seq_relationship.weight'],
  [/^cls\/seq_relationship\/output_bias$/, 'cls.seq_relationship.bias'],
  [/^cls\/squad\/output_weights$/, 'qa_outputs.weight'],
  [/^cls\/squad\/output_bias$/, 'qa_outputs.bias'],
  [/^output_weights$/, 'classifier.weight'],
  [/^output_bias$/, 'classifier.bias'],
];

/** The class whose heads a checkpoint holds, by a tensor of the head. */
const heads: readonly [tensor: string, className: string][] = [
  ['cls.seq_relationship.weight', 'BertForPreTraining'],
  ['cls.predictions.bias', 'BertForMaskedLM'],
  ['qa_outputs.weight', 'BertForQuestionAnswering'],
  ['classifier.weight', 'BertForSequenceClassification'],
];

/** A tensor of the checkpoint under transformers' name. */
interface Source extends BundleEntry {
  name: string;
  /** Where it comes from, for messages. */
  what: string;
  /** A kernel is [inFeatures, outFeatures] there; here it is the other way about. */
  transposed: boolean;
}

/** `bert_config.json` as a config.json, with the class that the checkpoint's heads are of. */
export async function readTensorFlowConfig(files: ModelFiles): Promise<Uint8Array | undefined> {
  const google = await readObjectIfAny(files, 'bert_config.json');
  if (google === undefined) return undefined;
  const tensors = (await open(files))?.tensors ?? [];
  const head = heads.find(([tensor]) => tensors.some(({ name }) => name === tensor));
  const classifier = tensors.find(({ name }) => name === 'classifier.weight');
  const added = { model_type: 'bert', architectures: [head?.[1] ?? 'BertModel'], num_labels: classifier?.shape[0] };
  return new TextEncoder().encode(JSON.stringify({ ...added, ...google }));
}

/** The tensors that a BERT model reads, in the order of their data; undefined when there is no checkpoint. */
async function open(files: ModelFiles): Promise<{ base: string; shards: number; tensors: Source[] } | undefined> {
  let base = 'bert_model.ckpt';
  let index = await files.read(`${base}.index`);
  if (index === undefined) {
    const named = /^model_checkpoint_path: "(?:[^"]*\/)?([^"/\\]+)"/m.exec((await readText(files, 'checkpoint')) ?? '');
    if (named === null) return undefined;
    base = named[1];
    index = await files.read(`${base}.index`);
    if (index === undefined) return undefined;
  }
  const file = nameOf(files, `${base}.index`);
  const { shards, tensors } = parseBundleIndex(index, file);
  const wanted = [...tensors].flatMap(([theirs, entry]) => {
    const rule = renames.find(([pattern]) => pattern.test(theirs));
    if (rule === undefined) return [];
    const name = theirs
      .replace(...rule)
      .replace(/\/layer_(\d+)\//, '/layer/$1/')
      .replaceAll('/', '.');
    return [{ ...entry, name, what: `${file}: tensor ${theirs}`, transposed: theirs.endsWith('/kernel') }];
  });
  for (const source of wanted) checkEntry(source, shards);
  return { base, shards, tensors: wanted.sort((a, b) => a.shard - b.shard || a.offset - b.offset) };
}

function checkEntry({ dtype, shape, shard, size, transposed, what }: Source, shards: number): void {
  const bytes = 4 * shape.reduce((product, length) => product * length, 1);
  if (dtype !== 'F32' || size !== bytes || shard >= shards || (transposed && shape.length !== 2)) {
    const expected = `float32 numbers in one of ${shards} data files, as many as its shape has, a kernel in two dimensions`;
    const got = `${dtype ?? 'another type'} [${shape.join(', ')}] in ${size} bytes of data file ${shard}`;
    throw new CheckpointError({ what, expected, got, fix: 'download the file again' });
  }
}

/**
 * The checkpoint, `bert_model.ckpt.index` and its data files or what the file `checkpoint` names, as a safetensors file: its
 * header, then each tensor when it is asked for. undefined when there is none.
 */
export async function streamTensorFlowWeights(files: ModelFiles): Promise<FileStream | undefined> {
  const opened = await open(files);
  if (opened === undefined) return undefined;
  const { base, shards, tensors } = opened;
  const header: Record<string, unknown> = { __metadata__: { format: 'pt', source: `${base}.index` } };
  let end = 0;
  for (const { name, shape, transposed, size } of tensors) {
    const [first, second] = shape;
    header[name] = { dtype: 'F32', shape: transposed ? [second, first] : shape, data_offsets: [end, (end += size)] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = new Uint8Array(8);
  new DataView(length.buffer).setUint32(0, text.length, true);

  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield length;
    yield text;
    let shard = -1;
    let data = new Uint8Array(0) as Uint8Array;
    for (const source of tensors) {
      if (source.shard !== shard) {
        shard = source.shard;
        data = await readData(files, `${base}.data-${digits(shard)}-of-${digits(shards)}`);
      }
      const bytes = data.subarray(source.offset, source.offset + source.size);
      if (bytes.length < source.size) {
        const expected = `${source.size} bytes of data at byte ${source.offset}`;
        throw new CheckpointError({ what: source.what, expected, got: `${bytes.length}`, fix: 'download it again' });
      }
      yield source.transposed ? transpose(bytes, source.shape[0], source.shape[1]) : bytes;
    }
  }
  return { size: length.length + text.length + end, chunks: chunks() };
}

const digits = (shard: number) => String(shard).padStart(5, '0');

async function readData(files: ModelFiles, path: string): Promise<Uint8Array> {
  const data = await files.read(path);
  if (data !== undefined) return data;
  throw new CheckpointError({
    what: nameOf(files, path),
    expected: "the data of the checkpoint's index",
    got: 'no such file',
    fix: 'put it beside the index',
  });
}

/** Four-byte numbers [rows, columns] → [columns, rows] */
function transpose(bytes: Uint8Array, rows: number, columns: number): Uint8Array {
  const from = new Uint32Array(bytes.slice().buffer); // a copy, for it may begin anywhere
  const to = new Uint32Array(from.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) to[c * rows + r] = from[r * columns + c];
  return new Uint8Array(to.buffer);
}

/** The same, as a whole. */
export async function readTensorFlowWeights(files: ModelFiles): Promise<Uint8Array | undefined> {
  const stream = await streamTensorFlowWeights(files);
  if (stream === undefined) return undefined;
  const whole = new Uint8Array(stream.size!);
  let at = 0;
  for await (const chunk of stream.chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

import { CheckpointError, show } from '../errors.ts';
import type { SafetensorsFile } from './file.ts';
import { parseSafetensors } from './file.ts';
import { whatTensor } from './header.ts';
import { isObject, parseObject } from './json.ts';

/** Where the files of a checkpoint come from. Every `ModelFiles` of bertscript/hub is one. */
export interface FileSource {
  /** The folder or address, for messages. */
  readonly location: string;
  /** @returns `undefined` when there is no such file */
  read(path: string): Promise<Uint8Array | undefined>;
}

/** The tensors of a checkpoint, of one file or many. */
export interface Checkpoint extends SafetensorsFile {
  /** Tensors that are in the shards though the index does not name them. They are among `tensors`. */
  readonly unlisted: readonly string[];
}

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
const FETCH = 'download the missing or mixed-up shards again';

/**
 * The tensors of a model folder: those of `model.safetensors`, else those of the shards that
 * `model.safetensors.index.json` names. Metadata of several shards is merged, the first one wins.
 *
 * @throws CheckpointError when neither file exists, when a file is corrupt, when a shard or one of its tensors is
 * missing, and when two shards have the same tensor
 */
export async function loadTensors(source: FileSource): Promise<Checkpoint> {
  const { metadata, tensors, unlisted } = await openShards(source, async (path, file) => {
    const bytes = await source.read(path);
    return bytes && parseSafetensors(bytes, file);
  });
  return { metadata, tensors, unlisted };
}

/** A file whose header has been read: tensors by name, each knowing its file. */
interface Opened<T> {
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, T>;
}

/** Opens the one file of a model folder, or all its shards, and puts together what they hold. Errors as for `loadTensors`. */
export async function openShards<T extends { readonly file?: string }, F extends Opened<T>>(
  source: FileSource,
  open: (path: string, file: string) => Promise<(F & Opened<T>) | undefined>,
): Promise<{ files: F[]; metadata: Map<string, string>; tensors: Map<string, T>; unlisted: string[] }> {
  const single = await open(SINGLE, `${source.location}/${SINGLE}`);
  if (single) {
    return { files: [single], metadata: new Map(single.metadata), tensors: new Map(single.tensors), unlisted: [] };
  }
  const bytes = await source.read(INDEX);
  if (!bytes) {
    throw new CheckpointError({
      what: source.location,
      expected: `${SINGLE} or ${INDEX}`,
      got: 'neither',
      fix: 'check the location; convert a pytorch_model.bin in Python: model.save_pretrained(folder, safe_serialization=True)',
    });
  }
  const index = `${source.location}/${INDEX}`;
  const weightMap = parseWeightMap(bytes, index);
  const files: F[] = [];
  const metadata = new Map<string, string>();
  const tensors = new Map<string, T>();
  for (const shard of new Set(weightMap.values())) {
    const file = `${source.location}/${shard}`;
    const opened = await open(shard, file);
    if (!opened) {
      const expected = `the shard that ${INDEX} names`;
      throw new CheckpointError({ what: file, expected, got: 'no such file', fix: FETCH });
    }
    files.push(opened);
    for (const [key, value] of opened.metadata) if (!metadata.has(key)) metadata.set(key, value);
    for (const [name, tensor] of opened.tensors) {
      const other = tensors.get(name)?.file;
      if (other !== undefined) {
        const expected = 'each tensor in one shard';
        throw new CheckpointError({ what: whatTensor(file, name), expected, got: `it also in ${other}` });
      }
      tensors.set(name, tensor);
    }
  }
  for (const [name, shard] of weightMap) {
    const file = tensors.get(name)?.file;
    if (file === `${source.location}/${shard}`) continue;
    const got = file === undefined ? 'no such tensor' : `it in ${file}`;
    throw new CheckpointError({ what: whatTensor(index, name), expected: `it in ${shard}`, got, fix: FETCH });
  }
  return { files, metadata, tensors, unlisted: [...tensors.keys()].filter((name) => !weightMap.has(name)) };
}

/** Tensor name → shard, from the index file. */
function parseWeightMap(bytes: Uint8Array, file: string): Map<string, string> {
  const { weight_map: weightMap } = parseObject(bytes, file);
  const what = `${file}, weight_map`;
  if (!isObject(weightMap)) {
    throw new CheckpointError({ what, expected: 'an object of tensor names and shards', got: show(weightMap) });
  }
  return new Map(
    Object.entries(weightMap).map(([name, shard]) => {
      if (typeof shard === 'string' && /^[^/\\:\0]*\.safetensors$/.test(shard)) return [name, shard];
      const expected = 'the name of a .safetensors file beside the index';
      throw new CheckpointError({ what: `${what}, ${show(name)}`, expected, got: show(shard) });
    }),
  );
}

import { CheckpointError, show } from '../errors.ts';
import type { SafetensorsFile, TensorView } from './file.ts';
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
  const single = await source.read(SINGLE);
  if (single) return { ...parseSafetensors(single, `${source.location}/${SINGLE}`), unlisted: [] };
  const index = await source.read(INDEX);
  if (index) return loadShards(source, parseWeightMap(index, `${source.location}/${INDEX}`));
  throw new CheckpointError({
    what: source.location,
    expected: `${SINGLE} or ${INDEX}`,
    got: 'neither',
    fix: 'check the location; convert a pytorch_model.bin in Python: model.save_pretrained(folder, safe_serialization=True)',
  });
}

async function loadShards(source: FileSource, weightMap: ReadonlyMap<string, string>): Promise<Checkpoint> {
  const index = `${source.location}/${INDEX}`;
  const metadata = new Map<string, string>();
  const tensors = new Map<string, TensorView>();
  for (const shard of new Set(weightMap.values())) {
    const file = `${source.location}/${shard}`;
    const bytes = await source.read(shard);
    if (!bytes) {
      throw new CheckpointError({
        what: file,
        expected: `the shard that ${INDEX} names`,
        got: 'no such file',
        fix: FETCH,
      });
    }
    const parsed = parseSafetensors(bytes, file);
    for (const [key, value] of parsed.metadata) if (!metadata.has(key)) metadata.set(key, value);
    for (const [name, view] of parsed.tensors) {
      const other = tensors.get(name)?.file;
      if (other !== undefined) {
        throw new CheckpointError({
          what: whatTensor(file, name),
          expected: 'each tensor in one shard',
          got: `it also in ${other}`,
        });
      }
      tensors.set(name, view);
    }
  }
  for (const [name, shard] of weightMap) {
    const file = tensors.get(name)?.file;
    if (file === `${source.location}/${shard}`) continue;
    const got = file === undefined ? 'no such tensor' : `it in ${file}`;
    throw new CheckpointError({ what: whatTensor(index, name), expected: `it in ${shard}`, got, fix: FETCH });
  }
  return { metadata, tensors, unlisted: [...tensors.keys()].filter((name) => !weightMap.has(name)) };
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

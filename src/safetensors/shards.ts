import { CheckpointError, show } from '../errors.ts';
import { whatTensor } from './header.ts';
import { isObject, parseObject } from './json.ts';
import type { FileSource, Open, Opened, OpenedFiles } from './load.ts';

const INDEX = 'model.safetensors.index.json';
const FETCH = 'download the missing or mixed-up shards again';

/** Opens all shards that the index names, and puts together what they hold. Errors as for `loadTensors`. */
export async function openShards<T extends { readonly file?: string }, F extends Opened<T>>(
  source: FileSource,
  open: Open<T, F>,
): Promise<OpenedFiles<T, F>> {
  const bytes = await source.read(INDEX);
  if (!bytes) {
    throw new CheckpointError({
      what: source.location,
      expected: `model.safetensors or ${INDEX}`,
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

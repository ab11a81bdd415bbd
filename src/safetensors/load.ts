import type { SafetensorsFile } from './file.ts';
import { parseSafetensors } from './file.ts';

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

/**
 * The tensors of a model folder: those of `model.safetensors`, else those of the shards that
 * `model.safetensors.index.json` names. Metadata of several shards is merged, the first one wins.
 *
 * @throws CheckpointError when neither file exists, when a file is corrupt, when a shard or one of its tensors is
 * missing, and when two shards have the same tensor
 */
export async function loadTensors(source: FileSource): Promise<Checkpoint> {
  const { metadata, tensors, unlisted } = await openTensorFiles(source, async (path, file) => {
    const bytes = await source.read(path);
    return bytes && parseSafetensors(bytes, file);
  });
  return { metadata, tensors, unlisted };
}

/** A file whose header has been read: tensors by name, each knowing its file. */
export interface Opened<T> {
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, T>;
}

/** All files of a checkpoint, and what they hold together. */
export interface OpenedFiles<T, F> {
  files: F[];
  metadata: Map<string, string>;
  tensors: Map<string, T>;
  unlisted: string[];
}

/** Opens a file, whose name in messages is `file`; undefined when there is none. */
export type Open<T, F> = (path: string, file: string) => Promise<(F & Opened<T>) | undefined>;

/** Opens the one file of a model folder, or all its shards, and puts together what they hold. Errors as for `loadTensors`. */
export async function openTensorFiles<T extends { readonly file?: string }, F extends Opened<T>>(
  source: FileSource,
  open: Open<T, F>,
): Promise<OpenedFiles<T, F>> {
  const single = await open(SINGLE, `${source.location}/${SINGLE}`);
  if (single) {
    return { files: [single], metadata: new Map(single.metadata), tensors: new Map(single.tensors), unlisted: [] };
  }
  const { openShards } = await import('./shards.ts'); // of large models only
  return openShards(source, open);
}

import { CheckpointError } from '../errors.ts';
import type { ModelFiles } from '../hub/index.ts';
import type { Initializer, ParameterStore } from '../layers/index.ts';
import {
  halfBits,
  openTensorStreams,
  toFloat32,
  toFloat64,
  toInt8,
  type SafetensorsStream,
  type StreamedTensor,
  type TensorRows,
} from '../safetensors/index.ts';
import type { Engine, FloatArray, Matrix, Shape, Tensor, WeightType } from '../tensor/index.ts';
import { companionOf, isQuantizable, quantizeRows, scaleName } from './quantization.ts';

export interface LoadReport {
  /** What the model computes with. */
  dtype: WeightType;
  /** Keys of the checkpoint that the model did not read. */
  unused: string[];
  /** Keys that the model wanted, that were not there, and that were started at random because the caller said so. */
  initialized: string[];
}

/**
 * Opens the weights of a model folder: reads what they hold, not yet the numbers. `fallback` starts what is missing;
 * without it, missing keys are an error. `prefix` is what a model with a head puts before its encoder's names. With `labels`,
 * what has a row for each label of the checkpoint, and is to have one for each of another number of labels, is missing.
 */
export async function openCheckpoint(
  files: ModelFiles,
  engine: Engine,
  dtype: 'auto' | WeightType,
  fallback: ParameterStore | null,
  prefix = 'bert',
  labels: LabelCounts | null = null,
): Promise<CheckpointStore> {
  const streams = await openTensorStreams(files);
  return new CheckpointStore(engine, streams, files.location, dtype, fallback, prefix, labels);
}

export interface LabelCounts {
  stored: number;
  wanted: number;
}

/** Takes a tensor's rows as they arrive. */
type Receiver = (rows: TensorRows) => void;

/**
 * Parameters from a checkpoint, found under transformers' names of today, or under older ones, with or without the prefix
 * that a model with a head puts before its encoder. A model is built first, from empty parameters; then `fill` reads the
 * files once, from front to back, straight into them.
 */
export class CheckpointStore implements ParameterStore {
  readonly engine: Engine;
  readonly untrained = false;
  readonly #files: readonly SafetensorsStream[];
  readonly #tensors: ReadonlyMap<string, StreamedTensor>;
  /** Today's name → the name in the file. */
  readonly #names = new Map<string, string>();
  /** Name in the file → who wants its numbers. */
  readonly #receivers = new Map<string, Receiver[]>();
  readonly #location: string;
  readonly #dtype: 'auto' | WeightType;
  readonly #fallback: ParameterStore | null;
  readonly #prefix: string;
  readonly #labels: LabelCounts | null;
  readonly #missing: string[] = [];
  #quantized = false;

  constructor(
    engine: Engine,
    { files, tensors }: { files: readonly SafetensorsStream[]; tensors: ReadonlyMap<string, StreamedTensor> },
    location: string,
    dtype: 'auto' | WeightType,
    fallback: ParameterStore | null,
    prefix: string,
    labels: LabelCounts | null,
  ) {
    this.engine = engine;
    this.#files = files;
    this.#tensors = tensors;
    this.#location = location;
    this.#dtype = dtype;
    this.#fallback = fallback;
    this.#prefix = `${prefix}.`;
    this.#labels = labels;
    for (const name of tensors.keys()) this.#names.set(modernName(name), name);
  }

  has(key: string): boolean {
    return this.#find(key) !== undefined;
  }

  load(key: string, shape: Shape, initializer: Initializer): Tensor {
    const stored = this.#expect(key, shape);
    // A key that is missing takes no memory before `report` refuses it: the config may ask for more than there is.
    if (stored === undefined) return this.#fallback?.load(key, shape, initializer) ?? this.engine.keep([0]);
    const tensor = this.engine.keep(shape);
    this.#receive(stored.name, ({ firstRow, view }) => {
      const numbers = this.#floats(view);
      tensor.data.set(numbers, view.shape.length > 0 ? firstRow * (numbers.length / view.shape[0]) : 0);
    });
    return tensor;
  }

  loadMatrix(key: string, outFeatures: number, inFeatures: number, initializer: Initializer): Matrix {
    const stored = this.#expect(key, [outFeatures, inFeatures]);
    const { kernels } = this.engine;
    if (stored === undefined) {
      const fallback = this.#fallback?.loadMatrix(key, outFeatures, inFeatures, initializer);
      return fallback ?? this.engine.keepMatrix(0, 0, 'f32');
    }
    if (stored.dtype === 'I8') return this.#loadInt8(stored, outFeatures, inFeatures);

    const rounds = this.#dtype === 'q8' && isQuantizable(stored);
    const matrix = this.engine.keepMatrix(outFeatures, inFeatures, rounds ? 'q8' : 'f32');
    this.#quantized ||= rounds;
    this.#receive(stored.name, ({ firstRow, view }) => {
      const half = rounds ? null : halfBits(view);
      if (half && kernels.packHalves) return kernels.packHalves(matrix.packed, firstRow, half.bits, half.format);
      if (!rounds) return kernels.packRows(matrix.packed, firstRow, this.#floats(view));
      const { values, scale } = quantizeRows(toFloat32(view), view.shape[0], stored.name);
      kernels.packRows(matrix.packed, firstRow, values);
      matrix.packed.scale!.set(scale, firstRow);
    });
    return matrix;
  }

  /** @throws CheckpointError if keys were missing and nothing could start them, or weights are quantized in a way unknown here */
  report(): LoadReport {
    if (this.#missing.length > 0 && this.#fallback === null) {
      const shown = this.#missing.slice(0, 5).join(', ');
      const more = this.#missing.length > 5 ? ` and ${this.#missing.length - 5} more` : '';
      throw new CheckpointError({
        what: `${this.#location}: ${this.#missing.length} missing tensors`,
        expected: shown + more,
        got: `${this.#tensors.size} tensors, such as ${[...this.#tensors.keys()].slice(0, 2).join(', ')}`,
        fix: 'use the weights that belong to config.json; in code, load the class that it names in "architectures", or start the missing ones with initializeMissing',
      });
    }
    const unused = [...this.#tensors.keys()].filter((name) => !this.#receivers.has(name));
    const stray = unused.find((name) => this.#receivers.has(companionOf(name) ?? ''));
    if (stray !== undefined) {
      throw new CheckpointError({
        what: `${this.#location}: tensor ${stray}`,
        expected: 'float weights, or symmetric int8 ones with weight_scale alone',
        got: `${companionOf(stray)} quantized in another way`,
        fix: 'use the checkpoint that was not quantized',
      });
    }
    return {
      dtype: this.#quantized ? 'q8' : 'f32',
      unused,
      initialized: this.#missing,
    };
  }

  /** Reads the numbers of all parameters that were asked for. @throws CheckpointError if a file is cut off */
  async fill(): Promise<void> {
    for (const file of this.#files) {
      for await (const rows of file.rows()) this.#receivers.get(rows.name)?.forEach((receive) => receive(rows));
    }
  }

  /** Lets go of the files, when they are not read to the end. */
  async close(): Promise<void> {
    for (const file of this.#files) await file.close();
  }

  #receive(name: string, receiver: Receiver): void {
    this.#receivers.set(name, [...(this.#receivers.get(name) ?? []), receiver]);
  }

  #find(key: string): StreamedTensor | undefined {
    const bare = key.startsWith(this.#prefix) ? key.slice(this.#prefix.length) : key;
    const name = this.#names.get(key) ?? this.#names.get(bare) ?? this.#names.get(this.#prefix + bare);
    return name === undefined ? undefined : this.#tensors.get(name);
  }

  /** The stored tensor of a key; undefined, and noted as missing, when there is none. */
  #expect(key: string, shape: Shape): StreamedTensor | undefined {
    const stored = this.#find(key);
    if (stored === undefined || this.#isOfOtherLabels(stored.shape, shape)) {
      this.#missing.push(key);
      return undefined;
    }
    if (stored.shape.join() !== shape.join()) {
      throw new CheckpointError({
        what: `${this.#location}: tensor ${stored.name}`,
        expected: `shape [${shape.join(', ')}] from config.json`,
        got: `[${stored.shape.join(', ')}]`,
        fix: 'use the config.json that belongs to these weights',
      });
    }
    return stored;
  }

  /** Whether a tensor is the head for the labels of the checkpoint, where one for others is asked for. */
  #isOfOtherLabels([storedRows, ...stored]: Shape, [rows, ...wanted]: Shape): boolean {
    if (this.#labels === null || this.#fallback === null || storedRows === rows) return false;
    const { stored: before, wanted: now } = this.#labels;
    return storedRows === before && rows === now && stored.join() === wanted.join();
  }

  /** An int8 matrix as it is stored, or expanded to floats when those were asked for. */
  #loadInt8({ name }: StreamedTensor, outFeatures: number, inFeatures: number): Matrix {
    const scale = this.#tensors.get(scaleName(name));
    if (scale?.shape.join() !== [outFeatures, 1].join()) {
      throw new CheckpointError({
        what: `${this.#location}: tensor ${scaleName(name)}`,
        expected: `[${outFeatures}, 1], a scale for each row of the int8 tensor ${name}`,
        got: scale ? `[${scale.shape.join(', ')}]` : 'no such tensor',
      });
    }
    const { kernels } = this.engine;
    const expands = this.#dtype === 'f32';
    const matrix = this.engine.keepMatrix(outFeatures, inFeatures, expands ? 'f32' : 'q8');
    this.#quantized ||= !expands;
    if (!expands) {
      this.#receive(name, ({ firstRow, view }) => kernels.packRows(matrix.packed, firstRow, toInt8(view)));
      this.#receive(scale.name, ({ firstRow, view }) => matrix.packed.scale!.set(toFloat32(view), firstRow));
      return matrix;
    }
    // Values and scales may arrive in either order: whichever is last finds the other.
    const values = new Int8Array(outFeatures * inFeatures);
    const scales = new Float32Array(outFeatures);
    let arrived = 0;
    const receive = (view: TensorRows['view'], put: () => void) => {
      put();
      arrived += view.shape[0];
      if (arrived < 2 * outFeatures) return;
      const numbers = this.engine.zeros([outFeatures, inFeatures]).data;
      for (let i = 0; i < values.length; i++) numbers[i] = values[i] * scales[Math.floor(i / inFeatures)];
      kernels.packRows(matrix.packed, 0, numbers);
    };
    this.#receive(name, ({ firstRow, view }) => receive(view, () => values.set(toInt8(view), firstRow * inFeatures)));
    this.#receive(scale.name, ({ firstRow, view }) => receive(view, () => scales.set(toFloat32(view), firstRow)));
    return matrix;
  }

  #floats(view: TensorRows['view']): FloatArray {
    return this.engine.dtype === 'float64' ? toFloat64(view) : toFloat32(view);
  }
}

/** TensorFlow's names of layer norm parameters, which early PyTorch checkpoints kept. */
function modernName(name: string): string {
  return name.replace(/\.gamma$/, '.weight').replace(/\.beta$/, '.bias');
}

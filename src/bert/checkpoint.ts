import { CheckpointError } from '../errors.ts';
import type { ModelFiles } from '../hub/index.ts';
import type { Initializer, ParameterStore } from '../layers/index.ts';
import { loadTensors, toFloat32, toFloat64, toInt8, type TensorView } from '../safetensors/index.ts';
import type { Engine, FloatArray, Matrix, Shape, Tensor, WeightType } from '../tensor/index.ts';
import { isQuantizable, quantizeRows, scaleName } from './quantization.ts';

export interface LoadReport {
  /** What the model computes with. */
  dtype: WeightType;
  /** Keys of the checkpoint that the model did not read. */
  unused: string[];
  /** Keys that the model wanted, that were not there, and that were started at random because the caller said so. */
  initialized: string[];
}

/** Rows of a matrix as int8 numbers and a scale for each row. */
interface Int8Rows {
  values: Int8Array;
  scale: Float32Array;
}

/** Opens the weights of a model folder. `fallback` starts what is missing; without it, missing keys are an error. */
export async function openCheckpoint(
  files: ModelFiles,
  engine: Engine,
  dtype: 'auto' | WeightType,
  fallback: ParameterStore | null,
): Promise<CheckpointStore> {
  const { tensors } = await loadTensors(files);
  return new CheckpointStore(engine, tensors, files.location, dtype, fallback);
}

/**
 * Parameters from the tensors of a checkpoint, found under transformers' names of today, or under older ones, with or
 * without the prefix that a model with a head puts before its encoder.
 */
export class CheckpointStore implements ParameterStore {
  readonly engine: Engine;
  readonly untrained = false;
  readonly #tensors: ReadonlyMap<string, TensorView>;
  /** Today's name → the name in the file. */
  readonly #names = new Map<string, string>();
  readonly #location: string;
  readonly #dtype: 'auto' | WeightType;
  readonly #fallback: ParameterStore | null;
  readonly #used = new Set<string>();
  readonly #missing: string[] = [];
  #quantized = false;

  constructor(
    engine: Engine,
    tensors: ReadonlyMap<string, TensorView>,
    location: string,
    dtype: 'auto' | WeightType,
    fallback: ParameterStore | null,
  ) {
    this.engine = engine;
    this.#tensors = tensors;
    this.#location = location;
    this.#dtype = dtype;
    this.#fallback = fallback;
    for (const name of tensors.keys()) this.#names.set(modernName(name), name);
  }

  has(key: string): boolean {
    return this.#find(key) !== undefined;
  }

  load(key: string, shape: Shape, initializer: Initializer): Tensor {
    const view = this.#view(key, shape);
    if (view === undefined) return this.#fallback?.load(key, shape, initializer) ?? this.engine.keep(shape);
    const tensor = this.engine.keep(shape);
    tensor.data.set(this.engine.dtype === 'float64' ? toFloat64(view) : toFloat32(view));
    return tensor;
  }

  loadMatrix(key: string, outFeatures: number, inFeatures: number, initializer: Initializer): Matrix {
    const view = this.#view(key, [outFeatures, inFeatures]);
    if (view === undefined) {
      const fallback = this.#fallback?.loadMatrix(key, outFeatures, inFeatures, initializer);
      return fallback ?? this.engine.keepMatrix(outFeatures, inFeatures, 'f32');
    }
    const int8 = this.#int8(view);
    const matrix = this.engine.keepMatrix(outFeatures, inFeatures, int8 && this.#dtype !== 'f32' ? 'q8' : 'f32');
    if (matrix.dtype === 'q8') {
      this.#quantized = true;
      this.engine.kernels.packRows(matrix.packed, 0, int8!.values);
      matrix.packed.scale!.set(int8!.scale);
    } else if (int8) this.engine.kernels.packRows(matrix.packed, 0, this.#expand(int8));
    else
      this.engine.kernels.packRows(
        matrix.packed,
        0,
        this.engine.dtype === 'float64' ? toFloat64(view) : toFloat32(view),
      );
    return matrix;
  }

  /** @throws CheckpointError if keys were missing and nothing could start them */
  report(): LoadReport {
    if (this.#missing.length > 0 && this.#fallback === null) {
      const shown = this.#missing.slice(0, 5).join(', ');
      const more = this.#missing.length > 5 ? ` and ${this.#missing.length - 5} more` : '';
      throw new CheckpointError({
        what: `${this.#location}: ${this.#missing.length} missing tensors`,
        expected: shown + more,
        got: `${this.#tensors.size} tensors, such as ${[...this.#tensors.keys()].slice(0, 2).join(', ')}`,
        fix: 'load the class that config.json names in "architectures", or start the missing ones with initializeMissing',
      });
    }
    return {
      dtype: this.#quantized ? 'q8' : 'f32',
      unused: [...this.#tensors.keys()].filter((name) => !this.#used.has(name)),
      initialized: this.#missing,
    };
  }

  #find(key: string): TensorView | undefined {
    const bare = key.startsWith('bert.') ? key.slice(5) : key;
    const name = this.#names.get(key) ?? this.#names.get(bare) ?? this.#names.get(`bert.${bare}`);
    return name === undefined ? undefined : this.#tensors.get(name);
  }

  /** The tensor of a key, marked as used; undefined, and noted as missing, when there is none. */
  #view(key: string, shape: Shape): TensorView | undefined {
    const view = this.#find(key);
    if (view === undefined) this.#missing.push(key);
    else if (view.shape.join() !== shape.join()) {
      throw new CheckpointError({
        what: `${this.#location}: tensor ${view.name}`,
        expected: `shape [${shape.join(', ')}] from config.json`,
        got: `[${view.shape.join(', ')}]`,
        fix: 'use the config.json that belongs to these weights',
      });
    } else this.#used.add(view.name);
    return view;
  }

  /** The int8 rows of a matrix, as stored, or rounded now if that was asked for; null when it is to stay float. */
  #int8(view: TensorView): Int8Rows | null {
    if (view.dtype === 'I8') return { values: toInt8(view), scale: this.#scaleOf(view) };
    return this.#dtype === 'q8' && isQuantizable(view) ? quantizeRows(toFloat32(view), view.shape[0]) : null;
  }

  #scaleOf(view: TensorView): Float32Array {
    const scale = this.#tensors.get(scaleName(view.name));
    const expected = [view.shape[0], 1];
    if (scale?.shape.join() !== expected.join()) {
      throw new CheckpointError({
        what: `${this.#location}: tensor ${scaleName(view.name)}`,
        expected: `[${expected.join(', ')}], a scale for each row of the int8 tensor ${view.name}`,
        got: scale ? `[${scale.shape.join(', ')}]` : 'no such tensor',
      });
    }
    this.#used.add(scale.name);
    return toFloat32(scale);
  }

  /** int8 rows times their scales. */
  #expand({ values, scale }: Int8Rows): FloatArray {
    const columns = values.length / scale.length;
    const out = this.engine.zeros([values.length]).data;
    for (let i = 0; i < values.length; i++) out[i] = values[i] * scale[Math.floor(i / columns)];
    return out;
  }
}

/** TensorFlow's names of layer norm parameters, which early PyTorch checkpoints kept. */
function modernName(name: string): string {
  return name.replace(/LayerNorm\.gamma$/, 'LayerNorm.weight').replace(/LayerNorm\.beta$/, 'LayerNorm.bias');
}

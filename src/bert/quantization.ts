import { CheckpointError } from '../errors.ts';
import { toFloat32, type TensorInput, type TensorView } from '../safetensors/index.ts';
import type { FloatArray } from '../tensor/index.ts';

/**
 * Int8 storage of a model: the matrices of linear layers (a scale per output channel) and the word embeddings (a scale
 * per word), symmetric, w ≈ values · scale. Position and token-type tables, biases and layer norms stay as they are.
 * In the file, `x.weight` is I8 and `x.weight_scale` F32 [rows, 1], as the compressed-tensors format has it.
 */
export function isQuantizable(view: { name: string; shape: readonly number[]; dtype: string }): boolean {
  const table = /(position|token_type)_embeddings\.weight$/.test(view.name);
  return view.shape.length === 2 && view.name.endsWith('.weight') && /^(F|BF)/.test(view.dtype) && !table;
}

export const scaleName = (name: string): string => `${name}_scale`;

/**
 * Rounds each row to int8, -127 to 127, each weight to the nearest.
 *
 * @param weights [rows, columns]
 * @returns values [rows, columns] and scale [rows]; a row of zeros has scale 0
 */
export function quantizeRows(weights: FloatArray, rows: number): { values: Int8Array; scale: Float32Array } {
  const columns = weights.length / rows;
  const values = new Int8Array(weights.length);
  const scale = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const numbers = weights.subarray(row * columns, (row + 1) * columns);
    let largest = 0;
    for (const number of numbers) largest = Math.max(largest, Math.abs(number));
    scale[row] = largest / 127;
    if (scale[row] === 0) continue;
    for (let i = 0; i < columns; i++) {
      values[row * columns + i] = toInt8Range(numbers[i] / scale[row]);
    }
  }
  return { values, scale };
}

export const toInt8Range = (x: number): number => Math.max(-127, Math.min(127, Math.round(x)));

/**
 * The tensors of a checkpoint with every quantizable one in int8, and without the position ids 0, 1, 2 … that old
 * checkpoints carry.
 *
 * @param rounded values that take the place of those rounded to the nearest, by the name of the matrix in a bare encoder
 * @throws CheckpointError if it already has int8 tensors
 */
export function quantizeTensors(
  tensors: ReadonlyMap<string, TensorView>,
  rounded: ReadonlyMap<string, Int8Array> = new Map(),
): Map<string, TensorInput> {
  const quantized = new Map<string, TensorInput>();
  for (const view of tensors.values()) {
    if (view.dtype === 'I8') {
      throw new CheckpointError({
        what: `tensor ${view.name}`,
        expected: 'float weights',
        got: 'int8, already quantized',
      });
    }
    if (view.name.endsWith('embeddings.position_ids')) continue;
    if (!isQuantizable(view)) quantized.set(view.name, view);
    else {
      const { values, scale } = quantizeRows(toFloat32(view), view.shape[0]);
      const data = rounded.get(view.name.replace(/^bert\./, '')) ?? values;
      quantized.set(view.name, { data, shape: view.shape });
      quantized.set(scaleName(view.name), { data: scale, shape: [view.shape[0], 1] });
    }
  }
  return quantized;
}

/**
 * The `quantization_config` of config.json, in the words of the compressed-tensors format, every target by its name. The
 * group says its format too: without it, transformers looks for int8 weights packed four to an int32.
 */
export function quantizationConfig(tensors: ReadonlyMap<string, TensorInput>): Record<string, unknown> {
  const targets = [...tensors.keys()].filter((name) => tensors.has(scaleName(name)));
  return {
    quant_method: 'compressed-tensors',
    format: 'int-quantized',
    quantization_status: 'compressed',
    config_groups: {
      group_0: {
        format: 'int-quantized',
        targets: targets.map((name) => name.replace(/\.weight$/, '')).sort(),
        weights: { num_bits: 8, type: 'int', symmetric: true, strategy: 'channel', dynamic: false },
        input_activations: null,
        output_activations: null,
      },
    },
    ignore: [],
  };
}

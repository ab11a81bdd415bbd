import { CheckpointError, ConfigError, show } from '../errors.ts';
import { toFloat32, type TensorInput, type TensorView } from '../safetensors/index.ts';
import type { FloatArray } from '../tensor/index.ts';

/**
 * Int8 storage of a model: the matrices of linear layers (a scale per output channel) and the word embeddings (a scale
 * per word), symmetric, w ≈ values · scale. Tables of positions, distances and token types, biases and layer norms stay as they are.
 * In the file, `x.weight` is I8 and `x.weight_scale` F32 [rows, 1], as the compressed-tensors format has it.
 */
export function isQuantizable(view: { name: string; shape: readonly number[]; dtype: string }): boolean {
  const table =
    /((position|token_type|rel)_embeddings|relative_attention_bias|head_(logits|weights)_proj)\.weight$/.test(
      view.name,
    );
  return view.shape.length === 2 && view.name.endsWith('.weight') && /^(F|BF)/.test(view.dtype) && !table;
}

export const scaleName = (name: string): string => `${name}_scale`;

/** The weight that a tensor says how to read: `x.weight` of `x.weight_zero_point`, `x.weight_scale_inv`, `x.weight.absmax`. */
export const companionOf = (name: string): string | undefined => /^(.*\.weight)[._]./.exec(name)?.[1];

/**
 * Rounds each row to int8, -127 to 127, each weight to the nearest.
 *
 * @param weights [rows, columns]
 * @param name    of the tensor, for errors
 * @returns values [rows, columns] and scale [rows]; a row of zeros has scale 0
 * @throws CheckpointError for NaN or infinity
 */
export function quantizeRows(
  weights: FloatArray,
  rows: number,
  name = 'weights',
): { values: Int8Array; scale: Float32Array } {
  const columns = weights.length / rows;
  const values = new Int8Array(weights.length);
  const scale = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const numbers = weights.subarray(row * columns, (row + 1) * columns);
    let largest = 0;
    for (const number of numbers) largest = Math.max(largest, Math.abs(number));
    scale[row] = largest / 127;
    if (!Number.isFinite(scale[row])) {
      throw new CheckpointError({ what: `tensor ${name}`, expected: 'finite numbers', got: `${largest}` });
    }
    if (scale[row] === 0) continue;
    for (let i = 0; i < columns; i++) {
      values[row * columns + i] = toInt8Range(numbers[i] / scale[row]);
    }
  }
  return { values, scale };
}

/** Without what a model with a head puts before the names of its encoder. */
const withoutPrefix = (name: string) => name.slice(name.indexOf('.') + 1);

export const toInt8Range = (x: number): number => Math.max(-127, Math.min(127, Math.round(x)));

/**
 * The tensors of a checkpoint with every quantizable one in int8, and without the position ids 0, 1, 2 … that old
 * checkpoints carry.
 *
 * @param rounded values that take the place of those rounded to the nearest, by the name of the matrix in a bare encoder
 * @throws CheckpointError if it already has quantized tensors, or numbers that are not finite
 */
export function quantizeTensors(
  tensors: ReadonlyMap<string, TensorView>,
  rounded: ReadonlyMap<string, Int8Array> = new Map(),
): Map<string, TensorInput> {
  const quantized = new Map<string, TensorInput>();
  for (const view of tensors.values()) {
    const weight = companionOf(view.name);
    if (view.dtype === 'I8' || (weight !== undefined && tensors.has(weight))) {
      const got = 'quantized ones';
      throw new CheckpointError({ what: `tensor ${view.name}`, expected: 'float weights', got });
    }
    if (view.name.endsWith('embeddings.position_ids')) continue;
    if (!isQuantizable(view)) quantized.set(view.name, view);
    else {
      const { values, scale } = quantizeRows(toFloat32(view), view.shape[0], view.name);
      const data = rounded.get(view.name) ?? rounded.get(withoutPrefix(view.name)) ?? values;
      quantized.set(view.name, { data, shape: view.shape });
      quantized.set(scaleName(view.name), { data: scale, shape: [view.shape[0], 1] });
    }
  }
  return quantized;
}

/** How the weights of a group are stored, in the words of the compressed-tensors format. */
const INT8 = { num_bits: 8, type: 'int', symmetric: true, strategy: 'channel', dynamic: false };
const FORMAT = { quant_method: 'compressed-tensors', format: 'int-quantized' };

/**
 * The `quantization_config` of config.json, in the words of the compressed-tensors format, every target by its name. The
 * group says its format too: without it, transformers looks for int8 weights packed four to an int32.
 */
export function quantizationConfig(tensors: ReadonlyMap<string, TensorInput>): Record<string, unknown> {
  const targets = [...tensors.keys()].filter((name) => tensors.has(scaleName(name)));
  return {
    ...FORMAT,
    quantization_status: 'compressed',
    config_groups: {
      group_0: {
        format: FORMAT.format,
        targets: targets.map((name) => name.replace(/\.weight$/, '')).sort(),
        weights: INT8,
        input_activations: null,
        output_activations: null,
      },
    },
    ignore: [],
  };
}

/**
 * Refuses weights that are stored in another way than `quantizationConfig` says: read as floats, they would be wrong.
 *
 * @param config of config.json; null where there is none
 * @throws ConfigError naming the first statement that differs
 */
export function checkQuantizationConfig(config: unknown, source: string): void {
  if (config === null) return;
  const check = (path: string, value: unknown, expected: object) => {
    for (const [key, right] of Object.entries(expected)) {
      const got = (value as Record<string, unknown> | null | undefined)?.[key] ?? null;
      if (got === right) continue;
      const fix = 'use the checkpoint that was not quantized, which "bertscript quantize" stores in int8';
      throw new ConfigError({ what: `${source}: ${path}.${key}`, expected: show(right), got: show(got), fix });
    }
  };
  check('quantization_config', config, FORMAT);
  const groups = (config as Record<string, unknown>).config_groups ?? {};
  for (const [name, group] of Object.entries(groups) as [string, Record<string, unknown> | null][]) {
    const path = `quantization_config.config_groups.${name}`;
    check(path, group, { input_activations: null, output_activations: null });
    check(`${path}.weights`, group?.weights, INT8);
  }
}

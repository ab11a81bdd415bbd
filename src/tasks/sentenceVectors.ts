import { normalizeRows, poolSequences, type Tensor } from '../tensor/index.ts';
import { poolings, type PoolingMode, type SentenceModules } from './sentenceModules.ts';

/**
 * What a sentence-transformers model makes of its encoder's output.
 *
 * @param x       [totalTokens, hiddenSize], the sequences end to end
 * @param offsets where each sequence begins, [sequences + 1]
 * @returns       [sequences, size]
 */
export function sentenceVectors(x: Tensor, offsets: Int32Array, modules: SentenceModules): Tensor {
  const vectors = modules.steps.reduce((y, step) => step(y), poolTokens(x, offsets, modules.pooling));
  return modules.normalize ? normalizeRows(vectors) : vectors;
}

/** [totalTokens, hiddenSize] → [sequences, hiddenSize · modes]: a vector per sequence and mode, those of a sequence side by side. */
export function poolTokens(x: Tensor, offsets: Int32Array, modes: readonly PoolingMode[]): Tensor {
  return sideBySide(modes.map((mode) => poolSequences(x, offsets, poolings[mode])));
}

/** [rows, a] and [rows, b] … → [rows, a + b + …] */
function sideBySide(parts: Tensor[]): Tensor {
  if (parts.length === 1) return parts[0];
  const rows = parts[0].shape[0];
  const width = parts.reduce((sum, { shape }) => sum + shape[1], 0);
  const y = parts[0].engine.zeros([rows, width]);
  let column = 0;
  for (const { data, shape } of parts) {
    for (let r = 0; r < rows; r++) y.data.set(data.subarray(r * shape[1], (r + 1) * shape[1]), r * width + column);
    column += shape[1];
  }
  return y;
}

import { Linear, type Module, type PackedBatch } from '../layers/index.ts';
import { linear, type FloatArray, type Tensor } from '../tensor/index.ts';
import { quantizeRows, toInt8Range, type BertModel } from '../bert/index.ts';

/**
 * Rounds the encoder's matrices so that what they compute changes least: each row is rounded a column at a time, and what
 * one column loses is made up for by those still to come, as far as the inputs of the layer let one stand in for another.
 * Halves the error of plain rounding. Source: GPTQ, Frantar et al. 2022, arXiv:2210.17323.
 *
 * @param batches    what the model is run on to see the inputs of its layers
 * @param onProgress called after each batch in each layer; when it returns a promise, that is waited for
 * @returns          int8 values by the name of the matrix; their scales are those of `quantizeRows`
 */
export async function roundEncoder(
  model: BertModel,
  batches: readonly PackedBatch[],
  onProgress: (done: number, total: number) => void | Promise<void> = () => {},
): Promise<Map<string, Int8Array>> {
  const { encoder, engine } = model;
  const rounded = new Map<string, Int8Array>();
  const states = batches.map((batch) => engine.scope(() => model.embed(batch)));
  const productsOf = new Map<Module, InputProducts>(); // of layers that come again: all of their inputs count
  let done = 0;
  for (const [i, layer] of encoder.layers.entries()) {
    const products = productsOf.get(layer) ?? new InputProducts();
    productsOf.set(layer, products);
    const stop = layer.observe((module, _, [x]) => {
      if (module instanceof Linear) products.add(module, x as Tensor);
    });
    for (const [b, batch] of batches.entries()) {
      states[b] = engine.scope(() => layer.forward(states[b], batch));
      await onProgress(++done, encoder.layers.length * batches.length);
    }
    stop();
    if (encoder.layers.includes(layer, i + 1)) continue;
    productsOf.delete(layer);
    for (const [sums, linears] of products.groups()) {
      const inputs = factorize(sums);
      for (const { weight } of linears)
        rounded.set(weight.name, roundColumns(weight.toTensor().data, weight.shape[0], inputs));
    }
  }
  return rounded;
}

/** Σ xᵀ·x over all inputs x of each linear layer. Query, key and value have the same inputs, and so the same sums. */
class InputProducts {
  readonly #ofLayer = new Map<Linear, Float64Array>();
  readonly #ofInput = new WeakMap<Tensor, Float64Array>();

  add(layer: Linear, x: Tensor): void {
    let sums = this.#ofInput.get(x);
    if (sums === undefined) {
      sums = this.#ofLayer.get(layer) ?? new Float64Array(x.shape[1] ** 2);
      addProducts(sums, x);
    }
    this.#ofInput.set(x, sums);
    this.#ofLayer.set(layer, sums);
  }

  groups(): Map<Float64Array, Linear[]> {
    const groups = new Map<Float64Array, Linear[]>();
    for (const [layer, sums] of this.#ofLayer) groups.set(sums, [...(groups.get(sums) ?? []), layer]);
    return groups;
  }
}

const BLOCK = 64;

/** Adds xᵀ·x, [size, size], to the sums: the upper triangle, in blocks of rows that reach a little below it. */
function addProducts(sums: Float64Array, x: Tensor): void {
  const { engine, data } = x;
  const [rows, size] = x.shape;
  const transposed = engine.zeros([size, rows]).data;
  for (let r = 0; r < rows; r++) for (let i = 0; i < size; i++) transposed[i * rows + r] = data[r * size + i];
  const columns = (begin: number, end: number) =>
    engine.tensor(transposed.subarray(begin * rows, end * rows), [end - begin, rows]);
  for (let begin = 0; begin < size; begin += BLOCK) {
    const end = Math.min(size, begin + BLOCK);
    const products = linear(columns(begin, end), columns(begin, size)).data;
    const width = size - begin;
    for (let i = begin; i < end; i++) {
      for (let j = begin; j < size; j++) sums[i * size + j] += products[(i - begin) * width + j - begin];
    }
  }
}

/** What rounding needs to know of a layer's inputs. */
export interface InputFactor {
  /** Columns from the one with the least input to the one with the most. */
  order: Int32Array;
  /** Lower triangular L, L·Lᵀ = the sums in that order: the outputs' squared error for weights off by e is |Lᵀ·e|². */
  factor: Float64Array;
}

/**
 * The Cholesky factor of Σ xᵀ·x.
 *
 * @param sums [size, size], of which the upper triangle is read
 */
export function factorize(sums: Float64Array): InputFactor {
  const size = Math.sqrt(sums.length);
  let trace = 0;
  for (let i = 0; i < size; i++) trace += sums[i * size + i];
  const damping = (0.01 * trace) / size || 1; // of few inputs, or none, not every direction is known
  const order = Int32Array.from({ length: size }, (_, i) => i);
  order.sort((a, b) => sums[a * size + a] - sums[b * size + b] || a - b);

  const factor = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = sums[Math.min(order[i], order[j]) * size + Math.max(order[i], order[j])];
      if (i === j) sum += damping;
      for (let k = 0; k < j; k++) sum -= factor[i * size + k] * factor[j * size + k];
      factor[i * size + j] = i === j ? Math.sqrt(sum) : sum / factor[j * size + j];
    }
  }
  return { order, factor };
}

/**
 * Rounds the columns of a matrix from the last in order to the first. With e what a row has lost, element j of Lᵀ·e is
 * L[j,j]·e[j] + carried[j], where all of carried[j] is known by then: the weight that would make it zero is what is
 * rounded. This gives the numbers of the paper's algorithm, which needs the factor of the inverse and changes the weights.
 *
 * @param weights [rows, size]
 * @returns       int8 values, for the scales of `quantizeRows`
 */
export function roundColumns(weights: FloatArray, rows: number, { order, factor }: InputFactor): Int8Array {
  const size = order.length;
  const { values, scale } = quantizeRows(weights, rows);
  const carried = new Float64Array(size);
  for (let row = 0; row < rows; row++) {
    if (scale[row] === 0) continue;
    carried.fill(0);
    for (let j = size - 1; j >= 0; j--) {
      const at = row * size + order[j];
      values[at] = toInt8Range((weights[at] + carried[j] / factor[j * size + j]) / scale[row]);
      const lost = weights[at] - values[at] * scale[row];
      for (let k = 0; k < j; k++) carried[k] += lost * factor[j * size + k];
    }
  }
  return values;
}

import type {
  ActivationName,
  BinaryOperation,
  FloatArray,
  HalfFormat,
  FunctionName,
  Kernels,
  PackedMatrix,
  Pooling,
} from '../kernels/kernels.ts';
import { referenceKernels } from '../kernels/reference.ts';
import { activationNumber } from './activation.ts';
import { attentionScratchBytes } from './attention.ts';
import { linearQ8ScratchBytes } from './int8.ts';
import type { KernelCall } from './runner.ts';
import { SimdBase } from './simdBase.ts';

/** From so many rows on Strassen's algorithm saves more than the sums of weights cost. */
const STRASSEN_ROWS = 32;

/** The arguments of dropout for attention kernels, by first head, query and token: zeros without. */
export type MaskArguments = (
  heads: number,
  queries: number,
) => (head: number, query: number, token: number) => number[];
export const noMask: MaskArguments = () => () => [0, 0, 0, 0, 0];

/**
 * The kernels that are written in WebAssembly, behind the interface of typed arrays: finds the addresses of arrays that lie
 * in its memory, copies others in and out, and divides the work. What is rare or tiny stays with the reference kernels.
 */
export class SimdKernels extends SimdBase implements Kernels {
  readonly name = 'simd';

  packRows(matrix: PackedMatrix, firstRow: number, rows: FloatArray | Int8Array): void {
    const { data, inFeatures, dtype } = matrix;
    const count = inFeatures === 0 ? 0 : rows.length / inFeatures;
    const groups = this.groups(inFeatures);
    const size = this.group * groups;
    const source = dtype === 'q8' && size > inFeatures ? withZeros(rows as Int8Array, inFeatures, size) : rows;
    const rowBytes = source.BYTES_PER_ELEMENT * (source.length / count);
    this.with([data], [source], ([packed, from]) => {
      for (let r = 0; r < count; r++) {
        const to = packed + this.rowAddress(matrix, firstRow + r);
        if (dtype === 'q8') this.exports.packRowQ8(to, from + r * rowBytes, groups);
        else this.exports.packRow(to, from + r * rowBytes, inFeatures);
      }
    });
  }

  packHalves(matrix: PackedMatrix, firstRow: number, halves: Uint16Array, format: HalfFormat): void {
    const { data, inFeatures } = matrix;
    this.with([data], [halves], ([packed, from]) => {
      for (let r = 0; r * inFeatures < halves.length; r++) {
        const to = packed + this.rowAddress(matrix, firstRow + r);
        this.exports[`packRow${format}`](to, from + 2 * r * inFeatures, inFeatures);
      }
    });
  }

  unpackRows(y: FloatArray, matrix: PackedMatrix, ids: Int32Array): void {
    this.embeddingSum(y, [matrix], [ids], matrix.inFeatures);
  }

  linear(
    y: FloatArray,
    x: FloatArray,
    weight: FloatArray | PackedMatrix,
    bias: FloatArray | null,
    activation: ActivationName,
    rows: number,
    inFeatures: number,
    outFeatures: number,
  ): void {
    if (rows === 0 || outFeatures === 0) return;
    if (inFeatures === 0)
      return referenceKernels.linear(y, x, new Float32Array(0), bias, activation, rows, 0, outFeatures);
    const matrix = 'dtype' in weight ? weight : this.pack(weight, outFeatures, inFeatures);
    const { dtype, data, scale } = matrix;
    const number = activationNumber(activation);
    this.with([y], [x, data, scale, bias], ([to, from, packed, scales, biases]) => {
      const [source, rowScales, sums] = dtype === 'q8' ? this.#round(from, rows, inFeatures) : [from, 0, 0];
      const groups = this.groups(inFeatures);
      const panelBytes = this.panelLength(inFeatures, dtype) * data.BYTES_PER_ELEMENT;
      /** Panels first to last of the weight, written at `target`. */
      const call = (first: number, last: number, target: number, stride: number): KernelCall => {
        const panel = packed + first * panelBytes;
        const offset = 4 * first * this.columns;
        const bias = biases === 0 ? this.zeros : biases + offset;
        const biasStep = biases === 0 ? 0 : 4 * this.columns;
        const count = last - first;
        return dtype === 'q8'
          ? [
              'linearQ8',
              target,
              source,
              sums,
              rowScales,
              panel,
              scales + offset,
              bias,
              biasStep,
              rows,
              groups,
              count,
              stride,
              number ?? 0,
            ]
          : ['linear', target, source, panel, bias, rows, inFeatures, count, stride, number ?? 0, biasStep];
      };
      const wholePanels = Math.floor(outFeatures / this.columns);
      const stride = 4 * outFeatures;
      const work = 2 * rows * inFeatures * outFeatures;
      const calls = this.divide(wholePanels, work).map(([first, last]) =>
        call(first, last, to + 4 * first * this.columns, stride),
      );
      // The last panel is wider than what is left of y: it is computed aside and the columns that count are copied.
      const rest = outFeatures % this.columns;
      const aside = rest === 0 ? 0 : this.memory.take(4 * rows * this.columns);
      if (rest > 0) calls.push(call(wholePanels, wholePanels + 1, aside, 4 * this.columns));
      const scratch = dtype === 'q8' ? linearQ8ScratchBytes(groups, this.tile, this.group) : 0;
      if (scratch > 0) this.runWithScratch(calls, scratch);
      else this.runner.run(calls);
      if (rest > 0) {
        const floats = new Float32Array(this.memory.memory.buffer);
        for (let r = 0; r < rows; r++) {
          const row = aside / 4 + r * this.columns;
          floats.copyWithin(to / 4 + r * outFeatures + wholePanels * this.columns, row, row + rest);
        }
      }
      if (number === undefined) {
        const sums = new Float32Array(this.memory.memory.buffer, to, rows * outFeatures); // y itself may have been emptied
        referenceKernels.activation(sums, sums, activation);
      }
    });
  }

  matmul(y: FloatArray, a: FloatArray, b: FloatArray, m: number, k: number, n: number): void {
    const transposed = new Float32Array(k * n);
    for (let p = 0; p < k; p++) for (let j = 0; j < n; j++) transposed[j * k + p] = b[p * n + j];
    this.linear(y, a, transposed, null, 'linear', m, k, n);
  }

  attention(
    y: FloatArray,
    probabilities: FloatArray | null,
    q: FloatArray,
    k: FloatArray,
    v: FloatArray,
    offsets: Int32Array,
    heads: number,
    headSize: number,
    scale: number,
    bias: FloatArray | null = null,
    spans: Int32Array | null = null,
    queryOffsets = offsets,
    maskOf: MaskArguments = noMask,
  ): void {
    const width = heads * headSize;
    const squares = ((probabilities ?? bias)?.length ?? 0) / heads;
    this.with([y, probabilities], [q, k, v, bias, spans], ([to, saved, query, key, value, biases, seen]) => {
      const mask = maskOf(heads, queryOffsets.at(-1)!);
      const calls: KernelCall[] = [];
      let longest = 0;
      let square = 0;
      for (let s = 0; s + 1 < offsets.length; s++) {
        const length = offsets[s + 1] - offsets[s];
        const queries = queryOffsets[s + 1] - queryOffsets[s];
        if (queries === 0) continue;
        for (const [first, last] of this.divide(heads, 4 * queries * length * width)) {
          const offset = 4 * (offsets[s] * width + first * headSize);
          const queryOffset = 4 * (queryOffsets[s] * width + first * headSize);
          const pairs = (address: number) => (address === 0 ? 0 : address + 4 * (first * squares + square));
          calls.push([
            'attention',
            to + queryOffset,
            query + queryOffset,
            key + offset,
            value + offset,
            queries,
            length,
            headSize,
            4 * width,
            last - first,
            scale,
            pairs(saved),
            4 * squares,
            this.zeros,
            pairs(biases),
            seen === 0 ? 0 : seen + 8 * queryOffsets[s],
            ...mask(first, queryOffsets[s], offsets[s]),
          ]);
        }
        longest = Math.max(longest, length);
        square += queries * length;
      }
      this.runWithScratch(calls, attentionScratchBytes(longest, headSize, this.tile));
    });
  }

  gate(y: FloatArray, x: FloatArray, name: ActivationName, rows: number, size: number): void {
    const number = activationNumber(name);
    if (!number || size % 4 > 0) return referenceKernels.gate(y, x, name, rows, size);
    this.with([y], [x], ([to, from]) => {
      const calls = this.divide(rows, 40 * rows * size).map(([first, last]): KernelCall => [
        'gate',
        to + 4 * first * size,
        from + 8 * first * size,
        last - first,
        size,
        number,
      ]);
      this.runner.run(calls);
    });
  }

  binary(y: FloatArray, a: FloatArray, b: FloatArray, operation: BinaryOperation): void {
    const { length } = a; // of a view that may be emptied below
    const isRow = b.length < length;
    if (b.length < 4) return referenceKernels.binary(y, a, b, operation);
    const size = isRow ? b.length : 1;
    this.with([y], [a, b], ([to, left, right]) => {
      const calls = this.divide(length / size, 4 * length).map(([first, last]): KernelCall => {
        const begin = 4 * first * size;
        const [rows, numbers] = isRow ? [last - first, size] : [1, last - first];
        return [operation, to + begin, left + begin, isRow ? right : right + begin, rows, numbers, 0];
      });
      this.runner.run(calls);
    });
  }

  layerNorm(
    y: FloatArray,
    x: FloatArray,
    residual: FloatArray | null,
    weight: FloatArray,
    bias: FloatArray | null,
    eps: number,
    rows: number,
    size: number,
  ): void {
    const name = residual ? 'layerNormResidual' : 'layerNorm';
    this.with([y], [x, residual, weight, bias ?? new Float32Array(size)], ([to, from, added, weights, biases]) => {
      const row = (address: number, first: number) => (address === 0 ? 0 : address + 4 * first * size);
      const calls = this.divide(rows, 20 * rows * size).map(([first, last]): KernelCall => [
        name,
        row(to, first),
        row(from, first),
        row(added, first),
        weights,
        biases,
        last - first,
        size,
        eps,
      ]);
      this.runner.run(calls);
    });
  }

  activation(y: FloatArray, x: FloatArray, name: FunctionName): void {
    const number = activationNumber(name);
    const { length } = x; // of a view that may be emptied below
    if (number === undefined) return referenceKernels.activation(y, x, name);
    if (number === 0) return y.set(x);
    this.with([y], [x], ([to, from]) => {
      const pairs = length >> 3;
      const calls = this.divide(pairs, 160 * pairs).map(([first, last]): KernelCall => [
        'activate',
        ...[number, to + 32 * first, from + 32 * first, last - first, 2, 32],
      ]);
      this.runner.run(calls, undefined, to === from); // in place not to be run twice
      const rest = length - 8 * pairs;
      if (rest === 0) return;
      const aside = this.memory.take(32);
      const floats = new Float32Array(this.memory.memory.buffer);
      floats.copyWithin(aside / 4, from / 4 + 8 * pairs, from / 4 + length);
      this.exports.activate(number, aside, aside, 1, 2, 0);
      floats.copyWithin(to / 4 + 8 * pairs, aside / 4, aside / 4 + rest);
    });
  }

  embeddingSum(
    y: FloatArray,
    tables: readonly (FloatArray | PackedMatrix)[],
    ids: readonly Int32Array[],
    size: number,
  ): void {
    const rows = size === 0 ? 0 : y.length / size;
    if (rows === 0) return;
    const sources = tables.map((table, t) => {
      if ('dtype' in table) return { ...lookUp(table), ids: ids[t] };
      if (this.memory.holds(table)) return { name: 'gather', data: table, scale: null, ids: ids[t] };
      // Of a table that lies elsewhere only the rows that are asked for are copied.
      const chosen = new Float32Array(y.length);
      ids[t].forEach((id, r) => chosen.set(table.subarray(id * size, (id + 1) * size), r * size));
      return { name: 'gather', data: chosen, scale: null, ids: Int32Array.from({ length: rows }, (_, r) => r) };
    });
    const inputs = sources.flatMap(({ data, scale, ids }) => [data, scale, ids]);
    this.with([y], inputs, ([to, ...addresses]) => {
      sources.forEach(({ name }, t) => {
        const [data, scales, from] = addresses.slice(3 * t, 3 * t + 3);
        const calls = this.divide(rows, 3 * rows * size).map(([first, last]): KernelCall => [
          t === 0 ? name : `${name}Add`,
          to + 4 * first * size,
          data,
          from + 4 * first,
          scales,
          last - first,
          size,
        ]);
        this.runner.run(calls);
      });
    });
  }

  poolSequences(y: FloatArray, x: FloatArray, offsets: Int32Array, size: number, how: Pooling): void {
    this.with([y], [x], ([to, from]) => {
      for (let s = 0; s + 1 < offsets.length; s++) {
        const count = offsets[s + 1] - offsets[s];
        const rows = how === 'first' || how === 'last' ? Math.min(count, 1) : count;
        const first = how === 'last' ? offsets[s + 1] - rows : offsets[s];
        const isMax = how === 'max' && rows > 0;
        const [growth, weights] = how === 'weightedMean' ? [1, (rows * (rows + 1)) / 2] : [0, rows];
        const divisor = isMax || rows === 0 ? 1 : how === 'meanSqrtLength' ? Math.sqrt(weights) : weights;
        const name = isMax ? 'poolMax' : 'poolSum';
        this.exports[name](to + 4 * s * size, from + 4 * first * size, rows, size, growth, 1 / divisor);
      }
    });
  }

  normalizeRows(y: FloatArray, x: FloatArray, rows: number, size: number): void {
    this.with([y], [x], ([to, from]) => void this.exports.normalizeRows(to, from, rows, size));
  }

  readonly softmax = referenceKernels.softmax;
  readonly sumRows = referenceKernels.sumRows;
  readonly gather = referenceKernels.gather;

  /**
   * Rows rounded to 12 bits for `linearQ8`, in scratch memory: their address, and those of their scales and, where these are worth
   * it, of the sums for Strassen's algorithm.
   */
  #round(x: number, rows: number, inFeatures: number): [rounded: number, scales: number, sums: number] {
    const groups = this.groups(inFeatures);
    const rowBytes = 2 * this.group * groups;
    const rounded = this.memory.take(rows * rowBytes);
    const scales = this.memory.take(4 * (rows + this.tile.rows));
    const calls = this.divide(rows, 8 * rows * inFeatures).map(([first, last]): KernelCall => [
      'roundRows',
      rounded + first * rowBytes,
      scales + 4 * first,
      x + 4 * first * inFeatures,
      last - first,
      inFeatures,
    ]);
    this.runner.run(calls);
    if (this.group !== 2 || rows < STRASSEN_ROWS || groups % 8 !== 0) return [rounded, scales, 0];
    const eights = rows >> 3;
    const bytes = 8 * rowBytes;
    const sums = this.memory.take(eights * bytes);
    this.runner.run(
      this.divide(eights, 8 * rows * inFeatures).map(([first, last]): KernelCall => [
        'sumQuadrants',
        sums + first * bytes,
        rounded + first * bytes,
        last - first,
        groups,
      ]),
    );
    return [rounded, scales, sums];
  }
}

const lookUp = ({ dtype, data, scale }: PackedMatrix) => ({
  name: dtype === 'q8' ? 'gatherPackedQ8' : 'gatherPacked',
  data,
  scale,
});

/** [rows, size] → [rows, width] */
function withZeros(rows: Int8Array, size: number, width: number): Int8Array {
  const wider = new Int8Array((rows.length / size) * width);
  for (let r = 0; r * size < rows.length; r++) wider.set(rows.subarray(r * size, (r + 1) * size), r * width);
  return wider;
}

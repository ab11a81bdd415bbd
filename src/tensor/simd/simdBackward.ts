import type { AttentionDropout, BackwardKernels, DropoutMask } from '../kernels/backwardKernels.ts';
import type { FloatArray, FunctionName, PackedMatrix } from '../kernels/kernels.ts';
import { GOLDEN, maskBits, maskRow, maskThreshold } from '../kernels/mix.ts';
import { referenceBackward } from '../kernels/referenceBackward.ts';
import { activationNumber } from './activation.ts';
import { attentionBackwardScratchBytes } from './attentionBackward.ts';
import { defineBackwardKernels } from './backwardModule.ts';
import type { KernelCall } from './runner.ts';
import { noMask, type MaskArguments, type SimdKernels } from './simdKernels.ts';
import { SimdTraining } from './simdTraining.ts';

/** Bytes by which rows of a transpose are further apart than they are long, so that they do not compete for one place in the cache. */
const APART = 64;

/** The backward kernels in WebAssembly. What is rare or tiny stays with the reference kernels. */
export class SimdBackward extends SimdTraining implements BackwardKernels {
  readonly #kernels: SimdKernels;

  /** Loads the module of training into what these kernels run on. */
  constructor(kernels: SimdKernels) {
    kernels.machine.load(defineBackwardKernels);
    super(kernels.machine);
    this.#kernels = kernels;
  }

  linearBackward(
    dx: FloatArray | null,
    dWeight: FloatArray | null,
    dBias: FloatArray | null,
    dy: FloatArray,
    x: FloatArray,
    weight: FloatArray | PackedMatrix,
    rows: number,
    inFeatures: number,
    outFeatures: number,
    { dx: writesX, dWeight: writesWeight } = { dx: false, dWeight: false },
  ): void {
    const isPacked = 'dtype' in weight && rows > 0 && outFeatures > 0 && inFeatures > 0;
    if (writesX && !(isPacked && inFeatures % this.columns === 0)) dx?.fill(0);
    if (writesWeight && !isPacked) dWeight?.fill(0);
    if (rows === 0 || outFeatures === 0) return;
    if (!('dtype' in weight) || inFeatures === 0) {
      const rowMajor = 'dtype' in weight ? new Float32Array(0) : weight;
      return this.#rowMajorBackward(dx, dWeight, dBias, dy, x, rowMajor, rows, inFeatures, outFeatures);
    }
    const inputs = dx ? [dy, x, weight.data] : [dy, x];
    this.with([dx, dWeight, dBias], inputs, ([dxAt, dWeightAt, dBiasAt, dyAt, xAt, packed]) => {
      if (dxAt !== 0) this.#addInputGradient(dxAt, dyAt, packed, rows, inFeatures, outFeatures, writesX);
      if (dWeightAt === 0 && dBiasAt === 0) return;
      const mark = this.memory.mark();
      const panels = this.#packColumns(dyAt, rows, outFeatures);
      if (dBiasAt !== 0) this.#addPanelSums(dBiasAt, panels, rows, outFeatures);
      if (dWeightAt !== 0) this.#addWeightGradient(dWeightAt, xAt, panels, rows, inFeatures, outFeatures, writesWeight);
      this.memory.release(mark);
    });
  }

  /** Of a weight that is not packed: packed for this once, and its gradient brought back. */
  #rowMajorBackward(
    dx: FloatArray | null,
    dWeight: FloatArray | null,
    dBias: FloatArray | null,
    dy: FloatArray,
    x: FloatArray,
    weight: FloatArray,
    rows: number,
    inFeatures: number,
    outFeatures: number,
  ): void {
    if (inFeatures === 0) {
      referenceBackward.linearBackward(null, null, dBias, dy, x, weight, rows, inFeatures, outFeatures);
      return;
    }
    const [gradient, kept] = [
      dWeight && new Float32Array(this.packedLength(outFeatures, inFeatures, 'f32')),
      dWeight && this.lasting(dWeight),
    ];
    const matrix = this.pack(weight, outFeatures, inFeatures);
    this.linearBackward(dx, gradient, dBias, dy, x, matrix, rows, inFeatures, outFeatures);
    if (!gradient || !kept) return;
    const { data } = kept;
    for (let o = 0; o < outFeatures; o++) {
      const start = this.rowAddress(matrix, o) / 4;
      for (let i = 0; i < inFeatures; i++) data[o * inFeatures + i] += gradient[start + i * this.columns];
    }
  }

  /** dx += dy · weight, with the weight's panels turned; or, when it `writes` whole panels, dx = … */
  #addInputGradient(
    dx: number,
    dy: number,
    packed: number,
    rows: number,
    inFeatures: number,
    outFeatures: number,
    writes: boolean,
  ): void {
    const { columns } = this;
    const mark = this.memory.mark();
    const panels = this.panels(inFeatures);
    const panelBytes = 4 * outFeatures * columns;
    const turned = this.memory.take(panels * panelBytes);
    const rest = inFeatures % columns;
    const whole = Math.floor(inFeatures / columns);
    const bytes = new Uint8Array(this.memory.memory.buffer);
    if (rest > 0) bytes.fill(0, turned + whole * panelBytes, turned + panels * panelBytes);
    const step = 4 * columns * inFeatures;
    this.runner.run(
      this.divide(panels, 4 * inFeatures * outFeatures).flatMap(([first, last]) =>
        Array.from({ length: last - first }, (_, i): KernelCall => {
          const p = first + i;
          const from = packed + 4 * p * columns * columns;
          const inputs = Math.min(columns, inFeatures - p * columns);
          return ['turnPanel', turned + p * panelBytes, from, inputs, outFeatures, step];
        }),
      ),
    );
    const sizes = { rows, depth: outFeatures, xStride: 4 * outFeatures };
    const to = { yStride: 4 * inFeatures, yStep: 4 * columns };
    this.#product(dx, dy, turned, { ...sizes, ...to, panels: whole }, writes && rest === 0);
    // The last panel is wider than what is left of dx: it is computed aside.
    const aside = rest > 0 ? this.memory.take(4 * rows * columns) : 0;
    const last = turned + whole * panelBytes;
    if (rest > 0) this.#product(aside, dy, last, { ...sizes, yStride: 4 * columns, yStep: 0, panels: 1 }, true);
    if (rest > 0) this.exports.addRows(dx + 4 * whole * columns, aside, rows, rest, 4 * inFeatures, 4 * columns);
    this.memory.release(mark);
  }

  /** dWeight += dyᵀ · x, where the weight's panels have it; or, when it `writes`, dWeight = … */
  #addWeightGradient(
    dWeight: number,
    x: number,
    panels: number,
    rows: number,
    inFeatures: number,
    outFeatures: number,
    writes: boolean,
  ): void {
    const { columns } = this;
    const stride = Math.ceil(rows / 16) * 64 + APART;
    const turned = this.memory.take(inFeatures * stride);
    this.runner.run(
      this.divide(Math.ceil(rows / 16), 4 * rows * inFeatures).map(([first, last]): KernelCall => {
        const [begin, end] = [16 * first, Math.min(16 * last, rows)];
        return [
          'transpose',
          turned + 4 * begin,
          x + 4 * begin * inFeatures,
          end - begin,
          inFeatures,
          stride,
          4 * inFeatures,
        ];
      }),
    );
    const sizes = { rows: inFeatures, depth: rows, panels: this.panels(outFeatures) };
    const strides = { xStride: stride, yStride: 4 * columns, yStep: 4 * columns * inFeatures };
    this.#product(dWeight, turned, panels, { ...sizes, ...strides }, writes);
  }

  /** y += x · panels; or, when it `writes`, y = x · panels. */
  #product(y: number, x: number, panels: number, sizes: ProductSizes, writes: boolean): void {
    const { rows, depth, panels: count, xStride, yStride, yStep } = sizes;
    const zeros = writes ? this.zeros : 0;
    const panelBytes = 4 * depth * this.columns;
    const calls = this.divide(count, 2 * rows * depth * count * this.columns).map(([first, last]): KernelCall => [
      'product',
      y + first * yStep,
      x,
      panels + first * panelBytes,
      rows,
      depth,
      last - first,
      xStride,
      yStride,
      yStep,
      zeros,
    ]);
    this.runner.run(calls, undefined, true);
  }

  /** [rows, size] → panels of columns, [panel][rows][columns], in scratch memory. */
  #packColumns(x: number, rows: number, size: number): number {
    const { columns } = this;
    const panels = this.memory.take(4 * this.panels(size) * columns * rows);
    this.runner.run(
      this.divide(this.panels(size), 4 * rows * size).map(([first, last]): KernelCall => {
        const [begin, end] = [first * columns, Math.min(last * columns, size)];
        return ['packValues', panels + 4 * begin * rows, x + 4 * begin, rows, end - begin, 4 * size];
      }),
    );
    return panels;
  }

  #addPanelSums(y: number, panels: number, rows: number, size: number): void {
    const { columns } = this;
    const count = this.panels(size);
    const sums = this.memory.take(4 * count * columns);
    this.runner.run(
      this.divide(count, 2 * rows * size).map(([first, last]): KernelCall => [
        'sumPanels',
        sums + 4 * first * columns,
        panels + 4 * first * columns * rows,
        rows,
        last - first,
      ]),
    );
    this.exports.addRows(y, sums, 1, size, 0, 0);
  }

  attentionBackward(
    dq: FloatArray | null,
    dk: FloatArray | null,
    dv: FloatArray | null,
    dBias: FloatArray | null,
    dy: FloatArray,
    q: FloatArray,
    k: FloatArray,
    v: FloatArray,
    offsets: Int32Array,
    heads: number,
    headSize: number,
    scale: number,
    bias: FloatArray | null,
    spans: Int32Array | null,
    dropout: AttentionDropout | null,
    queryOffsets = offsets,
    writes = false,
  ): void {
    const width = heads * headSize;
    const writesPanels = writes && headSize % this.columns === 0 && everySequenceHasQueries(offsets, queryOffsets);
    if (writes && !writesPanels) for (const gradient of [dq, dk, dv]) gradient?.fill(0);
    const [queryNumbers, numbers] = [dy.length, k.length];
    const squares = (bias?.length ?? 0) / heads;
    this.with([dq, dk, dv, dBias], [dy, q, k, v, bias, spans], (addresses) => {
      // What is not wanted goes to waste.
      const [dqAt, dkAt, dvAt] = [queryNumbers, numbers, numbers].map(
        (count, i) => addresses[i] || this.memory.take(4 * count),
      );
      const [dyAt, qAt, kAt, vAt] = addresses.slice(4);
      const [dBiasAt, biasAt, spansAt] = [3, 8, 9].map((i) => addresses[i]);
      const mask = this.#maskOf(dropout)(heads, queryOffsets.at(-1)!);
      const calls: KernelCall[] = [];
      let longest = 0;
      let square = 0;
      for (let s = 0; s + 1 < offsets.length; s++) {
        const length = offsets[s + 1] - offsets[s];
        const queries = queryOffsets[s + 1] - queryOffsets[s];
        if (queries === 0) continue;
        for (const [first, last] of this.divide(heads, 10 * queries * length * width)) {
          const ofQuery = (address: number) => address + 4 * (queryOffsets[s] * width + first * headSize);
          const ofToken = (address: number) => address + 4 * (offsets[s] * width + first * headSize);
          const pairs = (address: number) => (address === 0 ? 0 : address + 4 * (first * squares + square));
          calls.push([
            'attentionBackward',
            ...[ofQuery(dqAt), ofToken(dkAt), ofToken(dvAt), pairs(dBiasAt)],
            ...[ofQuery(dyAt), ofQuery(qAt), ofToken(kAt), ofToken(vAt), pairs(biasAt)],
            spansAt === 0 ? 0 : spansAt + 8 * queryOffsets[s],
            queries,
            length,
            headSize,
            4 * width,
            last - first,
            scale,
            4 * squares,
            this.zeros,
            ...mask(first, queryOffsets[s], offsets[s]),
            writesPanels ? this.zeros : 0,
          ]);
        }
        longest = Math.max(longest, length);
        square += queries * length;
      }
      this.runWithScratch(calls, attentionBackwardScratchBytes(longest, headSize, this.tile), true);
    });
  }

  attentionDropout(
    y: FloatArray,
    probabilities: FloatArray | null,
    q: FloatArray,
    k: FloatArray,
    v: FloatArray,
    offsets: Int32Array,
    heads: number,
    headSize: number,
    scale: number,
    bias: FloatArray | null,
    spans: Int32Array | null,
    dropout: AttentionDropout,
    queryOffsets = offsets,
  ): void {
    const mask = this.#maskOf(dropout);
    const args = [y, probabilities, q, k, v, offsets, heads, headSize, scale, bias, spans, queryOffsets] as const;
    this.#kernels.attention(...args, mask);
  }

  /** Its arguments are in scratch memory. */
  #maskOf(dropout: AttentionDropout | null): MaskArguments {
    if (!dropout) return noMask;
    return (heads, queries) => {
      const { stream, probability, keys, columns } = dropout;
      const bases = this.memory.take(4 * heads * queries);
      const counters = this.memory.take(4 * columns.length + 32); // read eight at a time
      const [basesView, countersView] = [this.#int32(bases, heads * queries), this.#int32(counters, columns.length)];
      for (let query = 0; query < queries; query++) {
        const row = maskRow(stream, keys[query]);
        for (let head = 0; head < heads; head++) basesView[head * queries + query] = maskBits(row, head);
      }
      columns.forEach((column, token) => (countersView[token] = Math.imul(column, GOLDEN)));
      const rest = [maskThreshold(probability), 1 / (1 - probability)];
      return (head, query, token) => [bases + 4 * (head * queries + query), 4 * queries, counters + 4 * token, ...rest];
    };
  }

  #int32(address: number, length: number): Int32Array {
    return new Int32Array(this.memory.memory.buffer, address, length);
  }

  dropout(y: FloatArray, x: FloatArray, mask: DropoutMask, size: number): void {
    if (size % 4 !== 0) return referenceBackward.dropout(y, x, mask, size);
    this.#dropout('dropout', y, x, mask, size);
  }

  dropoutBackward(dx: FloatArray, dy: FloatArray, mask: DropoutMask, size: number): void {
    if (size % 4 !== 0) return referenceBackward.dropoutBackward(dx, dy, mask, size);
    this.#dropout('dropoutAdd', dx, dy, mask, size);
  }

  #dropout(name: string, y: FloatArray, x: FloatArray, { stream, probability, keys }: DropoutMask, size: number): void {
    this.with([y], [x], ([to, from]) => {
      const bases = this.memory.take(4 * keys.length);
      const counters = this.memory.take(4 * size);
      this.#int32(bases, keys.length).set(keys.map((key) => maskRow(stream, key)));
      const countersView = this.#int32(counters, size);
      for (let i = 0; i < size; i++) countersView[i] = Math.imul(i, GOLDEN);
      const calls = this.divide(keys.length, 12 * keys.length * size).map(([first, last]): KernelCall => [
        name,
        to + 4 * first * size,
        from + 4 * first * size,
        bases + 4 * first,
        counters,
        last - first,
        size >> 2,
        maskThreshold(probability),
        1 / (1 - probability),
      ]);
      this.runner.run(calls, undefined, true);
    });
  }

  layerNormBackward(
    dx: FloatArray | null,
    dResidual: FloatArray | null,
    dWeight: FloatArray | null,
    dBias: FloatArray | null,
    dy: FloatArray,
    x: FloatArray,
    residual: FloatArray | null,
    weight: FloatArray,
    eps: number,
    rows: number,
    size: number,
    writes = false,
  ): void {
    if (size % 4 !== 0) {
      const sizes = [eps, rows, size, writes] as const;
      referenceBackward.layerNormBackward(dx, dResidual, dWeight, dBias, dy, x, residual, weight, ...sizes);
      return;
    }
    const suffix = residual ? 'Residual' : '';
    this.with([dx, dResidual, dWeight, dBias], [dy, x, residual, weight], (addresses) => {
      const [dyAt, xAt, residualAt, weightAt] = addresses.slice(4);
      const numbers = [rows * size, rows * size, size, size];
      const needed = [true, residual !== null, true, true];
      // What is not wanted goes to waste.
      const [dxAt, dResidualAt, dWeightAt, dBiasAt] = numbers.map(
        (count, i) => addresses[i] || (needed[i] ? this.memory.take(4 * count) : 0),
      );
      const statistics = this.memory.take(8 * rows);
      const row = (address: number, first: number) => (address === 0 ? 0 : address + 4 * first * size);
      this.runner.run(
        this.divide(rows, 40 * rows * size).map(([first, last]): KernelCall => [
          `layerNormBackward${suffix}`,
          ...[dxAt, dResidualAt, dyAt, xAt, residualAt].map((address) => row(address, first)),
          weightAt,
          statistics + 8 * first,
          last - first,
          size,
          writes ? 0 : -1,
          eps,
        ]),
        undefined,
        true,
      );
      this.runner.run(
        this.divide(size >> 2, 10 * rows * size).map(([first, last]): KernelCall => [
          `layerNormSums${suffix}`,
          ...[dWeightAt, dBiasAt, dyAt, xAt, residualAt].map((address) => (address === 0 ? 0 : address + 16 * first)),
          statistics,
          rows,
          last - first,
          4 * size,
        ]),
        undefined,
        true,
      );
    });
  }

  activationWithSlopes(y: FloatArray, slopes: FloatArray, x: FloatArray, name: FunctionName): void {
    const number = activationNumber(name);
    if (!number) return referenceBackward.activationWithSlopes(y, slopes, x, name);
    const { length } = x; // of a view that may be emptied below
    this.with([y, slopes], [x], (addresses) => {
      const vectors = length >> 2;
      this.runner.run(
        this.divide(vectors, 160 * vectors).map(([first, last]): KernelCall => {
          const args = addresses.map((address) => address + 16 * first);
          return ['activateWithSlopes', number, ...args, last - first];
        }),
        undefined,
        true, // in place not to be run twice
      );
      const rest = length & 3;
      if (rest === 0) return;
      const aside = [0, 1, 2].map(() => this.memory.take(16) / 4);
      const floats = new Float32Array(this.memory.memory.buffer);
      const [toY, toSlopes, from] = addresses.map((address) => address / 4 + 4 * vectors);
      floats.copyWithin(aside[2], from, from + rest);
      this.exports.activateWithSlopes(number, ...aside.map((at) => 4 * at), 1);
      floats.copyWithin(toY, aside[0], aside[0] + rest);
      floats.copyWithin(toSlopes, aside[1], aside[1] + rest);
    });
  }

  embeddingSumBackward(
    dTables: readonly (FloatArray | null)[],
    tables: readonly (FloatArray | PackedMatrix)[],
    dy: FloatArray,
    ids: readonly Int32Array[],
    size: number,
  ): void {
    tables.forEach((table, t) => {
      const dTable = dTables[t];
      if (!dTable) return;
      if (!('dtype' in table)) return referenceBackward.embeddingSumBackward([dTable], [table], dy, [ids[t]], size);
      this.with([dTable], [dy], ([to, from]) => {
        ids[t].forEach(
          (id, r) => id >= 0 && this.exports.addRow(to + this.rowAddress(table, id), from + 4 * r * size, size),
        );
      });
    });
  }

  readonly relativeBiasBackward = referenceBackward.relativeBiasBackward;
  readonly disentangledBiasBackward = referenceBackward.disentangledBiasBackward;
  readonly rotaryBackward = referenceBackward.rotaryBackward;
  readonly gateBackward = referenceBackward.gateBackward;
  readonly addProducts = referenceBackward.addProducts;
  readonly matmulBackward = referenceBackward.matmulBackward;
  readonly binaryBackward = referenceBackward.binaryBackward;
  readonly softmaxBackward = referenceBackward.softmaxBackward;
  readonly logSoftmax = referenceBackward.logSoftmax;
  readonly logSoftmaxBackward = referenceBackward.logSoftmaxBackward;
  readonly sumRowsBackward = referenceBackward.sumRowsBackward;
  readonly poolSequencesBackward = referenceBackward.poolSequencesBackward;
  readonly normalizeRowsBackward = referenceBackward.normalizeRowsBackward;
  readonly gatherBackward = referenceBackward.gatherBackward;
}

/** Of a product: x is [rows][depth], panels [panels][depth][columns]; strides of rows, and from a panel's columns of y to the next ones, in bytes. */
type ProductSizes = Record<'rows' | 'depth' | 'panels' | 'xStride' | 'yStride' | 'yStep', number>;

/** Whether every sequence that has tokens has queries too. */
const everySequenceHasQueries = (offsets: Int32Array, queryOffsets: Int32Array): boolean =>
  offsets.every((end, s) => s === 0 || end === offsets[s - 1] || queryOffsets[s] > queryOffsets[s - 1]);

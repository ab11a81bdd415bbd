import type { AttentionDropout, BackwardKernels, DropoutMask } from '../kernels/backwardKernels.ts';
import type { FloatArray, FunctionName, PackedMatrix } from '../kernels/kernels.ts';
import { GOLDEN, maskBits, maskRow, maskThreshold } from '../kernels/mix.ts';
import { referenceBackward } from '../kernels/referenceBackward.ts';
import { activationNumber } from './activation.ts';
import { attentionBackwardScratchBytes } from './attentionBackward.ts';
import { defineBackwardKernels } from './backwardModule.ts';
import type { KernelCall } from './runner.ts';
import { noMask, type MaskArguments, type SimdKernels } from './simdKernels.ts';
import { SimdLinearBackward } from './simdLinearBackward.ts';

/** The backward kernels in WebAssembly. What is rare or tiny stays with the reference kernels. */
export class SimdBackward extends SimdLinearBackward implements BackwardKernels {
  readonly #kernels: SimdKernels;
  readonly rowsTogether: number;

  /** Loads the module of training into what these kernels run on. */
  constructor(kernels: SimdKernels) {
    kernels.machine.load(defineBackwardKernels);
    super(kernels.machine);
    this.#kernels = kernels;
    this.rowsTogether = this.columns;
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

/** Whether every sequence that has tokens has queries too. */
const everySequenceHasQueries = (offsets: Int32Array, queryOffsets: Int32Array): boolean =>
  offsets.every((end, s) => s === 0 || end === offsets[s - 1] || queryOffsets[s] > queryOffsets[s - 1]);

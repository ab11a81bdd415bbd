import type { BackwardKernels } from '../kernels/backwardKernels.ts';
import type { FloatArray, PackedMatrix } from '../kernels/kernels.ts';
import { referenceBackward } from '../kernels/referenceBackward.ts';
import { mulAdd } from './arithmetic.ts';
import { DEPTH_STEP, quartersScratchBytes, sumStrideOf } from './quarters.ts';
import type { KernelCall } from './runner.ts';
import { SimdTraining } from './simdTraining.ts';

/** Bytes between rows of a transpose, lest they compete for one place in the cache. */
const APART = 64;
/** Rows, depth and columns from which on a product goes by quarters. */
const FEWEST_OF_QUARTERS = 192;
/** The most rows and depth of one: its sums take memory. More rows go one block after the other, more depth as usual. */
const MOST_OF_QUARTERS = 4096;
/** Rows of x and dy that are packed at a time, for the gradient of a weight. */
const ROWS_AT_A_TIME = 2048;

/** The gradients of `linear`, which are two products. */
export abstract class SimdLinearBackward extends SimdTraining implements Pick<BackwardKernels, 'linearBackward'> {
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
      for (let first = 0; first < rows; first += ROWS_AT_A_TIME) {
        const count = Math.min(ROWS_AT_A_TIME, rows - first);
        const mark = this.memory.mark();
        const panels = this.#packColumns(dyAt + 4 * first * outFeatures, count, outFeatures);
        if (dBiasAt !== 0) this.#addPanelSums(dBiasAt, panels, count, outFeatures);
        if (dWeightAt !== 0) {
          const from = xAt + 4 * first * inFeatures;
          const writes = writesWeight && first === 0;
          this.#addWeightGradient(dWeightAt, from, panels, count, inFeatures, outFeatures, writes);
        }
        this.memory.release(mark);
      }
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
    if (rest > 0) {
      // The last panel is wider than what is left of dx: it is computed aside.
      const aside = this.memory.take(4 * rows * columns);
      const last = turned + whole * panelBytes;
      this.#product(aside, dy, last, { ...sizes, yStride: 4 * columns, yStep: 0, panels: 1 }, true);
      this.exports.addRows(dx + 4 * whole * columns, aside, rows, rest, 4 * inFeatures, 4 * columns);
    }
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

  /** y += x · panels; or, when it `writes`, y = x · panels. By quarters unless fused multiply-add is as fast without. */
  #product(y: number, x: number, panels: number, sizes: ProductSizes, writes: boolean): void {
    const { rows, depth, panels: count, xStride, yStride } = sizes;
    const asUsual = (first: number, rows: number) => {
      const calls = this.#productCalls(y + first * yStride, x + first * xStride, panels, { ...sizes, rows }, writes);
      this.runner.run(calls, undefined, true);
    };
    const suits = Math.min(depth, count * this.columns) >= FEWEST_OF_QUARTERS && depth <= MOST_OF_QUARTERS;
    if (this.machine.arithmetic !== mulAdd || !suits) return asUsual(0, rows);
    for (let first = 0; first < rows; first += MOST_OF_QUARTERS) {
      const block = Math.min(MOST_OF_QUARTERS, rows - first);
      if (block < FEWEST_OF_QUARTERS) asUsual(first, block);
      else this.#productOfQuarters(y + first * yStride, x + first * xStride, panels, { ...sizes, rows: block }, writes);
    }
  }

  #productOfQuarters(y: number, x: number, panels: number, sizes: ProductSizes, writes: boolean): void {
    const { rows, depth, panels: count, xStride, yStride, yStep } = sizes;
    const halfRows = rows >> 1;
    const pairs = count >> 1;
    const restOfDepth = depth % DEPTH_STEP;
    const fullDepth = depth - restOfDepth;
    const panelBytes = 4 * depth * this.columns;
    const mark = this.memory.mark();
    const sumStride = sumStrideOf(fullDepth);
    const sums = this.memory.take(halfRows * sumStride);
    this.runner.run(
      this.divide(halfRows, 4 * rows * depth).map(([first, last]): KernelCall => [
        'sumQuarters',
        sums + first * sumStride,
        x + first * xStride,
        last - first,
        fullDepth,
        xStride,
        halfRows * xStride,
        sumStride,
      ]),
    );
    const calls = this.divide(pairs, 2 * rows * depth * count * this.columns).map(([first, last]): KernelCall => [
      'productOfQuarters',
      y + 2 * first * yStep,
      x,
      sums,
      panels + 2 * first * panelBytes,
      halfRows,
      fullDepth,
      last - first,
      xStride,
      sumStride,
      yStride,
      yStep,
      panelBytes,
      writes ? 1 : 0,
      this.zeros,
    ]);
    this.runWithScratch(calls, quartersScratchBytes(halfRows, fullDepth, this.tile), true);
    this.memory.release(mark);

    const done = { ...sizes, rows: 2 * halfRows, panels: 2 * pairs };
    const lastPanel = { ...done, panels: count - done.panels };
    const lastRow = { ...sizes, rows: rows - done.rows };
    const rest = [
      this.#productCalls(y + done.panels * yStep, x, panels + done.panels * panelBytes, lastPanel, writes),
      this.#productCalls(y + done.rows * yStride, x + done.rows * xStride, panels, lastRow, writes),
    ];
    for (let p = 0; restOfDepth > 0 && p < done.panels; p++) {
      const panel = panels + p * panelBytes + 4 * fullDepth * this.columns;
      const ofOne = { ...done, depth: restOfDepth, panels: 1 };
      rest.push(this.#productCalls(y + p * yStep, x + 4 * fullDepth, panel, ofOne, false));
    }
    this.runner.run(rest.flat(), undefined, true);
  }

  #productCalls(y: number, x: number, panels: number, sizes: ProductSizes, writes: boolean): KernelCall[] {
    const { rows, depth, panels: count, xStride, yStride, yStep } = sizes;
    const panelBytes = 4 * depth * this.columns;
    return this.divide(count, 2 * rows * depth * count * this.columns).map(([first, last]) => [
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
      writes ? this.zeros : 0,
    ]);
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
}

/**
 * Of a product: x is [rows][depth], panels [panels][depth][columns]. Bytes from a row to the next, and from a panel's columns of y to
 * the next one's.
 */
type ProductSizes = Record<'rows' | 'depth' | 'panels' | 'xStride' | 'yStride' | 'yStep', number>;

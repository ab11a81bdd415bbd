import type { FloatArray, PackedMatrix, WeightType } from '../kernels/kernels.ts';
import type { Group } from './int8.ts';
import type { Tile } from './linear.ts';
import type { Machine } from './machine.ts';
import type { KernelCall, KernelExports, Runner } from './runner.ts';
import type { WasmMemory } from './wasmMemory.ts';

/** Arithmetic operations that are worth a call of their own: some ten microseconds, against less than one to hand it over. */
const WORTH_A_CALL = 500_000;
/** Calls per thread that work is divided into, so that a thread that was held up leaves its share to the others. */
const CALLS_PER_THREAD = 4;

/** What kernels of WebAssembly are called by: the memory, the functions, the threads, and where packed weights have what. */
export abstract class SimdBase {
  readonly machine: Machine;
  protected readonly memory: WasmMemory;
  protected readonly exports: KernelExports;
  protected readonly runner: Runner;
  protected readonly tile: Tile;
  /** Numbers of a row of int8 weights that lie together. */
  protected readonly group: Group;
  /** Columns of a panel. */
  protected readonly columns: number;
  /** A panel's worth of zeros. */
  protected readonly zeros: number;

  constructor(machine: Machine) {
    const { memory, exports, tile, group, runner, zeros } = machine;
    this.machine = machine;
    this.memory = memory;
    this.exports = exports;
    this.runner = runner;
    this.tile = tile;
    this.group = group;
    this.columns = 4 * tile.vectors;
    this.zeros = zeros;
  }

  packedLength(outFeatures: number, inFeatures: number, dtype: WeightType): number {
    return this.panels(outFeatures) * this.panelLength(inFeatures, dtype);
  }

  /** Numbers in a panel: float32, or bytes. */
  protected panelLength(inFeatures: number, dtype: WeightType): number {
    if (dtype === 'f32') return inFeatures * this.columns;
    return this.columns * (this.group * this.groups(inFeatures) + (this.group === 4 ? 4 : 0)); // after fours come sums
  }

  /** Groups of a row of int8 weights, the last of them filled up with zeros. */
  protected groups(inFeatures: number): number {
    return Math.ceil(inFeatures / this.group);
  }

  protected panels(outFeatures: number): number {
    return Math.ceil(outFeatures / this.columns);
  }

  /** Bytes from the start of a packed matrix to the first number of a row. */
  protected rowAddress({ inFeatures, dtype }: PackedMatrix, row: number): number {
    const panel = Math.floor(row / this.columns);
    const column = row % this.columns;
    const [bytes, step] = dtype === 'q8' ? [1, this.group] : [4, 4];
    return bytes * panel * this.panelLength(inFeatures, dtype) + step * column;
  }

  /** A row-major weight, packed for this one product. */
  protected pack(rows: FloatArray, outFeatures: number, inFeatures: number): PackedMatrix {
    const data = new Float32Array(this.packedLength(outFeatures, inFeatures, 'f32'));
    const matrix: PackedMatrix = { outFeatures, inFeatures, dtype: 'f32', data, scale: null };
    for (let o = 0; o < outFeatures; o++) {
      const start = this.rowAddress(matrix, o) / 4;
      for (let i = 0; i < inFeatures; i++) data[start + i * this.columns] = rows[o * inFeatures + i];
    }
    return matrix;
  }

  /** An array whose `data` stays good when the memory grows, as it may whenever scratch memory is taken. */
  protected lasting(array: FloatArray): { readonly data: FloatArray } {
    const { memory } = this.memory;
    const { byteOffset, length } = array;
    if (array.buffer !== memory.buffer) return { data: array };
    return {
      get data() {
        return new Float32Array(memory.buffer, byteOffset, length);
      },
    };
  }

  /** Runs calls that each need `bytes` of scratch memory. */
  protected runWithScratch(calls: KernelCall[], bytes: number, adds = false): void {
    const aligned = Math.ceil(bytes / 64) * 64;
    this.runner.run(calls, { address: this.memory.take(aligned * this.runner.threads), bytes: aligned }, adds);
  }

  /** `count` units of work in even parts, first and last of each; one part when a single thread works, or there is little. */
  protected divide(count: number, operations: number): [first: number, last: number][] {
    const { threads } = this.runner;
    if (threads === 1 && count > 0) return [[0, count]];
    const most = Math.min(threads * CALLS_PER_THREAD, Math.ceil(operations / WORTH_A_CALL));
    const parts = Math.min(count, most);
    const bounds = Array.from({ length: parts + 1 }, (_, p) => Math.round((p * count) / parts));
    return bounds.slice(0, -1).map((first, p) => [first, bounds[p + 1]]);
  }

  /**
   * Calls `body` with the addresses of the arrays (0 for null). Those that lie elsewhere are copied into scratch memory, and
   * the outputs among them back again. Scratch memory that the body takes is given back as well.
   */
  protected with(
    outputs: (NumberArray | null)[],
    inputs: (NumberArray | null)[],
    body: (addresses: number[]) => void,
  ): void {
    const mark = this.memory.mark();
    const { memory } = this.memory;
    const arrays = [...outputs, ...inputs];
    // All addresses are taken before anything is copied: growing the memory empties the views of it.
    const addresses = arrays.map((array) => (array && array.buffer === memory.buffer ? array.byteOffset : 0));
    /** Of an array that is given twice, as a gradient of two inputs that are one, the first counts. */
    const first = (array: NumberArray) => arrays.findIndex((other) => other !== null && isSame(other, array));
    const outside = arrays.map((array, i) => (array && addresses[i] === 0 && first(array) === i ? array : null));
    try {
      outside.forEach((array, i) => {
        if (array === null) return;
        addresses[i] = this.memory.take(array.byteLength);
        new Uint8Array(memory.buffer, addresses[i], array.byteLength).set(bytesOf(array));
      });
      arrays.forEach((array, i) => {
        if (array && addresses[i] === 0) addresses[i] = addresses[first(array)];
      });
      body(addresses);
      outside.slice(0, outputs.length).forEach((array, i) => {
        if (array) bytesOf(array).set(new Uint8Array(memory.buffer, addresses[i], array.byteLength));
      });
    } finally {
      this.memory.release(mark);
    }
  }
}

type NumberArray = FloatArray | Int8Array | Int32Array | Uint16Array;

const isSame = (a: NumberArray, b: NumberArray) =>
  a.buffer === b.buffer && a.byteOffset === b.byteOffset && a.length === b.length;

const bytesOf = (array: NumberArray) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

import type { FloatArray } from '../kernels/kernels.ts';
import type { PositionKernels, RotaryShape } from '../kernels/positionKernels.ts';
import { referencePositions } from '../kernels/positions.ts';
import { definePackKeys } from './attention.ts';
import { defineTileRows } from './linear.ts';
import type { KernelModule } from './machine.ts';
import { defineRotary, defineTerms, termCalls, termScratchBytes } from './positions.ts';
import type { KernelCall } from './runner.ts';
import { SimdBase } from './simdBase.ts';
import type { SimdKernels } from './simdKernels.ts';

const definePositionKernels: KernelModule = (module, tile, arithmetic) => {
  const tileRows = defineTileRows(module, tile, arithmetic);
  defineTerms(module, tile, tileRows, definePackKeys(module, 4 * tile.vectors));
  defineRotary(module);
};

/** The kernels of relative positions in WebAssembly. */
export class SimdPositions extends SimdBase implements PositionKernels {
  /** Loads their module into what these kernels run on. */
  constructor({ machine }: SimdKernels) {
    machine.load(definePositionKernels);
    super(machine);
  }

  disentangledBias(
    y: FloatArray,
    q: FloatArray,
    k: FloatArray,
    positionKeys: FloatArray | null,
    positionQueries: FloatArray | null,
    buckets: Int32Array,
    columns: Int32Array,
    offsets: Int32Array,
    heads: number,
    headSize: number,
    scale: number,
  ): void {
    const width = heads * headSize;
    const [keyCount, queryCount] = [positionKeys, positionQueries].map((table) => (table?.length ?? 0) / width);
    y.fill(0);
    this.with(
      [y],
      [q, k, positionKeys, positionQueries, buckets, columns],
      ([to, query, key, keyTable, queryTable, distances, places]) => {
        for (const [name, x, table, count] of [
          ['queryTerm', query, keyTable, keyCount],
          ['keyTerm', key, queryTable, queryCount],
        ] as const) {
          if (count === 0) continue;
          const calls = termCalls({
            name,
            y: to,
            x,
            table,
            count,
            buckets: distances + 2 * (buckets.length - 1), // of distance 0, in the middle
            columns: places,
            offsets,
            heads,
            headSize,
            scale,
            zeros: this.zeros,
            divide: (operations) => this.divide(heads, operations),
          });
          this.runWithScratch(calls, termScratchBytes(count, headSize, this.tile));
        }
      },
    );
  }

  rotary(y: FloatArray, x: FloatArray, cosines: FloatArray, sines: FloatArray, shape: RotaryShape): void {
    const { rows, heads, headSize, pairs, interleaved, stride, begin } = shape;
    const rest = headSize - 2 * pairs;
    if (interleaved || pairs % 4 > 0 || rest % 4 > 0) return referencePositions.rotary(y, x, cosines, sines, shape);
    const width = heads * headSize;
    this.with([y], [x, cosines, sines], ([to, from, cosine, sine]) => {
      const calls = this.divide(rows, 10 * rows * width).map(([first, last]): KernelCall => [
        'rotary',
        to + 4 * first * width,
        from + 4 * (first * stride + begin),
        cosine + 4 * first * pairs,
        sine + 4 * first * pairs,
        last - first,
        heads,
        pairs,
        rest,
        4 * stride,
      ]);
      this.runner.run(calls);
    });
  }

  readonly relativeBias = referencePositions.relativeBias;
}

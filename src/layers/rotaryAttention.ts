import { rotary, selectColumns, type Tensor } from '../tensor/index.ts';
import { SelfAttention, type Relations, type Trace } from './attention.ts';
import type { Linear } from './linear.ts';
import type { PackedBatch } from './packedBatch.ts';

/**
 * Self-attention whose queries and keys are turned by the columns that tokens come from (Su et al. 2021, arXiv:2104.09864),
 * of all tokens or of those within a window.
 */
export class RotarySelfAttention extends SelfAttention {
  /** Query, key and value: of each its own layer, or one that gives all three side by side. */
  readonly projections: readonly Linear[];
  /** Which of the rotations that a batch comes with. */
  readonly kind: string;
  /** Columns that a token sees on either side; null for all. */
  readonly reach: number | null;

  constructor(name: string, heads: number, projections: readonly Linear[], kind: string, reach: number | null = null) {
    super(name, heads);
    this.projections = projections;
    this.kind = kind;
    this.reach = reach;
  }

  forward(x: Tensor, batch: PackedBatch, trace: Trace = {}, { rotations }: Relations = {}): Tensor {
    const { heads, reach } = this;
    const projected = this.projections.map((layer) => layer.forward(x));
    const width = projected.length === 1 ? projected[0].shape[1] / 3 : projected[0].shape[1];
    const part = (index: number) => (projected.length === 1 ? projected[0] : projected[index]);
    const begin = (index: number) => (projected.length === 1 ? index * width : 0);
    const rotation = rotations![this.kind];
    const turned = [0, 1].map((i) => rotary(part(i), rotation, { heads, headSize: width / heads, begin: begin(i) }));
    const values = projected.length === 1 ? selectColumns(projected[0], 2 * width, width) : projected[2];
    const window = reach === null ? null : { columns: batch.columns, reach };
    return this.attend([...turned, values], batch, trace, { window });
  }
}

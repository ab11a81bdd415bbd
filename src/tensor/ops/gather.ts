import { InputError, ShapeError } from '../../errors.ts';
import { record } from '../autograd.ts';
import { sharedEngine } from '../engine.ts';
import { expectRank, expectShape, showShape, sizeOf, type Shape } from '../shape.ts';
import { Matrix } from '../matrix.ts';
import type { Tensor } from '../tensor.ts';

/**
 * Rows of a table, one per id: y[r] = table[ids[r]].
 *
 * @param table [entries, size]
 * @param ids   [rows]
 * @returns     [rows, size]
 * @param paddingId a row whose gradient is not wanted
 * @throws InputError if an id is not a row of the table; `name` says what the ids are
 */
export function embedding(
  table: Tensor | Matrix,
  ids: Int32Array,
  name = 'ids',
  paddingId: number | null = null,
): Tensor {
  return embeddingSum([table], [ids], [name], [paddingId]);
}

/**
 * The sum of several embeddings of each token, y[r] = Σₜ tables[t][ids[t][r]], as BERT adds word, position and token type.
 *
 * @param tables each [entries, size], with its own number of entries
 * @param ids    one array per table, each [rows]
 * @param names  what the ids of each table are, for messages
 * @param paddingIds the row of each table whose gradient is not wanted, as PyTorch's `padding_idx`; null for none
 * @returns      [rows, size]
 * @throws InputError if an id is not a row of its table
 */
export function embeddingSum(
  tables: readonly (Tensor | Matrix)[],
  ids: readonly Int32Array[],
  names: readonly string[],
  paddingIds: readonly (number | null)[] = [],
): Tensor {
  const engine = sharedEngine('embeddingSum', tables[0], ...tables);
  const [rows, size] = [ids[0].length, tables[0].shape[1]];
  tables.forEach((table, t) => {
    expectRank(`embedding of ${names[t]}: table`, table.shape, 2);
    const entries = table.shape[0];
    if (table.shape[1] !== size || ids[t].length !== rows) {
      throw new ShapeError({
        what: `embedding of ${names[t]}`,
        expected: `table [entries, ${size}] and ${rows} ids`,
        got: `table ${showShape(table.shape)} and ${ids[t].length} ids`,
      });
    }
    const bad = ids[t].findIndex((id) => id < 0 || id >= entries);
    if (bad >= 0) {
      throw new InputError({
        what: `embedding of ${names[t]}: id ${bad}`,
        expected: `0 to ${entries - 1}`,
        got: `${ids[t][bad]}`,
        fix: 'use the tokenizer that belongs to this model',
      });
    }
  });
  const y = engine.empty([rows, size]);
  const numbers = () => tables.map((table) => (table instanceof Matrix ? table.packed : table.data));
  engine.kernels.embeddingSum(y.data, numbers(), ids, size);
  return record(y, tables, (dy, gradients, backward, _areFirst, dataOfRows) => {
    const wanted = ids.map((rows, t) => rows.map((id) => (id === paddingIds[t] ? -1 : id)));
    const dTables = gradients.map((gradient, t) => gradient && dataOfRows(gradient, tables[t], wanted[t]));
    backward.embeddingSumBackward(dTables, numbers(), dy.data, wanted, size);
  });
}

/** Rows of x, in the order of `rows`: [n, size] and m row numbers → [m, size]. The same look-up, by another name. */
export function selectRows(x: Tensor, rows: Int32Array): Tensor {
  return embedding(x, rows, 'rows');
}

/**
 * Columns of x: `count` runs of `size` columns, `step` from the beginning of one to that of the next.
 *
 * @param x [rows, width]
 * @returns [rows, count·size]
 * @throws ShapeError if a run goes beyond the last column
 */
export function selectColumns(x: Tensor, begin: number, size: number, count = 1, step = size): Tensor {
  expectRank('selectColumns: x', x.shape, 2);
  const [rows, width] = x.shape;
  if (begin < 0 || begin + (count - 1) * step + size > width) {
    throw new ShapeError({
      what: 'selectColumns: x',
      expected: `${begin + (count - 1) * step + size} columns or more`,
      got: `${width}`,
    });
  }
  const y = x.engine.empty([rows, count * size]);
  const [to, from] = [y.data, x.data];
  const forRuns = (visit: (first: number, to: number) => void) => {
    for (let row = 0; row < rows; row++) {
      for (let run = 0; run < count; run++) visit(row * width + begin + run * step, (row * count + run) * size);
    }
  };
  forRuns((first, at) => to.set(from.subarray(first, first + size), at));
  return record(y, [x], (dy, [dx]) => {
    const [gradient, given] = [dx!.data, dy.data];
    forRuns((first, at) => {
      for (let i = 0; i < size; i++) gradient[first + i] += given[at + i];
    });
  });
}

/**
 * Single numbers of x in a new order: y[i] = x[indices[i]], both taken as flat, or `fill` where the index is negative. A column,
 * a transpose, rows filled up to one length.
 *
 * @throws InputError if an index is not below the number of numbers; ShapeError if there are not as many as `shape` has
 */
export function gather(x: Tensor, indices: Int32Array, shape: Shape, fill = 0): Tensor {
  const { kernels } = x.engine;
  const bad = indices.findIndex((index) => index >= x.size);
  if (bad >= 0) {
    throw new InputError({ what: `gather: index ${bad}`, expected: `below ${x.size}`, got: `${indices[bad]}` });
  }
  if (indices.length !== sizeOf(shape)) {
    throw new ShapeError({
      what: 'gather: indices',
      expected: `as many as ${showShape(shape)} has`,
      got: `${indices.length}`,
    });
  }
  const y = x.engine.empty(shape);
  kernels.gather(y.data, x.data, indices, fill);
  return record(y, [x], (dy, [dx], backward) => backward.gatherBackward(dx!.data, dy.data, indices));
}

/** Rows of several tensors, one after the other. parts: [rows, …] each, with the same other axes → [Σ rows, …] */
export function concatRows(parts: readonly Tensor[]): Tensor {
  const engine = sharedEngine('concatRows', parts[0], ...parts);
  const [, ...rest] = parts[0].shape;
  for (const part of parts) expectShape('concatRows: part', part.shape.slice(1), rest);
  const starts = parts.map((_, i) => parts.slice(0, i).reduce((sum, { size }) => sum + size, 0));
  const y = engine.empty([parts.reduce((rows, { shape }) => rows + shape[0], 0), ...rest]);
  parts.forEach((part, i) => y.data.set(part.data, starts[i]));
  return record(y, parts, (dy, gradients) =>
    gradients.forEach((gradient, i) => {
      if (gradient === null) return;
      const { data, size } = gradient;
      engine.kernels.binary(data, data, dy.data.subarray(starts[i], starts[i] + size), 'add');
    }),
  );
}

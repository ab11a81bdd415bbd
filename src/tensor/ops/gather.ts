import { InputError, ShapeError } from '../../errors.ts';
import { sharedEngine } from '../engine.ts';
import { expectRank, showShape } from '../shape.ts';
import { Matrix } from '../matrix.ts';
import type { Tensor } from '../tensor.ts';

/**
 * Rows of a table, one per id: y[r] = table[ids[r]].
 *
 * @param table [entries, size]
 * @param ids   [rows]
 * @returns     [rows, size]
 * @throws InputError if an id is not a row of the table; `name` says what the ids are
 */
export function embedding(table: Tensor | Matrix, ids: Int32Array, name = 'ids'): Tensor {
  return embeddingSum([table], [ids], [name]);
}

/**
 * The sum of several embeddings of each token, y[r] = Σₜ tables[t][ids[t][r]], as BERT adds word, position and token type.
 *
 * @param tables each [entries, size], with its own number of entries
 * @param ids    one array per table, each [rows]
 * @param names  what the ids of each table are, for messages
 * @returns      [rows, size]
 * @throws InputError if an id is not a row of its table
 */
export function embeddingSum(
  tables: readonly (Tensor | Matrix)[],
  ids: readonly Int32Array[],
  names: readonly string[],
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
  engine.kernels.embeddingSum(
    y.data,
    tables.map((table) => (table instanceof Matrix ? table.packed : table.data)),
    ids,
    size,
  );
  return y;
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
  for (let row = 0; row < rows; row++) {
    for (let run = 0; run < count; run++) {
      const first = row * width + begin + run * step;
      to.set(from.subarray(first, first + size), (row * count + run) * size);
    }
  }
  return y;
}

import { call, f32, f32x4, i32, type FunctionReference, type ModuleBuilder } from './assembler.ts';
import type { Tile, TileRows } from './linear.ts';

/** Bytes of scratch memory that `attention` needs for a sequence of `length` tokens. */
export function attentionScratchBytes(length: number, headSize: number, tile: Tile): number {
  const up = (n: number) => Math.ceil(n / (4 * tile.vectors)) * 4 * tile.vectors;
  return 4 * (up(length) * headSize + length * up(headSize) + tile.rows * (up(length) + up(headSize) + 1));
}

/**
 * `attention`: softmax(q · kᵀ · scale) · v for some heads of one sequence, a tile's rows of queries at a time, so that
 * only as many rows of scores exist at once. Keys and values of a head are packed first, in the panels that tiles read.
 *
 * y, q, k, v point at the first head's first column of the first token; `stride` is the bytes from one token to the next.
 * `probabilities`, unless 0, receives [heads][length][length], `headStride` bytes from one head to the next.
 */
export function defineAttention(
  module: ModuleBuilder,
  tile: Tile,
  tileRows: TileRows,
  softmaxRow: FunctionReference<'f32'>,
): void {
  const columns = 4 * tile.vectors;
  const panelBytes = 4 * columns; // of one k
  const parameters = {
    y: 'i32',
    q: 'i32',
    k: 'i32',
    v: 'i32',
    length: 'i32',
    headSize: 'i32',
    stride: 'i32',
    heads: 'i32',
    scale: 'f32',
    probabilities: 'i32',
    headStride: 'i32',
    zeros: 'i32',
    scratch: 'i32',
  } as const;
  const packKeys = definePackKeys(module, columns);
  const packValues = definePackValues(module, columns);

  module.define('attention', parameters, (fn, args) => {
    const { y, q, k, v, length, headSize, stride, heads, scale, probabilities, headStride, zeros, scratch } = args;
    const panelsOf = (n: typeof length) => i32.div_u(i32.add(n, i32.const(columns - 1)), i32.const(columns));
    const keyPanels = fn.let(panelsOf(length));
    const valuePanels = fn.let(panelsOf(headSize));
    const scoreStride = fn.let(i32.mul(keyPanels, i32.const(panelBytes)));
    const contextStride = fn.let(i32.mul(valuePanels, i32.const(panelBytes)));
    const keys = scratch;
    const values = fn.let(i32.add(keys, i32.mul(scoreStride, headSize)));
    const scores = fn.let(i32.add(values, i32.mul(contextStride, length)));
    const context = fn.let(i32.add(scores, i32.mul(scoreStride, i32.const(tile.rows))));
    const inverses = fn.let(i32.add(context, i32.mul(contextStride, i32.const(tile.rows))));
    const vectors = fn.let(i32.shr_u(i32.add(length, i32.const(3)), i32.const(2)));
    const padding = fn.let(i32.sub(i32.shl(vectors, i32.const(2)), length)); // columns after the last token

    const [query, to, left, rows, panel, at, row, from, head] = Array.from({ length: 9 }, () => fn.local('i32'));
    fn.repeat(heads, () => {
      fn.call(packKeys, keys, k, length, headSize, stride);
      fn.call(packValues, values, v, length, headSize, stride);
      fn.set(query, q);
      fn.set(to, y);
      fn.set(head, probabilities);
      fn.set(left, length);
      fn.while(i32.gt_s(left, i32.const(0)), () => {
        fn.set(rows, i32.min(left, i32.const(tile.rows)));

        fn.set(panel, keys);
        fn.set(at, scores);
        fn.repeatAtLeastOnce(keyPanels, () => {
          fn.call(tileRows, rows, at, query, panel, zeros, headSize, stride, scoreStride);
          fn.advance(panel, i32.mul(headSize, i32.const(panelBytes)));
          fn.advance(at, panelBytes);
        });

        fn.set(row, scores);
        fn.set(at, inverses);
        fn.repeatAtLeastOnce(rows, () => {
          fn.set(from, i32.add(row, i32.shl(length, i32.const(2))));
          fn.repeat(padding, () => {
            fn.store(f32.store(from, f32.const(-Infinity)));
            fn.advance(from, 4);
          });
          const inverse = fn.let(call(softmaxRow, [row, row, vectors, scale]));
          fn.store(f32.store(at, inverse));
          fn.if(probabilities, () => {
            fn.set(from, row);
            fn.repeatAtLeastOnce(length, () => {
              fn.store(f32.store(head, f32.mul(f32.load(from), inverse)));
              fn.advance(from, 4);
              fn.advance(head, 4);
            });
          });
          fn.advance(row, scoreStride);
          fn.advance(at, 4);
        });

        fn.set(panel, values);
        fn.set(at, context);
        fn.repeatAtLeastOnce(valuePanels, () => {
          fn.call(tileRows, rows, at, scores, panel, zeros, length, scoreStride, contextStride);
          fn.advance(panel, i32.mul(length, i32.const(panelBytes)));
          fn.advance(at, panelBytes);
        });

        fn.set(row, context);
        fn.set(at, inverses);
        fn.repeatAtLeastOnce(rows, () => {
          const inverse = fn.let(f32.load(at));
          const inverseVector = fn.let(f32x4.splat(inverse));
          const source = fn.let(row);
          const target = fn.let(to);
          fn.repeat(i32.shr_u(headSize, i32.const(2)), () => {
            fn.store(f32x4.store(target, f32x4.mul(f32x4.load(source), inverseVector)));
            fn.advance(source, 16);
            fn.advance(target, 16);
          });
          fn.repeat(i32.and(headSize, i32.const(3)), () => {
            fn.store(f32.store(target, f32.mul(f32.load(source), inverse)));
            fn.advance(source, 4);
            fn.advance(target, 4);
          });
          fn.advance(row, contextStride);
          fn.advance(to, stride);
          fn.advance(at, 4);
        });

        fn.advance(query, i32.mul(rows, stride));
        fn.set(left, i32.sub(left, rows));
      });

      const headBytes = i32.shl(headSize, i32.const(2));
      for (const pointer of [y, q, k, v]) fn.advance(pointer, headBytes);
      fn.if(probabilities, () => fn.advance(probabilities, headStride));
    });
  });
}

/** [length, headSize] by tokens → panels of keys, [panel][headSize][columns]; zeros after the last key. */
function definePackKeys(module: ModuleBuilder, columns: number): FunctionReference<null> {
  const parameters = { panels: 'i32', keys: 'i32', length: 'i32', headSize: 'i32', stride: 'i32' } as const;
  return module.define('packKeys', parameters, (fn, { panels, keys, length, headSize, stride }) => {
    const column = fn.local('i32');
    const [from, to] = [fn.local('i32'), fn.local('i32')];
    const nextColumn = () => {
      fn.advance(panels, 4);
      fn.advance(column, 1);
      fn.if(i32.eq(column, i32.const(columns)), () => {
        fn.set(column, i32.const(0));
        fn.advance(panels, i32.mul(i32.sub(headSize, i32.const(1)), i32.const(4 * columns)));
      });
    };
    fn.repeat(length, () => {
      fn.set(from, keys);
      fn.set(to, panels);
      fn.repeatAtLeastOnce(headSize, () => {
        fn.store(f32.store(to, f32.load(from)));
        fn.advance(from, 4);
        fn.advance(to, 4 * columns);
      });
      fn.advance(keys, stride);
      nextColumn();
    });
    fn.while(i32.ne(column, i32.const(0)), () => {
      fn.set(to, panels);
      fn.repeatAtLeastOnce(headSize, () => {
        fn.store(f32.store(to, f32.const(0)));
        fn.advance(to, 4 * columns);
      });
      nextColumn();
    });
  });
}

/** [length, headSize] by tokens → panels of columns, [panel][length][columns]; zeros after the last column. */
function definePackValues(module: ModuleBuilder, columns: number): FunctionReference<null> {
  const parameters = { panels: 'i32', values: 'i32', length: 'i32', headSize: 'i32', stride: 'i32' } as const;
  return module.define('packValues', parameters, (fn, { panels, values, length, headSize, stride }) => {
    const [from, to, left] = [fn.local('i32'), fn.local('i32'), fn.let(headSize)];
    const rows = (copyRow: () => void) => {
      fn.set(from, values);
      fn.set(to, panels);
      fn.repeat(length, () => {
        copyRow();
        fn.advance(from, stride);
        fn.advance(to, 4 * columns);
      });
    };
    fn.while(i32.gt_s(left, i32.const(0)), () => {
      fn.if(
        i32.ge_s(left, i32.const(columns)),
        () =>
          rows(() => {
            for (let c = 0; c < columns; c += 4) fn.store(f32x4.store(to, f32x4.load(from, 4 * c), 4 * c));
          }),
        () =>
          rows(() => {
            for (let c = 0; c < columns; c += 4) fn.store(f32x4.store(to, f32x4.const(0), 4 * c));
            const [source, target] = [fn.let(from), fn.let(to)];
            fn.repeatAtLeastOnce(left, () => {
              fn.store(f32.store(target, f32.load(source)));
              fn.advance(source, 4);
              fn.advance(target, 4);
            });
          }),
      );
      fn.advance(panels, i32.mul(length, i32.const(4 * columns)));
      fn.advance(values, 4 * columns);
      fn.set(left, i32.sub(left, i32.const(columns)));
    });
  });
}

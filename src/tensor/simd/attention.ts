import type { Arithmetic } from './arithmetic.ts';
import { call, type FunctionReference, type ModuleBuilder } from './assembler.ts';
import type { Local, Value } from './instructions/encoding.ts';
import * as f32 from './instructions/f32.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as i32 from './instructions/i32.ts';
import type { Tile, TileRows } from './linear.ts';

/** Bytes of scratch memory that `attention` needs for a sequence of `length` tokens. */
export function attentionScratchBytes(length: number, headSize: number, tile: Tile): number {
  const up = (n: number) => Math.ceil(n / (4 * tile.vectors)) * 4 * tile.vectors;
  return 4 * (up(length) * headSize + length * up(headSize) + tile.rows * (up(length) + up(headSize) + 1));
}

/**
 * So many queries look at the keys that any of them sees: a number that tiles of 4 and of 6 rows divide, and keys from a
 * multiple of `KEY_STEP` on, which panels of 8 and 16 columns divide, so that sums have the same order whatever the tile.
 */
const QUERY_BLOCK = 12;
const KEY_STEP = 16;

/**
 * `attention`: softmax(q · kᵀ · scale + bias) · v for some heads of one sequence, a tile's rows of queries at a time, so that
 * only as many rows of scores exist at once. Keys and values of a head are packed first, in the panels that tiles read.
 *
 * y, q, k, v point at the first head's first column of the first token; `stride` is the bytes from one token to the next.
 * There are `queries` rows of y and q, `length` of k and v.
 * `probabilities`, unless 0, receives [heads][queries][length], `headStride` bytes from one head to the next; `bias`, unless 0,
 * is read in the same layout. `spans`, unless 0, is the first key that each query sees and the one after the last, int32
 * [queries][2]; keys that no query of a block sees are left out of every loop.
 * `bases`, unless 0, are those of dropout's mask (see `defineMaskRow`), one per query, `baseStride` bytes from head to head.
 */
export function defineAttention(
  module: ModuleBuilder,
  tile: Tile,
  tileRows: TileRows,
  functions: AttentionFunctions,
): void {
  const columns = 4 * tile.vectors;
  const panelBytes = 4 * columns; // of one k
  const { softmaxRow, maskRow, addScaled, packKeys, packValues } = functions;

  module.define('attention', 'iiiiiiiiifiiiiiiiiifi', (fn, ...args) => {
    const [
      y,
      q,
      k,
      v,
      queries,
      length,
      headSize,
      stride,
      heads,
      scale,
      probabilities,
      headStride,
      zeros,
      bias,
      spans,
      bases,
      baseStride,
      counters,
      threshold,
      factor,
      scratch,
    ] = args;
    const panelsOf = (n: typeof length) => i32.div_u(i32.add(n, columns - 1), columns);
    const keyPanels = fn.let(panelsOf(length));
    const valuePanels = fn.let(panelsOf(headSize));
    const scoreStride = fn.let(i32.mul(keyPanels, panelBytes));
    const contextStride = fn.let(i32.mul(valuePanels, panelBytes));
    const keys = scratch;
    const values = fn.let(i32.add(keys, i32.mul(scoreStride, headSize)));
    const scores = fn.let(i32.add(values, i32.mul(contextStride, length)));
    const context = fn.let(i32.add(scores, i32.mul(scoreStride, tile.rows)));
    const inverses = fn.let(i32.add(context, i32.mul(contextStride, tile.rows)));
    const lengthBytes = fn.let(i32.shl(length, 2));
    // The keys that a block of queries sees, all of them where there are no spans.
    const [first, count, panels, eights, firstBytes] = fn.locals('i32');
    const setKeys = (firstKey: Value<'i32'>, keyCount: Value<'i32'>) => {
      fn.set(first, firstKey);
      fn.set(count, keyCount);
      fn.set(panels, panelsOf(count));
      fn.set(eights, i32.shr_u(i32.add(count, 7), 3));
      fn.set(firstBytes, i32.shl(first, 2));
    };
    const fill = (address: Local<'i32'>, numbers: Value<'i32'>, value: number) =>
      fn.repeat(numbers, () => {
        fn.store(f32.store(address, f32.const(value)));
        fn.advance(address, 4);
      });
    setKeys(i32.const(0), length);
    const softmaxScale = fn.let(scale);
    fn.if(bias, () => fn.set(softmaxScale, f32.const(1))); // it is applied before the bias is added

    const [query, to, left, rows, panel, at, row, from, head] = fn.locals('i32');
    const [pairs, span, block, base] = fn.locals('i32');
    /** Writes `value` to the keys of the row that its own span leaves out. */
    const fillOutside = (value: number) => {
      fn.set(from, row);
      fill(from, i32.sub(i32.load(span), first), value);
      fn.set(from, i32.add(row, i32.shl(i32.sub(i32.load(span, 4), first), 2)));
      fill(from, i32.sub(i32.add(first, i32.shl(eights, 3)), i32.load(span, 4)), value);
    };
    fn.repeat(heads, () => {
      fn.call(packKeys, keys, k, length, headSize, stride);
      fn.call(packValues, values, v, length, headSize, stride);
      fn.set(query, q);
      fn.set(to, y);
      fn.set(head, probabilities);
      fn.set(pairs, bias);
      fn.set(span, spans);
      fn.set(base, bases);
      fn.set(left, queries);
      fn.while(i32.gt_s(left, 0), () => {
        fn.set(rows, i32.min(left, tile.rows));
        fn.if(spans, () => {
          const begin = i32.mul(i32.div_u(i32.sub(queries, left), QUERY_BLOCK), QUERY_BLOCK);
          fn.set(block, begin);
          const last = i32.add(block, i32.min(QUERY_BLOCK - 1, i32.sub(i32.sub(queries, 1), block)));
          const spanOf = (token: Value<'i32'>) => i32.add(spans, i32.shl(token, 3));
          fn.set(first, i32.and(i32.load(spanOf(block)), -KEY_STEP));
          setKeys(first, i32.sub(i32.load(spanOf(last), 4), first));
        });

        fn.set(panel, i32.add(keys, i32.mul(firstBytes, headSize)));
        fn.set(at, scores);
        fn.repeatAtLeastOnce(panels, () => {
          fn.call(tileRows, rows, at, query, panel, zeros, headSize, stride, scoreStride, 0);
          fn.advance(panel, i32.mul(headSize, panelBytes));
          fn.advance(at, panelBytes);
        });

        fn.set(row, scores);
        fn.set(at, inverses);
        fn.repeatAtLeastOnce(rows, () => {
          fn.if(bias, () => {
            fn.set(from, i32.add(pairs, firstBytes));
            fn.call(addScaled, row, from, count, scale);
            fn.advance(pairs, lengthBytes);
          });
          fn.if(
            spans,
            () => fillOutside(-Infinity),
            () => {
              fn.set(from, i32.add(row, lengthBytes));
              fill(from, i32.sub(i32.shl(eights, 3), length), -Infinity); // after the last token
            },
          );
          const inverse = fn.let(call(softmaxRow, [row, row, eights, softmaxScale]));
          fn.store(f32.store(at, inverse));
          fn.if(spans, () => {
            fillOutside(0);
            fn.advance(span, 8);
          });
          fn.if(probabilities, () => {
            fill(head, first, 0);
            fn.set(from, row);
            fn.repeatAtLeastOnce(count, () => {
              fn.store(f32.store(head, f32.mul(f32.load(from), inverse)));
              fn.advance(from, 4);
              fn.advance(head, 4);
            });
            fill(head, i32.sub(i32.sub(length, first), count), 0);
          });
          if (maskRow) {
            fn.if(base, () => {
              const [counter, vectors] = [i32.add(counters, firstBytes), i32.shl(eights, 1)];
              fn.call(maskRow, row, row, i32.load(base), counter, vectors, threshold, factor);
              fn.advance(base, 4);
            });
          }
          fn.advance(row, scoreStride);
          fn.advance(at, 4);
        });

        fn.set(panel, i32.add(values, i32.mul(first, panelBytes)));
        fn.set(at, context);
        fn.repeatAtLeastOnce(valuePanels, () => {
          fn.call(tileRows, rows, at, scores, panel, zeros, count, scoreStride, contextStride, 0);
          fn.advance(panel, i32.mul(length, panelBytes));
          fn.advance(at, panelBytes);
        });

        fn.set(row, context);
        fn.set(at, inverses);
        fn.repeatAtLeastOnce(rows, () => {
          const inverse = fn.let(f32.load(at));
          const inverseVector = fn.let(f32x4.splat(inverse));
          const source = fn.let(row);
          const target = fn.let(to);
          fn.repeat(i32.shr_u(headSize, 2), () => {
            fn.store(f32x4.store(target, f32x4.mul(f32x4.load(source), inverseVector)));
            fn.advance(source, 16);
            fn.advance(target, 16);
          });
          fn.repeat(i32.and(headSize, 3), () => {
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

      const headBytes = i32.shl(headSize, 2);
      for (const pointer of [y, q, k, v]) fn.advance(pointer, headBytes);
      fn.if(probabilities, () => fn.advance(probabilities, headStride));
      fn.advance(bases, baseStride);
      fn.if(bias, () => fn.advance(bias, headStride));
    });
  });
}

/** `addScaled`: x = x · scale + addend, `count` numbers. */
export function defineAddScaled(module: ModuleBuilder, { multiplyAdd }: Arithmetic): FunctionReference<null> {
  return module.define('addScaled', 'iiif', (fn, x, addend, count, scale) => {
    const scales = fn.let(f32x4.splat(scale));
    const step = (bytes: number) => [x, addend].forEach((address) => fn.advance(address, bytes));
    fn.repeat(i32.shr_u(count, 2), () => {
      fn.store(f32x4.store(x, multiplyAdd(f32x4.load(x), scales, f32x4.load(addend))));
      step(16);
    });
    fn.repeat(i32.and(count, 3), () => {
      // The same operation, in a lane, so that a score does not depend on where its row ends.
      const sum = fn.let(multiplyAdd(f32x4.splat(f32.load(x)), scales, f32x4.splat(f32.load(addend))));
      fn.store(f32.store(x, f32x4.extract_lane(sum, 0)));
      step(4);
    });
  });
}

/** What the kernels of attention are made of. */
export interface AttentionFunctions extends Packers {
  softmaxRow: FunctionReference<'f32'>;
  /** Of dropout; null to do without. */
  maskRow: FunctionReference<null> | null;
  addScaled: FunctionReference<null>;
}

/** Functions that bring a head's rows into panels. */
export interface Packers {
  packKeys: FunctionReference<null>;
  packValues: FunctionReference<null>;
}

export function definePackers(module: ModuleBuilder, tile: Tile): Packers {
  const columns = 4 * tile.vectors;
  return { packKeys: definePackKeys(module, columns), packValues: definePackValues(module, columns) };
}

/** [length, headSize] by tokens → panels of keys, [panel][headSize][columns]; zeros after the last key. */
export function definePackKeys(module: ModuleBuilder, columns: number): FunctionReference<null> {
  return module.define('packKeys', 'iiiii', (fn, panels, keys, length, headSize, stride) => {
    const column = fn.local('i32');
    const [from, to] = fn.locals('i32');
    const nextColumn = () => {
      fn.advance(panels, 4);
      fn.advance(column, 1);
      fn.if(i32.eq(column, columns), () => {
        fn.set(column, i32.const(0));
        fn.advance(panels, i32.mul(i32.sub(headSize, 1), 4 * columns));
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
    fn.while(i32.ne(column, 0), () => {
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
  return module.define('packValues', 'iiiii', (fn, panels, values, length, headSize, stride) => {
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
    fn.while(i32.gt_s(left, 0), () => {
      fn.if(
        i32.ge_s(left, columns),
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
      fn.advance(panels, i32.mul(length, 4 * columns));
      fn.advance(values, 4 * columns);
      fn.set(left, i32.sub(left, columns));
    });
  });
}

import { call, sumLanes, type FunctionReference, type ModuleBuilder } from './assembler.ts';
import type { Local, Value } from './instructions/encoding.ts';
import * as f32 from './instructions/f32.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as i32 from './instructions/i32.ts';
import type { Arithmetic } from './arithmetic.ts';
import type { AttentionFunctions } from './attention.ts';
import type { Tile } from './linear.ts';

/** Bytes of scratch memory that `attentionBackward` needs for a sequence of `length` tokens. */
export function attentionBackwardScratchBytes(length: number, headSize: number, tile: Tile): number {
  const up = (n: number) => Math.ceil(n / (4 * tile.vectors)) * 4 * tile.vectors;
  return 4 * (2 * up(length) * headSize + 4 * length * up(headSize) + (4 * length + 1) * up(length));
}

/**
 * `attentionBackward`: gradients of q, k and v for some heads of one sequence, added at dq, dk and dv (none of them 0), and at
 * dBias unless it is 0; written at the former when `addend` is `zeros`, not 0, and heads fill their panels. The probabilities are
 * computed again, as `attention` does. Arguments as there; there are no more queries than keys.
 */
export function defineAttentionBackward(
  module: ModuleBuilder,
  tile: Tile,
  arithmetic: Arithmetic,
  functions: AttentionFunctions & Record<'maskRow' | 'product' | 'transpose' | 'addRows', FunctionReference<null>>,
): void {
  const { product, transpose, addRows, softmaxRow, maskRow, addScaled, packKeys, packValues } = functions;
  const columns = 4 * tile.vectors;
  const panelBytes = 4 * columns;
  const scoreRow = defineScoreRow(module, arithmetic);
  const scaleRow = defineScaleRow(module);
  module.define('attentionBackward', 'iiiiiiiiiiiiiiifiiiiiifii', (fn, ...args) => {
    const [
      dq,
      dk,
      dv,
      dBias,
      dy,
      q,
      k,
      v,
      bias,
      spans,
      queries,
      length,
      headSize,
      stride,
      heads,
      scale,
      headStride,
      zeros,
      bases,
      baseStride,
      counters,
      threshold,
      factor,
      addend,
      scratch,
    ] = args;
    const panelsOf = (n: typeof length) => i32.div_u(i32.add(n, columns - 1), columns);
    const tokenPanels = fn.let(panelsOf(length));
    const headPanels = fn.let(panelsOf(headSize));
    const scoreStride = fn.let(i32.mul(tokenPanels, panelBytes));
    const rowStride = fn.let(i32.mul(headPanels, panelBytes));
    const after = (address: typeof length, count: typeof length, bytes: typeof length) =>
      fn.let(i32.add(address, i32.mul(count, bytes)));
    const panels = scratch; // of keys or values, [panel][headSize][columns]
    const rows = after(after(panels, headSize, scoreStride), headSize, scoreStride); // the same by rows, [panel][length][columns]
    const sums = after(rows, length, rowStride);
    const weights = after(sums, length, rowStride);
    const dScores = after(weights, queries, scoreStride);
    const turned = after(dScores, queries, scoreStride);
    const mask = after(turned, length, scoreStride);
    const eights = fn.let(i32.shr_u(i32.add(length, 7), 3));
    const vectors = fn.let(i32.shl(eights, 1));
    const padding = fn.let(i32.sub(i32.shl(vectors, 2), length));
    const panelStep = i32.const(panelBytes);
    const lengthBytes = fn.let(i32.shl(length, 2));
    const [row, dRow, from, base, pairs, dPairs, span] = fn.locals('i32');
    const fill = (address: Local<'i32'>, numbers: Value<'i32'>, value: number) =>
      fn.repeat(numbers, () => {
        fn.store(f32.store(address, f32.const(value)));
        fn.advance(address, 4);
      });
    /** Writes `value` to the keys of the row that its own span leaves out. */
    const fillOutside = (value: number) => {
      fn.set(from, row);
      fill(from, i32.load(span), value);
      fn.set(from, i32.add(row, i32.shl(i32.load(span, 4), 2)));
      fill(from, i32.sub(length, i32.load(span, 4)), value);
    };
    const softmaxScale = fn.let(scale);
    const scoreScale = fn.let(scale);
    fn.if(bias, () => fn.set(softmaxScale, f32.const(1))); // it is applied before the bias is added
    fn.if(dBias, () => fn.set(scoreScale, f32.const(1))); // and after the gradient of the bias is taken

    fn.set(from, mask); // without dropout the mask is all ones
    fn.repeat(vectors, () => {
      fn.store(f32x4.store(from, f32x4.const(1)));
      fn.advance(from, 16);
    });
    /** `gradient` += x · the rows of a head, x [count, depth]. */
    const addProduct = (gradient: typeof dq, count: typeof dq, x: typeof dq, source: typeof dq, depth: typeof dq) => {
      fn.call(packValues, rows, source, depth, headSize, stride);
      fn.if(
        i32.and(headSize, columns - 1),
        () => {
          // The last panel is wider than what is left of the head.
          fn.call(product, sums, x, rows, count, depth, headPanels, scoreStride, rowStride, panelStep, zeros);
          fn.call(addRows, gradient, sums, count, headSize, stride, rowStride);
        },
        () => fn.call(product, gradient, x, rows, count, depth, headPanels, scoreStride, stride, panelStep, addend),
      );
    };
    fn.repeat(heads, () => {
      // Scores, and the gradients of probabilities.
      fn.call(packKeys, panels, k, length, headSize, stride);
      fn.call(product, weights, q, panels, queries, headSize, tokenPanels, stride, scoreStride, panelStep, zeros);
      fn.call(packKeys, panels, v, length, headSize, stride);
      fn.call(product, dScores, dy, panels, queries, headSize, tokenPanels, stride, scoreStride, panelStep, zeros);

      fn.set(row, weights);
      fn.set(dRow, dScores);
      fn.set(base, bases);
      fn.set(pairs, bias);
      fn.set(dPairs, dBias);
      fn.set(span, spans);
      fn.repeat(queries, () => {
        fn.if(bias, () => {
          fn.call(addScaled, row, pairs, length, scale);
          fn.advance(pairs, lengthBytes);
        });
        fn.if(spans, () => fillOutside(-Infinity));
        fn.set(from, i32.add(row, lengthBytes));
        fill(from, padding, -Infinity);
        const inverse = fn.let(call(softmaxRow, [row, row, eights, softmaxScale]));
        fn.if(spans, () => {
          fillOutside(0);
          fn.advance(span, 8);
        });
        fn.if(base, () => {
          fn.set(from, mask);
          fn.repeat(vectors, () => {
            fn.store(f32x4.store(from, f32x4.const(1)));
            fn.advance(from, 16);
          });
          fn.call(maskRow, mask, mask, i32.load(base), counters, vectors, threshold, factor);
          fn.advance(base, 4);
        });
        fn.call(scoreRow, row, dRow, mask, vectors, inverse, scoreScale);
        fn.if(dBias, () => {
          fn.call(addRows, dPairs, dRow, 1, length, 0, 0);
          fn.call(scaleRow, dRow, vectors, scale);
          fn.advance(dPairs, lengthBytes);
        });
        fn.advance(row, scoreStride);
        fn.advance(dRow, scoreStride);
      });

      fn.call(transpose, turned, weights, queries, length, scoreStride, scoreStride);
      addProduct(dv, length, turned, dy, queries);
      addProduct(dq, queries, dScores, k, length);
      fn.call(transpose, turned, dScores, queries, length, scoreStride, scoreStride);
      addProduct(dk, length, turned, q, queries);

      for (const pointer of [dq, dk, dv, dy, q, k, v]) fn.advance(pointer, i32.shl(headSize, 2));
      fn.advance(bases, baseStride);
      fn.if(bias, () => fn.advance(bias, headStride));
      fn.if(dBias, () => fn.advance(dBias, headStride));
    });
  });
}

/**
 * `scoreRow`: from e and dP of one query: p = e · inverse; weights = p∘mask; dScores = p∘(dP∘mask - Σ p∘dP∘mask) · scale,
 * in place of e and dP.
 */
function defineScoreRow(module: ModuleBuilder, { multiplyAdd }: Arithmetic): FunctionReference<null> {
  return module.define('scoreRow', 'iiiiff', (fn, weights, dScores, mask, vectors, inverse, scale) => {
    const inverses = fn.let(f32x4.splat(inverse));
    const [w, d, m] = [fn.let(weights), fn.let(dScores), fn.let(mask)];
    const sums = fn.let(f32x4.const(0));
    fn.repeat(vectors, () => {
      const p = fn.let(f32x4.mul(f32x4.load(w), inverses));
      const dP = fn.let(f32x4.mul(f32x4.load(d), f32x4.load(m)));
      fn.store(f32x4.store(w, p));
      fn.store(f32x4.store(d, dP));
      fn.set(sums, multiplyAdd(p, dP, sums));
      for (const address of [w, d, m]) fn.advance(address, 16);
    });
    const means = fn.let(f32x4.splat(sumLanes(sums)));
    const scales = fn.let(f32x4.splat(scale));
    fn.repeat(vectors, () => {
      const p = fn.let(f32x4.load(weights));
      fn.store(f32x4.store(dScores, f32x4.mul(f32x4.mul(p, scales), f32x4.sub(f32x4.load(dScores), means))));
      fn.store(f32x4.store(weights, f32x4.mul(p, f32x4.load(mask))));
      for (const address of [weights, dScores, mask]) fn.advance(address, 16);
    });
  });
}

/** `scaleRow`: x = x · factor, `vectors` · 4 numbers. */
function defineScaleRow(module: ModuleBuilder): FunctionReference<null> {
  return module.define('scaleRow', 'iif', (fn, x, vectors, factor) => {
    const factors = fn.let(f32x4.splat(factor));
    fn.repeat(vectors, () => {
      fn.store(f32x4.store(x, f32x4.mul(f32x4.load(x), factors)));
      fn.advance(x, 16);
    });
  });
}

import type { FunctionReference, ModuleBuilder } from './assembler.ts';
import type { Local, Value } from './instructions/encoding.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as i32 from './instructions/i32.ts';
import * as i32x4 from './instructions/i32x4.ts';
import * as v128 from './instructions/v128.ts';
import { forVectors } from './rows.ts';

/** `mix` of kernels/mix.ts on four lanes. */
function mix(x: Value<'v128'>, keep: (value: Value<'v128'>) => Local<'v128'>): Value<'v128'> {
  const step = (value: Value<'v128'>, shift: number) => {
    const v = keep(value);
    return v128.xor(v, i32x4.shr_u(v, shift));
  };
  const once = i32x4.mul(step(x, 16), v128.const(0x7feb352d));
  const twice = i32x4.mul(step(once, 15), v128.const(0x846ca68b | 0));
  return step(twice, 16);
}

/**
 * `maskRow`: y = x by one row of a dropout mask, `vectors` · 4 numbers. The draw of each is mix(base + its counter), which is
 * its column times GOLDEN; the number is kept, times `factor`, when that is not below `threshold`. `maskRowAdd` adds to y.
 */
export function defineMaskRow(module: ModuleBuilder): FunctionReference<null> {
  const define = (name: string, add: boolean) =>
    module.define(name, 'iiiiiif', (fn, y, x, base, counters, vectors, threshold, factor) => {
      const [bases, thresholds] = [fn.let(i32x4.splat(base)), fn.let(i32x4.splat(threshold))];
      const factors = fn.let(f32x4.splat(factor));
      forVectors(fn, vectors, 2, [y, x, counters], (numbers) => {
        const counts = numbers.map((v) => i32x4.add(bases, i32x4.load(counters, 16 * v)));
        const draws = counts.map((count) => mix(count, (value) => fn.let(value)));
        const kept = draws.map((draw, v) => {
          const masked = v128.and(i32x4.ge_u(draw, thresholds), f32x4.mul(f32x4.load(x, 16 * v), factors));
          return fn.let(add ? f32x4.add(f32x4.load(y, 16 * v), masked) : masked);
        });
        kept.forEach((value, v) => fn.store(f32x4.store(y, value, 16 * v)));
      });
    });
  const maskRow = define('maskRow', false);
  const maskRowAdd = define('maskRowAdd', true);

  // Whole rows: their bases lie at `bases`, one after the other.
  for (const [name, row] of [
    ['dropout', maskRow],
    ['dropoutAdd', maskRowAdd],
  ] as const) {
    module.define(name, 'iiiiiiif', (fn, y, x, bases, counters, rows, vectors, threshold, factor) => {
      fn.repeat(rows, () => {
        fn.call(row, y, x, i32.load(bases), counters, vectors, threshold, factor);
        for (const address of [y, x]) fn.advance(address, i32.shl(vectors, 4));
        fn.advance(bases, 4);
      });
    });
  }
  return maskRow;
}

import type { FunctionReference, ModuleBuilder } from './assembler.ts';
import * as f32 from './instructions/f32.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as i32 from './instructions/i32.ts';

/** `add`, `subtract`, `multiply`, `divide`: y = a ∘ b for `rows` rows of `size` numbers; b moves on by `step` bytes a row. */
export function defineBinary(module: ModuleBuilder): void {
  for (const [name, ofVectors, ofNumbers] of [
    ['add', f32x4.add, f32.add],
    ['subtract', f32x4.sub, f32.sub],
    ['multiply', f32x4.mul, f32.mul],
    ['divide', f32x4.div, f32.div],
  ] as const) {
    module.define(name, 'iiiiii', (fn, y, a, b, rows, size, step) => {
      const at = fn.local('i32');
      const move = (bytes: number) => [y, a, at].forEach((address) => fn.advance(address, bytes));
      fn.repeat(rows, () => {
        fn.set(at, b);
        fn.repeat(i32.shr_u(size, 2), () => {
          fn.store(f32x4.store(y, ofVectors(f32x4.load(a), f32x4.load(at))));
          move(16);
        });
        fn.repeat(i32.and(size, 3), () => {
          fn.store(f32.store(y, ofNumbers(f32.load(a), f32.load(at))));
          move(4);
        });
        fn.advance(b, step);
      });
    });
  }
}

/**
 * `gate`: y = activation(first half of a row of x) · second half, for rows of 2 · `size` numbers, a multiple of 4. The
 * activation is one that has a kernel.
 */
export function defineGate(module: ModuleBuilder, activate: FunctionReference<null>): void {
  module.define('gate', 'iiiii', (fn, y, x, rows, size, activation) => {
    const vectors = fn.let(i32.shr_u(size, 2));
    fn.repeat(rows, () => {
      fn.call(activate, activation, y, x, 1, vectors, 0);
      fn.advance(x, i32.shl(size, 2));
      fn.repeat(vectors, () => {
        fn.store(f32x4.store(y, f32x4.mul(f32x4.load(y), f32x4.load(x))));
        for (const address of [x, y]) fn.advance(address, 16);
      });
    });
  });
}

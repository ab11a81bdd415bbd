import { f32, i32, type ModuleBuilder } from './assembler.ts';

/**
 * Rows of a weight into and out of its panels. `packed` is the address of the row's first number; in a panel of float32,
 * [inFeatures][columns], the next one lies a panel's width further, and in int8, [inFeatures / 2][columns][2], pairs do.
 */
export function defineMatrixRows(module: ModuleBuilder, columns: number): void {
  module.define('packRow', { packed: 'i32', row: 'i32', size: 'i32' }, (fn, { packed, row, size }) => {
    fn.repeat(size, () => {
      fn.store(i32.store(packed, i32.load(row)));
      fn.advance(row, 4);
      fn.advance(packed, 4 * columns);
    });
  });
  module.define('unpackRow', { row: 'i32', packed: 'i32', size: 'i32' }, (fn, { row, packed, size }) => {
    fn.repeat(size, () => {
      fn.store(i32.store(row, i32.load(packed)));
      fn.advance(row, 4);
      fn.advance(packed, 4 * columns);
    });
  });
  module.define('packRowQ8', { packed: 'i32', row: 'i32', pairs: 'i32' }, (fn, { packed, row, pairs }) => {
    fn.repeat(pairs, () => {
      fn.store(i32.store16(packed, i32.load16_s(row)));
      fn.advance(row, 2);
      fn.advance(packed, 2 * columns);
    });
  });
  const parameters = { row: 'i32', packed: 'i32', pairs: 'i32', scale: 'f32' } as const;
  module.define('unpackRowQ8', parameters, (fn, { row, packed, pairs, scale }) => {
    fn.repeat(pairs, () => {
      for (const k of [0, 1]) {
        fn.store(f32.store(row, f32.mul(f32.convert_i32_s(i32.load8_s(packed, k)), scale), 4 * k));
      }
      fn.advance(row, 8);
      fn.advance(packed, 2 * columns);
    });
  });
}

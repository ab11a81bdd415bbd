import { expect } from 'vitest';
import type { CompareOptions, NumericTensor } from '../../src/parity/index.ts';
import { toMatchTensor } from '../../src/parity/vitest.ts';

expect.extend({ toMatchTensor });

declare module 'vitest' {
  interface Matchers<T> {
    /** Every element within the tolerance, which is relative to the reference's largest unless `absolute`. */
    toMatchTensor(reference: T extends NumericTensor ? NumericTensor : never, options?: CompareOptions): void;
  }
}

import type { Value } from './instructions/encoding.ts';
import * as f32x4 from './instructions/f32x4.ts';

/** How a product is added to a sum: the one choice in which kernels of a forward pass may differ in their last bit. */
export interface Arithmetic {
  name: 'mul+add' | 'relaxed fma';
  /** a · b + c */
  multiplyAdd: (a: Value<'v128'>, b: Value<'v128'>, c: Value<'v128'>) => Value<'v128'>;
}

/** Two roundings, the same on every machine. */
export const mulAdd: Arithmetic = { name: 'mul+add', multiplyAdd: (a, b, c) => f32x4.add(f32x4.mul(a, b), c) };

/** One rounding where the machine has a fused instruction. Needs relaxed SIMD. */
export const relaxedFma: Arithmetic = { name: 'relaxed fma', multiplyAdd: f32x4.relaxed_madd };

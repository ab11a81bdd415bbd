import type { Arithmetic } from './arithmetic.ts';
import type { FunctionBuilder } from './assembler.ts';
import type { Local, Value } from './instructions/encoding.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as i32x4 from './instructions/i32x4.ts';
import * as v128 from './instructions/v128.ts';

type Vector = Value<'v128'>;

/** c[0] + c[1]·x + c[2]·x² + …, by Horner's rule. */
export function polynomial(
  fn: FunctionBuilder,
  { multiplyAdd }: Arithmetic,
  x: Local<'v128'>,
  coefficients: readonly number[],
): Vector {
  let sum: Vector = fn.constant(coefficients.at(-1)!);
  for (const c of coefficients.slice(0, -1).reverse()) sum = multiplyAdd(sum, x, fn.constant(c));
  return sum;
}

/** The same with less waiting of each step for the one before: pairs, pairs of pairs, … (Estrin), and c[0] last, by Horner. */
function shallowPolynomial(
  fn: FunctionBuilder,
  { multiplyAdd }: Arithmetic,
  x: Local<'v128'>,
  coefficients: readonly number[],
): Vector {
  let level: Vector[] = coefficients.slice(1).map((c) => fn.constant(c));
  for (let power = x; level.length > 1; power = fn.let(f32x4.mul(power, power))) {
    const pairs = Array.from({ length: Math.ceil(level.length / 2) }, (_, i) => level.slice(2 * i, 2 * i + 2));
    level = pairs.map(([low, high]) => (high ? fn.let(multiplyAdd(high, power, low)) : low));
  }
  return multiplyAdd(level[0], x, fn.constant(coefficients[0]));
}

const LN2_HIGH = 0.693359375; // ln 2 to 9 bits: a multiple of it by a whole number is exact in float32
const LN2_LOW = Math.LN2 - LN2_HIGH;
/** 2ᶠ on |f| ≤ ½, with the least relative error, 3e-9, of the float32 polynomials that give exactly 1 at 0. */
const POWER_TERMS = [1, 0.6931472, 0.24022648, 0.0555036, 0.009618506, 0.0013390806, 0.00015326467];
/** Added to a small number, leaves it rounded to a whole one in the low bits of the sum; here with the exponent's bias. */
const ROUND = 1.5 * 2 ** 23 + 127;

/** 2ᵗ = 2ⁿ·2ᶠ with t = n + f, for t up to 127. Below -126 t is taken as that. Relative error about 1e-7. */
export function powerOfTwo(fn: FunctionBuilder, arithmetic: Arithmetic, t: Vector): Local<'v128'> {
  const clamped = fn.let(f32x4.pmax(t, fn.constant(-126)));
  const rounded = fn.let(f32x4.add(clamped, fn.constant(ROUND)));
  const f = fn.let(f32x4.sub(clamped, f32x4.sub(rounded, fn.constant(ROUND))));
  return fn.let(f32x4.mul(polynomial(fn, arithmetic, f, POWER_TERMS), i32x4.shl(rounded, 23))); // the bits of 2ⁿ: what is above n + 127 is shifted out
}

/** eˣ = 2ⁿ·2ᶠ with x = (n + f)·ln 2. Below -87 and above 88 x is taken as those. Relative error about 1e-7. */
export function exp(fn: FunctionBuilder, arithmetic: Arithmetic, x: Vector): Local<'v128'> {
  const { multiplyAdd } = arithmetic;
  const clamped = fn.let(f32x4.pmin(f32x4.pmax(x, fn.constant(-87)), fn.constant(88)));
  const rounded = fn.let(f32x4.add(f32x4.mul(clamped, fn.constant(Math.LOG2E)), fn.constant(ROUND)));
  const n = fn.let(f32x4.sub(rounded, fn.constant(ROUND)));
  const rest = multiplyAdd(n, fn.constant(-LN2_LOW), multiplyAdd(n, fn.constant(-LN2_HIGH), clamped));
  const f = fn.let(f32x4.mul(rest, fn.constant(Math.LOG2E)));
  return fn.let(f32x4.mul(polynomial(fn, arithmetic, f, POWER_TERMS), i32x4.shl(rounded, 23)));
}

/**
 * log₂ of the normal distribution's upper tail, log₂(1 - Φ(z)), for z ≥ 0: fitted so that z times the tail is right to 1e-8.
 * Beyond z = 6 it falls on towards -∞, where the tail is 0 in float32.
 */
const LOG_TAIL = [
  -1, -1.1511084, -0.45917815, -0.052590974, 0.0072032823, -0.00024540912, -0.0001408569, 0.000029771356,
  -0.000002028377,
];

/**
 * GELU by its definition: x·Φ(x) = max(x, 0) - |x|·(1 - Φ(|x|)), where |x| beyond 20 is taken as 20, so that ±∞ do not
 * become NaN. Error below 3e-7 · max(1, |x|/4).
 */
export function gelu(fn: FunctionBuilder, arithmetic: Arithmetic, x: Local<'v128'>): Vector {
  const z = fn.let(f32x4.pmin(f32x4.abs(x), fn.constant(20)));
  const tail = powerOfTwo(fn, arithmetic, shallowPolynomial(fn, arithmetic, z, LOG_TAIL));
  return f32x4.sub(f32x4.pmax(x, fn.constant(0)), f32x4.mul(z, tail));
}

/** 1 / (1 + e⁻ˣ) */
export function sigmoid(fn: FunctionBuilder, arithmetic: Arithmetic, x: Vector): Vector {
  const one = fn.constant(1);
  return f32x4.div(one, f32x4.add(one, exp(fn, arithmetic, f32x4.neg(x))));
}

/** (tanh(z) - z) / z³ as a polynomial of z², for z below 0.625. Source: Moshier, Cephes, tanhf. */
const TANH_TERMS = [-3.33332819422e-1, 1.33314422036e-1, -5.37397155531e-2, 2.06390887954e-2, -5.70498872745e-3];

/** 1 - 2e / (1 + e) with e = exp(-2|x|), or for small |x|, where that cancels, a polynomial; and the sign of x. Relative error 1.5e-7. */
export function tanh(fn: FunctionBuilder, arithmetic: Arithmetic, x: Local<'v128'>): Vector {
  const z = fn.let(f32x4.abs(x));
  const e = exp(fn, arithmetic, f32x4.mul(z, fn.constant(-2)));
  const large = f32x4.sub(fn.constant(1), f32x4.div(f32x4.add(e, e), f32x4.add(fn.constant(1), e)));
  const square = fn.let(f32x4.mul(z, z));
  const small = arithmetic.multiplyAdd(f32x4.mul(z, square), polynomial(fn, arithmetic, square, TANH_TERMS), z);
  const magnitude = v128.bitselect(small, large, f32x4.lt(z, fn.constant(0.625)));
  return v128.or(magnitude, v128.and(x, v128.const(0x80000000 | 0)));
}

/** The tanh form of GELU, which is not the same function: for configs that ask for gelu_new or gelu_pytorch_tanh. */
export function geluTanh(fn: FunctionBuilder, arithmetic: Arithmetic, x: Local<'v128'>): Vector {
  const square = f32x4.mul(x, x);
  const slope = Math.sqrt(2 / Math.PI);
  const inner = f32x4.mul(x, arithmetic.multiplyAdd(square, fn.constant(0.044715 * slope), fn.constant(slope)));
  const t = tanh(fn, arithmetic, fn.let(inner));
  return f32x4.mul(f32x4.mul(x, fn.constant(0.5)), f32x4.add(t, fn.constant(1)));
}

/** `gelu`, and its slope: Φ(x) + x·φ(x). */
export function geluWithSlope(fn: FunctionBuilder, arithmetic: Arithmetic, x: Local<'v128'>): [Vector, Vector] {
  const z = fn.let(f32x4.pmin(f32x4.abs(x), fn.constant(20)));
  const tail = powerOfTwo(fn, arithmetic, shallowPolynomial(fn, arithmetic, z, LOG_TAIL)); // Φ(-|x|)
  const y = f32x4.sub(f32x4.pmax(x, fn.constant(0)), f32x4.mul(z, tail));
  const isNegative = f32x4.lt(x, fn.constant(0));
  const below = v128.bitselect(tail, f32x4.sub(fn.constant(1), tail), isNegative);
  const density = exp(fn, arithmetic, f32x4.mul(f32x4.mul(z, z), fn.constant(-0.5)));
  return [y, arithmetic.multiplyAdd(f32x4.mul(x, fn.constant(1 / Math.sqrt(2 * Math.PI))), density, below)];
}

/** `geluTanh`, and its slope: (1 + t)/2 + x/2·(1 - t²)·u′ with t = tanh(u), u = √(2/π)·(x + 0.044715·x³). */
export function geluTanhWithSlope(fn: FunctionBuilder, arithmetic: Arithmetic, x: Local<'v128'>): [Vector, Vector] {
  const square = fn.let(f32x4.mul(x, x));
  const slope = Math.sqrt(2 / Math.PI);
  const inner = f32x4.mul(x, arithmetic.multiplyAdd(square, fn.constant(0.044715 * slope), fn.constant(slope)));
  const t = fn.let(tanh(fn, arithmetic, fn.let(inner)));
  const innerSlope = arithmetic.multiplyAdd(square, fn.constant(3 * 0.044715 * slope), fn.constant(slope));
  const half = fn.let(f32x4.mul(fn.constant(0.5), f32x4.add(fn.constant(1), t)));
  const y = fn.let(f32x4.mul(x, half));
  // (1 - t²)/2 = half·(1 - t)
  return [y, arithmetic.multiplyAdd(f32x4.mul(y, f32x4.sub(fn.constant(1), t)), innerSlope, half)];
}

/** The sigmoid, and its slope: σ(x)·(1 - σ(x)) */
export function sigmoidWithSlope(fn: FunctionBuilder, arithmetic: Arithmetic, x: Local<'v128'>): [Vector, Vector] {
  const s = fn.let(sigmoid(fn, arithmetic, x));
  return [s, f32x4.mul(s, f32x4.sub(fn.constant(1), s))];
}

/** x·σ(x), and its slope: σ(x)·(1 + x·(1 - σ(x))) */
export function siluWithSlope(fn: FunctionBuilder, arithmetic: Arithmetic, x: Local<'v128'>): [Vector, Vector] {
  const s = fn.let(sigmoid(fn, arithmetic, x));
  const rest = arithmetic.multiplyAdd(x, f32x4.sub(fn.constant(1), s), fn.constant(1));
  return [f32x4.mul(x, s), f32x4.mul(s, rest)];
}

/** The hyperbolic tangent, and its slope: 1 - tanh²(x) */
export function tanhWithSlope(fn: FunctionBuilder, arithmetic: Arithmetic, x: Local<'v128'>): [Vector, Vector] {
  const t = fn.let(tanh(fn, arithmetic, x));
  return [t, f32x4.mul(f32x4.sub(fn.constant(1), t), f32x4.add(fn.constant(1), t))];
}

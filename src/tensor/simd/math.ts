import type { Arithmetic } from './arithmetic.ts';
import { f32x4, i32x4, v128, type FunctionBuilder, type Local, type Value } from './assembler.ts';

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

const LN2_HIGH = 0.693359375; // ln 2 to 9 bits: a multiple of it by a whole number is exact in float32
const LN2_LOW = Math.LN2 - LN2_HIGH;
/** 1/n!: on |r| ≤ ln(2)/2 the first term left out is below 1e-8. */
const EXP_TERMS = [1, 1, 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720, 1 / 5040];
/** Added to a small number, leaves it rounded to a whole one in the low bits of the sum; here with the exponent's bias. */
const ROUND = 1.5 * 2 ** 23 + 127;

/** eˣ = 2ⁿ·eʳ with x = n·ln 2 + r. Below -87 and above 88 x is taken as those. Relative error about 1e-7. */
export function exp(fn: FunctionBuilder, arithmetic: Arithmetic, x: Vector): Local<'v128'> {
  const { multiplyAdd } = arithmetic;
  const clamped = fn.let(f32x4.pmin(f32x4.pmax(x, fn.constant(-87)), fn.constant(88)));
  const rounded = fn.let(f32x4.add(f32x4.mul(clamped, fn.constant(Math.LOG2E)), fn.constant(ROUND)));
  const n = fn.let(f32x4.sub(rounded, fn.constant(ROUND)));
  const r = fn.let(multiplyAdd(n, fn.constant(-LN2_LOW), multiplyAdd(n, fn.constant(-LN2_HIGH), clamped)));
  const power = i32x4.shl(rounded, 23); // the bits of 2ⁿ: what is above n + 127 is shifted out
  return fn.let(f32x4.mul(polynomial(fn, arithmetic, r, EXP_TERMS), power));
}

/**
 * ln of the normal distribution's upper tail, ln(1 - Φ(z)), for z ≥ 0: fitted so that z times the tail is right to 1e-8
 * (tools/fit-gelu.py). Beyond z = 6 it falls on towards -∞, where the tail is 0 in float32.
 */
const LOG_TAIL = [
  -0.6931471228599548, -0.797888457775116, -0.3182739317417145, -0.03646165505051613, 0.00500201852992177,
  -0.0001756678248057142, -9.571582631906494e-5, 2.0289871827117167e-5, -1.3806841252517188e-6,
];

/**
 * GELU by its definition: x·Φ(x) = max(x, 0) - |x|·(1 - Φ(|x|)), where |x| beyond 20 is taken as 20, so that ±∞ do not
 * become NaN. Error below 3e-7 · max(1, |x|/4).
 */
export function gelu(fn: FunctionBuilder, arithmetic: Arithmetic, x: Local<'v128'>): Vector {
  const z = fn.let(f32x4.pmin(f32x4.abs(x), fn.constant(20)));
  const tail = exp(fn, arithmetic, polynomial(fn, arithmetic, z, LOG_TAIL));
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

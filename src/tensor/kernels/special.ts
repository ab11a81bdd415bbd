import type { FloatArray } from './kernels.ts';

/**
 * The error function, 2/√π · ∫₀ˣ exp(-t²) dt, to within a few units in the last place of a float64.
 * Near zero it is the power series whose terms are all positive, further out the continued fraction of erfc.
 * Source: Abramowitz & Stegun, 7.1.6 and 7.1.14.
 */
export function erf(x: number): number {
  const magnitude = Math.abs(x);
  if (magnitude >= 6) return Math.sign(x); // 1 - erf(6) is 2e-17: gone in rounding
  if (!(magnitude > 0)) return x; // ±0 and NaN
  return magnitude < 2.5 ? erfSeries(x) : Math.sign(x) * (1 - erfcFraction(magnitude));
}

/** erf(x) = 2/√π · exp(-x²) · Σₙ 2ⁿ x²ⁿ⁺¹ / (1·3·5···(2n+1)) */
function erfSeries(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** erfc(x) = exp(-x²)/√π · 1/(x + (1/2)/(x + (2/2)/(x + (3/2)/(x + ...)))), for x ≥ 2.5 */
function erfcFraction(x: number): number {
  let denominator = x;
  for (let n = 60; n >= 1; n--) denominator = x + n / 2 / denominator;
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / denominator;
}

/** ln(1 + exp(x)) without overflow. */
export function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

export function sigmoid(x: number): number {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
}

/** Softmax of x[begin .. begin+size]; the maximum is taken off first so that exp never overflows. */
export function softmaxRow(y: FloatArray, x: FloatArray, begin: number, size: number): void {
  let max = -Infinity;
  for (let i = 0; i < size; i++) max = Math.max(max, x[begin + i]);
  let sum = 0;
  for (let i = 0; i < size; i++) sum += Math.exp(x[begin + i] - max);
  for (let i = 0; i < size; i++) y[begin + i] = Math.exp(x[begin + i] - max) / sum;
}

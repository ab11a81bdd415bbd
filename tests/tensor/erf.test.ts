import { describe, expect, it } from 'vitest';
import { erf } from '../../src/tensor/index.ts';
import { torchTensor } from '../support/fixtures.ts';
import '../support/matchers.ts';

describe('erf', () => {
  const grid = torchTensor('erf.x').data;

  it('equals PyTorch in float64 on [-6, 6], at tiny and at infinite arguments', () => {
    // Relative, one by one: tiny arguments have tiny values.
    const expected = torchTensor('erf.y.f64').data;
    for (const [i, x] of grid.entries()) expectClose(x, expected[i]);
  });

  it('equals PyTorch on float64 arguments from 1e-300 on', () => {
    const expected = torchTensor('erf.wide.y.f64').data;
    for (const [i, x] of torchTensor('erf.wide.x').data.entries()) expectClose(x, expected[i]);
  });

  it('keeps the sign of zero, is odd, and passes NaN on', () => {
    expect([erf(0), erf(-0), erf(Infinity), erf(-Infinity), erf(NaN)]).toEqual([0, -0, 1, -1, NaN]);
    for (const x of grid) expect(erf(-x)).toBe(-erf(x));
  });

  it('does not jump where the series gives way to the continued fraction', () => {
    for (const edge of [2.5, 6]) expect(erf(edge) - erf(edge - 1e-12)).toBeLessThan(3e-15);
  });

  it('is told from its usual approximation (Abramowitz & Stegun 7.1.26)', () => {
    const t = 1 / (1 + 0.3275911);
    const polynomial =
      t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    expect(Math.abs(1 - polynomial * Math.exp(-1) - erf(1))).toBeGreaterThan(1e-8);
  });

  function expectClose(x: number, expected: number): void {
    const error = Math.abs(erf(x) - expected) / Math.max(Math.abs(expected), Number.MIN_VALUE);
    if (!(error <= 1e-15)) expect.fail(`erf(${x}): got ${erf(x)}, PyTorch ${expected}, relative error ${error}`);
  }
});

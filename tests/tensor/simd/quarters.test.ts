import { describe, expect, it } from 'vitest';
import type { Matrix } from '../../../src/tensor/index.ts';
import { backwardKernels, Engine } from '../../../src/tensor/index.ts';
import { referenceBackward } from '../../../src/tensor/kernels/referenceBackward.ts';
import { mulAdd, relaxedFma } from '../../../src/tensor/simd/arithmetic.ts';
import { makeKernels } from '../../../src/tensor/simd/start.ts';
import { random } from '../../conformance.ts';
import { hasRelaxedFma, tiles } from '../../support/kernelSets.ts';

const doubles = (length: number) => new Float64Array(length);

interface Inputs {
  rows: number;
  inFeatures: number;
  outFeatures: number;
  dy: Float64Array;
  x: Float64Array;
  weight: Float64Array;
}

/** Float32 numbers, kept as float64. */
function inputs(rows: number, inFeatures: number, outFeatures: number): Inputs {
  const [dy, x, weight] = [
    [rows, outFeatures],
    [rows, inFeatures],
    [outFeatures, inFeatures],
  ].map(([a, b], i) => random(a * b, doubles, `quarters ${i}`).map(Math.fround) as Float64Array);
  return { rows, inFeatures, outFeatures, dy, x, weight };
}

interface Gradients {
  dx: Float64Array;
  dWeight: Float64Array;
  dBias: Float64Array;
}

function expectedOf({ rows, inFeatures, outFeatures, dy, x, weight }: Inputs): Gradients {
  const gradients = { dx: doubles(x.length), dWeight: doubles(weight.length), dBias: doubles(outFeatures) };
  const { dx, dWeight, dBias } = gradients;
  referenceBackward.linearBackward(dx, dWeight, dBias, dy, x, weight, rows, inFeatures, outFeatures);
  return gradients;
}

/** An engine that counts the products that it made by quarters. */
function counting(tile: (typeof tiles)[number], threads = 1, arithmetic = mulAdd) {
  const { kernels } = makeKernels(tile, arithmetic, { threads });
  const engine = new Engine({ kernels });
  const backward = backwardKernels(engine);
  const counted = { products: 0 };
  const { runner } = kernels.machine;
  const run = runner.run.bind(runner);
  runner.run = (calls, ...rest) => {
    if (calls.some(([name]) => name === 'productOfQuarters')) counted.products++;
    run(calls, ...rest);
  };
  return { engine, backward, counted };
}

/** Gradients, added to `before` or, without it, written where memory has other numbers. */
function gradientsOf({ engine, backward }: ReturnType<typeof counting>, given: Inputs, before?: Gradients): Gradients {
  const { rows, inFeatures, outFeatures } = given;
  const [dy, x] = [given.dy, given.x].map((numbers) => Float32Array.from(numbers));
  const matrixOf = (numbers: Float64Array) => {
    const matrix: Matrix = engine.keepMatrix(outFeatures, inFeatures, 'f32');
    matrix.set(numbers);
    return matrix;
  };
  const weight = matrixOf(given.weight);
  const dWeight = matrixOf(before?.dWeight ?? doubles(given.weight.length).fill(NaN));
  const dx = before ? Float32Array.from(before.dx) : new Float32Array(x.length).fill(NaN);
  const dBias = before ? Float32Array.from(before.dBias) : new Float32Array(outFeatures);
  const writes = { dx: !before, dWeight: !before };
  backward.linearBackward(dx, dWeight.data, dBias, dy, x, weight.packed, rows, inFeatures, outFeatures, writes);
  expect(nonzero(dWeight.data)).toBe(nonzero(dWeight.toTensor().data)); // padding is zero
  const [all, bias] = [dWeight.toTensor().data, dBias].map((numbers) => Float64Array.from(numbers));
  return { dx: Float64Array.from(dx), dWeight: all, dBias: bias };
}

const nonzero = (numbers: ArrayLike<number>) => Array.from(numbers).filter((x) => x !== 0).length;

/** The largest difference, as a share of the largest number. */
function distance(actual: Float64Array, expected: Float64Array): number {
  const largest = expected.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
  const furthest = expected.reduce((max, x, i) => Math.max(max, Math.abs(actual[i] - x)), 0); // NaN if one is
  return furthest / largest;
}

describe('gradients of linear by quarters', () => {
  const sets = tiles.map((tile) => counting(tile));
  const two = counting(tiles[0], 2);

  it.each([
    ['the fewest', 192, 192, 192],
    ['an odd row, depths that are no multiple of 8, a panel that is alone, one that is not full', 263, 202, 276],
    ['more pairs of panels than go together', 196, 194, 600],
    ['more rows than are packed at a time, or multiplied', 4300, 192, 192],
  ])('are those of float64: %s', (_, ...sizes) => {
    const given = inputs(...sizes);
    const expected = expectedOf(given);
    const before = expectedOf({ ...given, x: given.x.map((x) => x / 2) as Float64Array });
    const added = {
      dx: expected.dx.map((x, i) => x + before.dx[i]) as Float64Array,
      dWeight: expected.dWeight.map((x, i) => x + before.dWeight[i]) as Float64Array,
      dBias: expected.dBias.map((x, i) => x + before.dBias[i]) as Float64Array,
    };
    for (const set of [...sets, two]) {
      const { products } = set.counted;
      const [written, sum] = [gradientsOf(set, given), gradientsOf(set, given, before)];
      for (const [actual, exact] of [
        [written, expected],
        [sum, added],
      ]) {
        for (const name of ['dx', 'dWeight', 'dBias'] as const) {
          expect(distance(actual[name], exact[name]), name).toBeLessThan(2e-6);
        }
      }
      expect(set.counted.products - products).toBeGreaterThanOrEqual(4);
      // The twin: one number that is off by a hundred-thousandth.
      written.dx[7] += 1e-5 * Math.abs(expected.dx.reduce((max, x) => Math.max(max, Math.abs(x)), 0));
      expect(distance(written.dx, expected.dx)).toBeGreaterThan(2e-6);
    }
  });

  it('are the same bits on two threads', () => {
    const given = inputs(263, 202, 276);
    expect(gradientsOf(two, given)).toEqual(gradientsOf(sets[0], given));
  });

  describe.each(['feature', 'output', 'row'])('of which a %s is small', (what) => {
    const given = inputs(260, 200, 208);
    const { rows, inFeatures, outFeatures, dy, x } = given;
    const [feature, output, row] = [70, 13, 90];
    const kept = { dy: dy.slice(), x: x.slice() };
    const multiplyBy = (factor: number) => {
      dy.set(kept.dy);
      x.set(kept.x);
      const [numbers, size] = what === 'feature' ? [x, inFeatures] : [dy, outFeatures];
      for (let r = 0; r < rows; r++) {
        for (let c = 0; c < size; c++) {
          const isSmall = what === 'row' ? r === row : c === (what === 'feature' ? feature : output);
          if (isSmall) numbers[r * size + c] = Math.fround(numbers[r * size + c] * factor);
        }
      }
    };
    /** Its gradient. */
    const own = ({ dx, dWeight }: Gradients) => {
      if (what === 'feature') return dWeight.filter((_, i) => i % inFeatures === feature);
      if (what === 'output') return dWeight.slice(output * inFeatures, (output + 1) * inFeatures);
      return dx.slice(row * inFeatures, (row + 1) * inFeatures);
    };

    it.each([1e-30, 1.4e-3])('is as exact as if it were alone: %d', (factor) => {
      multiplyBy(factor);
      const expected = own(expectedOf(given));
      for (const set of [...sets, two]) expect(distance(own(gradientsOf(set, given)), expected)).toBeLessThan(2e-6);
      // The twin: a larger one is rounded as its partner is.
      multiplyBy(2.8e-3);
      const larger = own(expectedOf(given));
      for (const set of [...sets, two]) expect(distance(own(gradientsOf(set, given)), larger)).toBeGreaterThan(2e-6);
    });

    it('is exactly zero where that is', () => {
      for (const zero of [0, -0]) {
        multiplyBy(zero);
        for (const set of [...sets, two]) expect(nonzero(own(gradientsOf(set, given)))).toBe(0);
      }
    });

    it.each([NaN, Infinity, -Infinity])('spoils no other by being %d', (factor) => {
      multiplyBy(factor);
      const expected = expectedOf(given);
      for (const set of [...sets, two]) {
        const actual = gradientsOf(set, given);
        for (const name of ['dx', 'dWeight'] as const) {
          const isOther = (x: number, i: number) => Number.isFinite(x) !== Number.isFinite(expected[name][i]);
          expect(actual[name].filter(isOther)).toHaveLength(0);
        }
      }
    });
  });

  it('are as exact where one half of a sum is of large and small numbers, and the other of small and large ones', () => {
    const given = inputs(260, 200, 208);
    const { rows, inFeatures, outFeatures, dy, x, weight } = given;
    for (let i = 0; i < dy.length; i++) if (i % outFeatures < outFeatures / 2) dy[i] = Math.fround(dy[i] * 1e3);
    for (let i = 0; i < weight.length / 2; i++) weight[i] = Math.fround(weight[i] / 1e3);
    const { dx } = expectedOf(given);
    for (const set of sets) expect(distance(gradientsOf(set, given).dx, dx)).toBeLessThan(2e-6);
    for (let i = 0; i < dy.length / 2; i++) dy[i] = Math.fround(dy[i] * 1e3);
    for (let i = 0; i < (rows * inFeatures) / 2; i++) x[i] = Math.fround(x[i] / 1e3);
    const { dWeight } = expectedOf(given);
    for (const set of sets) expect(distance(gradientsOf(set, given).dWeight, dWeight)).toBeLessThan(2e-6);
  });

  it.each([Infinity, 1e38])('keep the largest numbers apart from %d', (number) => {
    const given = inputs(260, 200, 208);
    const { outFeatures, inFeatures, dy, x, weight } = given;
    for (const numbers of [x, weight]) numbers.forEach((value, i) => (numbers[i] = Math.fround(value * 1e-30)));
    for (let i = 0; i < outFeatures; i++) {
      dy[40 * outFeatures + i] = number;
      dy[170 * outFeatures + i] = i % 2 === 0 ? 3e37 : -3e37; // its partner
    }
    const row = (dx: Float64Array) => dx.slice(170 * inFeatures, 171 * inFeatures);
    const expected = row(expectedOf(given).dx);
    for (const set of sets) expect(distance(row(gradientsOf(set, given).dx), expected)).toBeLessThan(2e-6);
  });

  it.each([
    [191, 192, 192, 0],
    [192, 191, 192, 0],
    [192, 184, 192, 0],
    [192, 192, 184, 0],
    [192, 192, 192, 2],
    [4097, 192, 192, 3], // two blocks of dx, three of dWeight, of both the last too small
    [192, 192, 4097, 1], // too deep for dx
  ])('are left to larger products: %d rows, %d features to %d make %d', (rows, inFeatures, outFeatures, products) => {
    const set = counting(tiles[0]);
    gradientsOf(set, inputs(rows, inFeatures, outFeatures));
    expect(set.counted.products).toBe(products);
  });

  it('are made so without fused multiply-add only', () => {
    if (!hasRelaxedFma) return;
    const set = counting(tiles[0], 1, relaxedFma);
    gradientsOf(set, inputs(192, 192, 192));
    expect(set.counted.products).toBe(0);
  });
});

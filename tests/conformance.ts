import { describe, expect, it } from 'vitest';
import {
  fillNormal,
  randomStream,
  randomUniform,
  type ActivationName,
  type FloatArray,
  type Kernels,
  type Pooling,
  type PackedMatrix,
} from '../src/tensor/index.ts';
import { positionChecks } from './conformancePositions.ts';
import { torch, torchIntegers, torchTensor } from './support/fixtures.ts';
import './support/matchers.ts';

/** How a kernel set is run, and how far it may be from the exact result. */
export interface Setup {
  /** Zeros in the storage that the kernels work on, where they work on it. */
  floats(length: number): FloatArray;
  /** The same for bytes. */
  bytes(length: number): Int8Array;
  /** Runs a check; storage that it takes may be given back afterwards. */
  around(check: () => void): void;
  /** Of sums and everything made of them, as a part of the largest value of the result. */
  tolerance: number;
  /** Of activations, element by element, as a part of the larger of |x| and |f(x)|. */
  elementTolerance: number;
}

/** A setup whose storage is the garbage collector's. */
export function heapSetup(floats: Setup['floats'], tolerance: number, elementTolerance: number): Setup {
  const bytes = (length: number) => new Int8Array(length);
  return { floats, bytes, around: (check) => check(), tolerance, elementTolerance };
}

/** What a kernel set must do, check by check. Each throws when it does not; the must-fail twins run them one by one. */
export const checks: Record<string, (kernels: Kernels, setup: Setup) => void> = {
  'linear: every number of rows and outputs from 1 to 9, with and without bias'(kernels, setup) {
    for (let rows = 1; rows <= 9; rows++) {
      for (let outputs = 1; outputs <= 9; outputs++) expectLinear(kernels, setup, rows, 7, outputs);
    }
  },

  'linear: inner sizes around every multiple of the vector width, and larger products'(kernels, setup) {
    for (const inner of [1, 2, 3, 4, 5, 8, 15, 16, 17, 31, 33, 64]) expectLinear(kernels, setup, 3, inner, 5);
    expectLinear(kernels, setup, 13, 129, 67);
    expectLinear(kernels, setup, 70, 48, 130);
  },

  'linear: no rows write nothing; no inputs leave the bias'(kernels, { floats }) {
    const y = floats(2);
    kernels.linear(floats(0), floats(0), random(6, floats, 'w'), null, 'linear', 0, 3, 2);
    kernels.linear(y, floats(0), floats(0), Float32Array.of(1.5, -2), 'relu', 1, 0, 2);
    expect([...y]).toEqual([1.5, 0]);
  },

  'linear: a row alone gives the bits that it gives among others, on float and on int8 weights'(kernels, setup) {
    const { floats } = setup;
    for (const [rows, inner, outputs] of [
      [15, 37, 11],
      [15, 300, 11],
      [44, 48, 35],
    ]) {
      const [x, weight, bias] = [
        random(rows * inner, floats, 'x'),
        random(outputs * inner, floats, 'w'),
        random(outputs, floats, 'b'),
      ];
      for (const matrix of [weight, packInt8(kernels, setup, outputs, inner).matrix]) {
        const together = floats(rows * outputs);
        kernels.linear(together, x, matrix, bias, 'gelu', rows, inner, outputs);
        for (let count = 1; count < rows; count++) {
          for (const first of [0, rows - count]) {
            const some = floats(count * outputs);
            const those = into(floats, x.slice(first * inner, (first + count) * inner));
            kernels.linear(some, those, matrix, bias, 'gelu', count, inner, outputs);
            expect([...some]).toEqual([...together.slice(first * outputs, (first + count) * outputs)]);
          }
        }
      }
    }
  },

  'packRows, unpackRows: every number of rows from 1 to 33, packed in pieces, given back in any order'(kernels, setup) {
    const { floats } = setup;
    for (let outputs = 1; outputs <= 33; outputs++) {
      for (const inner of [1, 2, 3, 7, 10]) {
        const ids = Int32Array.from({ length: outputs + 2 }, (_, r) => (7 * r + outputs - 1) % outputs);
        const y = floats(ids.length * inner).fill(7);

        const rows = random(outputs * inner, floats, 'w');
        kernels.unpackRows(y, packFloats(kernels, setup, rows, outputs, inner, 5), ids);
        expect([...y]).toEqual(grid(ids.length, inner, (r, i) => rows[ids[r] * inner + i]));

        const { matrix, values, scale } = packInt8(kernels, setup, outputs, inner, 5);
        kernels.unpackRows(y.fill(7), matrix, ids);
        const expected = grid(ids.length, inner, (r, i) => values[ids[r] * inner + i] * scale[ids[r]]);
        expect([...y]).toEqual([...into(floats, expected)]);
      }
    }
  },

  'packRows: a row packed again takes the place of the old one, and of no other'(kernels, setup) {
    const rows = random(20 * 6, setup.floats, 'w');
    const matrix = packFloats(kernels, setup, rows, 20, 6);
    const changed = random(12, setup.floats, 'n');
    kernels.packRows(matrix, 7, changed);
    kernels.packRows(matrix, 20, setup.floats(0)); // nothing, after the last
    rows.set(changed, 42);
    const y = setup.floats(120);
    kernels.unpackRows(
      y,
      matrix,
      Int32Array.from({ length: 20 }, (_, r) => r),
    );
    expect([...y]).toEqual([...rows]);
  },

  'linear: a packed weight gives the bits that it gives row by row'(kernels, setup) {
    const { floats } = setup;
    for (const [rows, inner, outputs] of sizes) {
      const [x, weight] = [random(rows * inner, floats, 'x'), random(outputs * inner, floats, 'w')];
      for (const [bias, activation] of [
        [null, 'linear'],
        [random(outputs, floats, 'b'), 'relu6'],
        [random(outputs, floats, 'b'), 'gelu'],
      ] as const) {
        const [y, packed] = [floats(rows * outputs), floats(rows * outputs).fill(7)];
        kernels.linear(y, x, weight, bias, activation, rows, inner, outputs);
        const matrix = packFloats(kernels, setup, weight, outputs, inner, 7);
        kernels.linear(packed, x, matrix, bias, activation, rows, inner, outputs);
        expect([...packed]).toEqual([...y]);
      }
    }
  },

  'linear on int8: the sum is of whole numbers, exact in all of int32'(kernels, setup) {
    // The largest of each row is 2047, so that rows are rounded to themselves, and all factors are 1.
    for (const [rows, inner, outputs] of [...sizes, [44, 64, 67], [2, 8192, 3], [61, 8192, 35]]) {
      const { matrix, values } = packInt8(kernels, setup, outputs, inner, 4, 1);
      const x = into(setup.floats, wholeNumbers(rows * inner, 2047, 'x'));
      for (let r = 0; r < rows; r++) x[r * inner + (r % inner)] = r % 2 === 0 ? 2047 : -2047;
      if (inner === 8192) x.fill(2047, inner); // the second row: sums up to 2^31
      if (inner === 8192) values.fill(127, inner, 2 * inner).fill(-127, 2 * inner);
      kernels.packRows(matrix, 0, values);
      const y = setup.floats(rows * outputs).fill(7);
      kernels.linear(y, x, matrix, null, 'linear', rows, inner, outputs);
      const sums = grid(rows, outputs, (r, o) => sumOver(inner, (i) => x[r * inner + i] * values[o * inner + i]));
      expect([...y]).toEqual([...into(setup.floats, sums)]);
    }
  },

  'linear on int8: a row with NaN or infinity among others leaves them the bits that they have alone'(kernels, setup) {
    const { floats } = setup;
    const [rows, inner, outputs] = [40, 32, 35];
    const { matrix } = packInt8(kernels, setup, outputs, inner);
    const result = (x: FloatArray) => {
      const y = floats(rows * outputs);
      kernels.linear(y, x, matrix, null, 'linear', rows, inner, outputs);
      return [...y];
    };
    const x = random(rows * inner, floats, 'x');
    const without = result(x);
    for (const [at, value] of [NaN, Infinity, -Infinity].entries())
      x.fill(value, 7 * at * inner, 7 * at * inner + 5 * at + 3);
    const among = result(x);
    for (let r = 0; r < rows; r++) {
      const row = among.slice(r * outputs, (r + 1) * outputs);
      if ([0, 7, 14].includes(r)) expect(row.filter(Number.isFinite)).toEqual([]);
      else expect(row).toEqual(without.slice(r * outputs, (r + 1) * outputs));
    }
  },

  'linear on int8: rows are rounded half to even'(kernels, setup) {
    const inner = 23; // through the vectors and through what is left
    const [values, rounded] = [
      [2047, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49, 0.51, 1023.5, 1024.5, -2046.5],
      [2047, 0, 2, 2, -0, -2, -2, 0, 1, 1024, 1024, -2046],
    ];
    for (let shift = 0; shift < values.length; shift++) {
      const x = into(
        setup.floats,
        grid(1, inner, (_, i) => values[(i + shift) % 12]),
      );
      const { matrix, values: identity } = packInt8(kernels, setup, inner, inner, inner, 1);
      kernels.packRows(
        matrix,
        0,
        identity.fill(0).map((_, n) => Number(n % (inner + 1) === 0)),
      );
      const y = setup.floats(inner);
      kernels.linear(y, x, matrix, null, 'linear', 1, inner, inner);
      expect([...y].map((value) => value + 0)).toEqual(grid(1, inner, (_, i) => rounded[(i + shift) % 12] + 0));
    }
  },

  'linear on int8: equals its definition, on ordinary, huge, tiny and zero rows'(kernels, setup) {
    const { floats, tolerance } = setup;
    const factors = [1, 1e30, 1e-30, 0, 3e-5, 1e-36];
    for (const [, inner, outputs] of sizes) {
      const rows = factors.length;
      const x = random(rows * inner, floats, 'x');
      x.forEach((value, n) => (x[n] = value * factors[Math.floor(n / inner)]));
      const { matrix, values, scale } = packInt8(kernels, setup, outputs, inner);
      for (const bias of [null, random(outputs, floats, 'b')]) {
        const y = floats(rows * outputs).fill(7);
        kernels.linear(y, x, matrix, bias, 'linear', rows, inner, outputs);
        for (let r = 0; r < rows; r++) {
          const expected = naiveInt8([...x.slice(r * inner, (r + 1) * inner)], values, scale, bias);
          expectArray(y.slice(r * outputs, (r + 1) * outputs), expected, 2 * tolerance); // as it has factors to round too
        }
      }
    }
  },

  'linear on int8: the activation acts after the bias, whether or not it is fused'(kernels, setup) {
    const [x, bias] = [random(3 * 9, setup.floats, 'x'), random(13, setup.floats, 'b')];
    const { matrix } = packInt8(kernels, setup, 13, 9);
    for (const name of ['gelu', 'relu', 'mish'] as const) {
      const [fused, sum, after] = [0, 1, 2].map(() => setup.floats(39));
      kernels.linear(fused, x, matrix, bias, name, 3, 9, 13);
      kernels.linear(sum, x, matrix, bias, 'linear', 3, 9, 13);
      kernels.activation(after, sum, name);
      expectArray(fused, [...after], 2 * setup.tolerance);
    }
  },

  'linear: NaN in a row makes that row NaN, and no other, on float and on int8 weights'(kernels, setup) {
    for (const at of [0, 3, 8, 18]) {
      const x = random(3 * 19, setup.floats, 'x');
      x[19 + at] = NaN;
      for (const weight of [random(5 * 19, setup.floats, 'w'), packInt8(kernels, setup, 5, 19).matrix]) {
        const y = setup.floats(15);
        kernels.linear(y, x, weight, null, 'linear', 3, 19, 5);
        expect([...y].map(Number.isNaN)).toEqual(grid(3, 5, (r) => Number(r === 1)).map(Boolean));
      }
    }
  },

  'linear: the activation acts after the bias'(kernels, setup) {
    const names: ActivationName[] = ['gelu', 'gelu_new', 'relu', 'tanh', 'silu'];
    for (const name of names) {
      const [x, weight, bias] = [
        random(12, setup.floats, 'x'),
        random(20, setup.floats, 'w'),
        random(5, setup.floats, 'b'),
      ];
      const fused = setup.floats(15);
      const sum = setup.floats(15);
      kernels.linear(fused, x, weight, bias, name, 3, 4, 5);
      kernels.linear(sum, x, weight, bias, 'linear', 3, 4, 5);
      const after = setup.floats(15);
      kernels.activation(after, sum, name);
      expectArray(fused, [...after], 2 * setup.tolerance); // the sum is rounded once more when it is stored in between
    }
  },

  'linear: equals PyTorch'(kernels, { floats, tolerance }) {
    const [x, weight, bias] = ['x', 'weight', 'bias'].map((name) => golden(`linear.${name}`, floats));
    const y = floats(5 * 37);
    kernels.linear(y, x, weight, bias, 'linear', 5, 24, 37);
    expectGolden(y, 'linear.y.f64', tolerance);
    kernels.linear(y, x, weight, null, 'linear', 5, 24, 37);
    expectGolden(y, 'linear.no_bias.y.f64', tolerance);
  },

  'matmul: every m and n from 1 to 9, and inner sizes from 0'(kernels, { floats, tolerance }) {
    for (let m = 1; m <= 9; m++) {
      for (let n = 1; n <= 9; n++) {
        for (const k of [0, 1, 6, 17]) {
          const [a, b, y] = [random(m * k, floats, 'a'), random(k * n, floats, 'b'), floats(m * n).fill(7)];
          kernels.matmul(y, a, b, m, k, n);
          expectArray(
            y,
            grid(m, n, (i, j) => sumOver(k, (p) => a[i * k + p] * b[p * n + j])),
            tolerance,
          );
        }
      }
    }
  },

  'matmul: equals PyTorch'(kernels, { floats, tolerance }) {
    const y = floats(7 * 11);
    kernels.matmul(y, golden('matmul.a', floats), golden('matmul.b', floats), 7, 19, 11);
    expectGolden(y, 'matmul.y.f64', tolerance);
  },

  'attention: every length and head size from 1 to 9, against the formula'(kernels, { floats, tolerance }) {
    for (let headSize = 1; headSize <= 9; headSize++) {
      const [heads, lengths] = [3, [headSize, 0, 1, 10 - headSize, 17]];
      const { q, k, v, offsets, width } = attentionInputs(lengths, heads, headSize, floats);
      const [y, probabilities] = [floats(q.length), floats(heads * sumOver(5, (s) => lengths[s] ** 2))];
      kernels.attention(y, probabilities, q, k, v, offsets, heads, headSize, 0.7);
      const expected = naiveAttention(q, k, v, offsets, heads, headSize, width, 0.7);
      expectArray(y, expected.context, tolerance);
      expectArray(probabilities, expected.probabilities, tolerance);
      kernels.attention(y.fill(NaN), null, q, k, v, offsets, heads, headSize, 0.7);
      expectArray(y, expected.context, tolerance);
    }
  },

  'attention: queries alone give the bits that they give among all, context and probabilities'(kernels, { floats }) {
    const [heads, headSize, lengths] = [3, 5, [4, 0, 9, 1, 17]];
    const { q, k, v, offsets, width } = attentionInputs(lengths, heads, headSize, floats);
    const squares = sumOver(5, (s) => lengths[s] ** 2);
    const bias = floats(heads * squares).fill(0.3);
    bias.forEach((_, i) => (bias[i] = Math.sin(i)));
    const [y, probabilities] = [floats(q.length), floats(heads * squares)];
    kernels.attention(y, probabilities, q, k, v, offsets, heads, headSize, 0.4, bias);
    const queries = [[1, 3], [], [], [0], [0, 1, 5, 6, 7, 16]]; // of each sequence
    const queryOffsets = Int32Array.of(0, 2, 2, 2, 3, 9);
    const rows = queries.flatMap((own, s) => own.map((i) => offsets[s] + i));
    const begins = lengths.map((_, s) => sumOver(s, (before) => lengths[before] ** 2));
    const pairs = [0, 1, 2].flatMap((head) =>
      queries.flatMap((own, s) =>
        own.flatMap((i) =>
          Array.from({ length: lengths[s] }, (_, j) => head * squares + begins[s] + i * lengths[s] + j),
        ),
      ),
    );
    const rowsOf = (x: FloatArray) => rows.flatMap((row) => [...x.slice(row * width, (row + 1) * width)]);
    const ownBias = into(
      floats,
      pairs.map((at) => bias[at]),
    );
    const ownQ = into(floats, rowsOf(q));
    const [ownY, ownProbabilities] = [floats(ownQ.length), floats(pairs.length)];
    kernels.attention(ownY, ownProbabilities, ownQ, k, v, offsets, heads, headSize, 0.4, ownBias, null, queryOffsets);
    expect([...ownY]).toEqual(rowsOf(y));
    expect([...ownProbabilities]).toEqual(pairs.map((at) => probabilities[at]));
  },

  'attention: scores of thousands neither overflow nor vanish'(kernels, { floats }) {
    const q = into(floats, [300, -300, 0, 0]); // scores of the first query: 90000, -90000
    const k = into(floats, [300, 0, -300, 0]);
    const v = into(floats, [1, 2, 3, 4]);
    const y = floats(4);
    kernels.attention(y, null, q, k, v, Int32Array.of(0, 2), 1, 2, 1);
    expect([...y]).toEqual([1, 2, 2, 3]);
  },

  'attention: a sequence alone gives the bits that it gives in a batch'(kernels, { floats }) {
    const { q, k, v, offsets, width } = attentionInputs([3, 0, 8, 1, 13], 2, 5, floats);
    const together = floats(q.length);
    kernels.attention(together, null, q, k, v, offsets, 2, 5, 0.4);
    for (let s = 0; s < 5; s++) {
      const [begin, end] = [offsets[s] * width, offsets[s + 1] * width];
      const [ownQ, ownK, ownV] = [q, k, v].map((x) => into(floats, x.slice(begin, end)));
      const alone = floats(end - begin);
      kernels.attention(alone, null, ownQ, ownK, ownV, Int32Array.of(0, offsets[s + 1] - offsets[s]), 2, 5, 0.4);
      expect([...alone]).toEqual([...together.slice(begin, end)]);
    }
  },

  'attention: equals PyTorch, context and probabilities'(kernels, { floats, tolerance }) {
    const [q, k, v] = ['q', 'k', 'v'].map((name) => golden(`attention.${name}`, floats));
    const offsets = torchIntegers('attention.offsets');
    const lengths = [1, 4, 13, 2, 7];
    const squares = sumOver(5, (s) => lengths[s] ** 2);
    const [y, probabilities] = [floats(q.length), floats(3 * squares)];
    kernels.attention(y, probabilities, q, k, v, offsets, 3, 5, 1 / Math.sqrt(5));
    expectGolden(y, 'attention.y.f64', tolerance);
    let square = 0;
    lengths.forEach((length, s) => {
      const ofSequence = [0, 1, 2].flatMap((head) => {
        const begin = head * squares + square;
        return [...probabilities.slice(begin, begin + length ** 2)];
      });
      expectGolden(ofSequence, `attention.${s}.probabilities.f64`, tolerance);
      square += length ** 2;
    });
  },

  ...positionChecks,

  'layerNorm: every size from 1 to 9 and beyond, with and without residual'(kernels, { floats, tolerance }) {
    for (const size of [1, 2, 3, 4, 5, 6, 7, 8, 9, 24, 33]) {
      const rows = 4;
      const [x, residual] = [random(rows * size, floats, 'x'), random(rows * size, floats, 'r')];
      const [weight, bias] = [random(size, floats, 'w'), random(size, floats, 'b')];
      for (const [added, shift] of [
        [null, bias],
        [residual, bias],
        [residual, null],
      ]) {
        const y = floats(rows * size);
        kernels.layerNorm(y, x, added, weight, shift, 0.01, rows, size);
        const expected = Array.from({ length: rows }, (_, r) => {
          const row = Array.from({ length: size }, (_, i) => x[r * size + i] + (added ? added[r * size + i] : 0));
          return naiveLayerNorm(row, weight, shift ?? floats(size), 0.01);
        });
        expectArray(y, expected.flat(), tolerance);
      }
    }
  },

  'layerNorm: equals PyTorch at both eps, also on rows of tiny variance and of large offset'(kernels, setup) {
    const { floats, tolerance } = setup;
    const [x, weight, bias] = ['x', 'weight', 'bias'].map((name) => golden(`layer_norm.${name}`, floats));
    for (const [name, eps] of [
      ['eps1e-12', 1e-12],
      ['eps1e-5', 1e-5],
    ] as const) {
      const y = floats(x.length);
      kernels.layerNorm(y, x, null, weight, bias, eps, 6, 24);
      // Row 2 is 100 plus noise: the last digits of its mean cost two more of its differences, in float64 too.
      expectGolden(y, `layer_norm.${name}.y.f64`, Math.max(tolerance, 1e-13));
    }
  },

  'activation: every one equals PyTorch, element by element'(kernels, { floats, elementTolerance }) {
    const x = golden('act.x', floats);
    const y = floats(x.length);
    for (const name of activationNames) {
      kernels.activation(y, x, name);
      const { data } = torchTensor(`act.${name}.y.f64`);
      y.forEach((value, i) => {
        const of = name === 'laplace' ? 1 : Math.max(Math.abs(x[i]), Math.abs(data[i])); // 1 + erf(...) cancels there
        const within = Math.abs(value - data[i]) <= elementTolerance * of;
        if (!within) expect.fail(`${name}(${x[i]}): got ${value}, PyTorch ${data[i]}`);
      });
    }
  },

  'activation: NaN stays NaN'(kernels, { floats }) {
    const y = floats(1);
    for (const name of activationNames) {
      kernels.activation(y, into(floats, [NaN]), name);
      if (!Number.isNaN(y[0])) expect.fail(`${name}(NaN) is ${y[0]}`);
    }
  },

  'binary: each operation, b of the same size, a row, and one number'(kernels, { floats, tolerance }) {
    const a = random(15, floats, 'a');
    const operations = {
      add: (p: number, q: number) => p + q,
      subtract: (p: number, q: number) => p - q,
      multiply: (p: number, q: number) => p * q,
      divide: (p: number, q: number) => p / q,
    };
    for (const [name, f] of Object.entries(operations) as [keyof typeof operations, typeof operations.add][]) {
      for (const size of [15, 5, 1]) {
        const b = random(size, floats, 'b');
        const y = floats(15);
        kernels.binary(y, a, b, name);
        expectArray(
          y,
          [...a].map((value, i) => f(value, b[i % size])),
          tolerance,
        );
      }
    }
  },

  'binary: more numbers than one part of the work, and rows of every length from 1 to 9'(
    kernels,
    { floats, tolerance },
  ) {
    for (const [rows, size] of [[300, 500], ...grid(9, 1, (n) => n + 1).map((n) => [7, n])]) {
      const a = random(rows * size, floats, 'a');
      for (const b of [random(rows * size, floats, 'b'), random(size, floats, 'b')]) {
        const y = floats(rows * size);
        kernels.binary(y, a, b, 'multiply');
        expectArray(
          y,
          [...a].map((value, i) => value * b[i % b.length]),
          tolerance,
        );
      }
    }
  },

  'softmax: every row length from 1 to 9'(kernels, { floats, tolerance }) {
    for (let size = 1; size <= 9; size++) {
      const x = random(3 * size, floats, 'x');
      const y = floats(3 * size);
      kernels.softmax(y, x, 3, size);
      expectArray(
        y,
        [0, 1, 2].flatMap((r) => naiveSoftmax([...x.slice(r * size, (r + 1) * size)])),
        tolerance,
      );
    }
  },

  'softmax: equals PyTorch, also on large, equal, dominated and masked rows'(kernels, { floats, tolerance }) {
    const x = golden('softmax.x', floats);
    const y = floats(x.length);
    kernels.softmax(y, x, 6, 13);
    expectGolden(y, 'softmax.y.f64', tolerance);
    kernels.softmax(floats(0), floats(0), 0, 13);
  },

  'softmax: values of thousands neither overflow nor vanish'(kernels, { floats }) {
    const y = floats(6);
    kernels.softmax(y, into(floats, [5000, 5000, -5000, -5000, -5000, -9000]), 2, 3);
    expect([...y]).toEqual([0.5, 0.5, 0, 0.5, 0.5, 0]);
  },

  'embeddingSum: one table equals PyTorch, three are added'(kernels, { floats, tolerance }) {
    const [table, ids] = [golden('embedding.weight', floats), torchIntegers('embedding.ids')];
    const y = floats(90);
    kernels.embeddingSum(y, [table], [ids], 10);
    expectGolden(y, 'embedding.y.f64', tolerance);
    const tables = [table, random(50, floats, 'p'), random(20, floats, 't')];
    const rows = [ids, Int32Array.from(ids, (_, r) => r % 5), Int32Array.from(ids, (_, r) => r % 2)];
    kernels.embeddingSum(y, tables, rows, 10);
    expectArray(
      y,
      grid(9, 10, (r, i) => sumOver(3, (t) => tables[t][rows[t][r] * 10 + i])),
      tolerance,
    );
  },

  'embeddingSum: packed tables, float and int8, among others'(kernels, setup) {
    const { floats, tolerance } = setup;
    for (const size of [1, 2, 7, 24, 33]) {
      const entries = [19, 40, 2];
      const float = random(entries[0] * size, floats, 't');
      const { matrix, values, scale } = packInt8(kernels, setup, entries[1], size);
      const plain = random(entries[2] * size, floats, 'p');
      const all: [table: FloatArray | PackedMatrix, at: (row: number, i: number) => number][] = [
        [packFloats(kernels, setup, float, entries[0], size), (row, i) => float[row * size + i]],
        [matrix, (row, i) => values[row * size + i] * scale[row]],
        [plain, (row, i) => plain[row * size + i]],
      ];
      const ids = entries.map((n, t) => Int32Array.from({ length: 9 }, (_, r) => (5 * r + n - 1 + t) % n));
      for (const order of [[0], [1], [0, 1, 2], [1, 2, 0], [2, 1], [1, 1]]) {
        const y = floats(9 * size).fill(7);
        kernels.embeddingSum(
          y,
          order.map((t) => all[t][0]),
          order.map((t) => ids[t]),
          size,
        );
        expectArray(
          y,
          grid(9, size, (r, i) => sumOver(order.length, (n) => all[order[n]][1](ids[order[n]][r], i))),
          order.length === 1 ? Math.min(tolerance, 6e-8) : tolerance, // one table alone is rounded once at most
        );
      }
    }
  },

  'sumRows and normalizeRows: every row length from 1 to 9, a zero row and a tiny one'(kernels, setup) {
    const { floats, tolerance } = setup;
    for (let size = 1; size <= 9; size++) {
      const x = random(4 * size, floats, 'x')
        .fill(0, size, 2 * size)
        .fill(1e-14, 2 * size, 3 * size);
      const sums = floats(4);
      kernels.sumRows(sums, x, 4, size);
      expectArray(
        sums,
        grid(4, 1, (r) => sumOver(size, (i) => x[r * size + i])),
        tolerance,
      );
      const y = floats(4 * size);
      kernels.normalizeRows(y, x, 4, size);
      const lengths = grid(4, 1, (r) => Math.max(Math.hypot(...x.slice(r * size, (r + 1) * size)), 1e-12));
      expectArray(
        y,
        [...x].map((value, i) => value / lengths[Math.floor(i / size)]),
        tolerance,
      );
    }
  },

  'poolSequences: equals PyTorch'(kernels, { floats, tolerance }) {
    const [x, offsets] = [golden('pooling.x', floats), torchIntegers('pooling.offsets')];
    const y = floats(50);
    for (const [how, name] of [
      ['mean', 'mean'],
      ['max', 'max'],
      ['first', 'cls'],
    ] as const) {
      kernels.poolSequences(y, x, offsets, 10, how);
      expectGolden(y, `pooling.${name}.y.f64`, tolerance);
    }
    kernels.poolSequences(y, x, offsets, 10, 'mean');
    const normalized = floats(50);
    kernels.normalizeRows(normalized, y, 5, 10);
    expectGolden(normalized, 'pooling.normalized_mean.y.f64', 2 * tolerance); // rounded twice
  },

  'poolSequences: what each way means, zeros for an empty sequence'(kernels, { floats, tolerance }) {
    const x = into(floats, [1, -10, 4, -40, 16, -20]);
    const offsets = Int32Array.of(0, 3, 3);
    const expected = {
      mean: [7, -70 / 3],
      max: [16, -10],
      first: [1, -10],
      last: [16, -20],
      meanSqrtLength: [21 / Math.sqrt(3), -70 / Math.sqrt(3)],
      weightedMean: [(1 + 2 * 4 + 3 * 16) / 6, (-10 - 2 * 40 - 3 * 20) / 6],
    };
    for (const [how, pooled] of Object.entries(expected) as [keyof typeof expected, number[]][]) {
      const y = floats(4).fill(7);
      kernels.poolSequences(y, x, offsets, 2, how);
      expectArray(y, [...pooled, 0, 0], tolerance);
    }
  },

  'poolSequences: rows of every length from 1 to 21, and more of them than one part of a sum'(kernels, setup) {
    const { floats, tolerance } = setup;
    const offsets = Int32Array.of(0, 1, 5, 45);
    for (let size = 1; size <= 21; size++) {
      const x = random(45 * size, floats, 'x');
      const y = floats(3 * size);
      const column = (s: number, i: number) =>
        Array.from({ length: offsets[s + 1] - offsets[s] }, (_, r) => x[(offsets[s] + r) * size + i]);
      for (const [how, pool] of [
        ['mean', (c) => c.reduce((sum, v) => sum + v, 0) / c.length],
        ['weightedMean', (c) => c.reduce((sum, v, r) => sum + (r + 1) * v, 0) / ((c.length * (c.length + 1)) / 2)],
        ['max', (c) => Math.max(...c)],
      ] as [Pooling, (column: number[]) => number][]) {
        kernels.poolSequences(y, x, offsets, size, how);
        expectArray(
          y,
          grid(3, size, (s, i) => pool(column(s, i))),
          tolerance,
        );
      }
    }
  },

  'poolSequences: a maximum of NaN is NaN'(kernels, { floats }) {
    const y = floats(5);
    kernels.poolSequences(y, into(floats, [1, 2, 3, 4, 5, NaN, 1, 1, 1, NaN]), Int32Array.of(0, 2), 5, 'max');
    expect([...y]).toEqual([NaN, 2, 3, 4, NaN]);
  },

  'poolSequences: the first and the last row are as they are, whatever the others hold'(kernels, { floats }) {
    const x = into(floats, [3, Infinity, NaN, 5]);
    const y = floats(1);
    kernels.poolSequences(y, x, Int32Array.of(0, 4), 1, 'first');
    expect(y[0]).toBe(3);
    kernels.poolSequences(y, x, Int32Array.of(0, 4), 1, 'last');
    expect(y[0]).toBe(5);
  },
};

/** The suite that every kernel set passes. */
export function describeKernels(name: string, kernels: Kernels, setup: Setup): void {
  describe(`kernels: ${name}`, () => {
    it.each(Object.entries(checks))('%s', (_, check) => setup.around(() => check(kernels, setup)));
  });
}

const activationNames = [...torch.keys()]
  .filter((name) => /^act\..*\.f64$/.test(name))
  .map((name) => name.split('.')[1] as ActivationName);

/** Rows, inner size and outputs of products: tails of every tile and panel, odd sizes, more than one chunk of a sum. */
const sizes = [
  [1, 1, 1],
  [2, 3, 7],
  [3, 8, 8],
  [4, 9, 9],
  [5, 16, 15],
  [6, 31, 16],
  [7, 24, 17],
  [13, 129, 33],
  [9, 300, 20],
];

// Inputs ------------------------------------------------------------------------------------------------------------

export function random(length: number, floats: Setup['floats'], name: string): FloatArray {
  const values = floats(length);
  fillNormal(values, 1, randomStream(length, name));
  return values;
}

export function into(floats: Setup['floats'], values: ArrayLike<number>): FloatArray {
  const array = floats(values.length);
  array.set(values);
  return array;
}

/** Whole numbers from -largest to largest. */
function wholeNumbers(length: number, largest: number, name: string): number[] {
  const stream = randomStream(length, name);
  return Array.from({ length }, (_, n) => Math.floor((2 * largest + 1) * randomUniform(stream, n)) - largest);
}

/** A weight in the kernels' own order, packed so many rows at a time. */
function packFloats(
  kernels: Kernels,
  { floats }: Setup,
  rows: FloatArray,
  outFeatures: number,
  inFeatures: number,
  piece = outFeatures,
): PackedMatrix {
  const data = floats(kernels.packedLength(outFeatures, inFeatures, 'f32'));
  const matrix: PackedMatrix = { outFeatures, inFeatures, dtype: 'f32', data, scale: null };
  for (let row = 0; row < outFeatures; row += piece) {
    kernels.packRows(matrix, row, rows.slice(row * inFeatures, (row + piece) * inFeatures));
  }
  return matrix;
}

/** An int8 weight of random numbers; `factor`, if given, is the scale of every row. */
function packInt8(
  kernels: Kernels,
  { floats, bytes }: Setup,
  outFeatures: number,
  inFeatures: number,
  piece = outFeatures,
  factor?: number,
): { matrix: PackedMatrix; values: Int8Array; scale: FloatArray } {
  const values = Int8Array.from(wholeNumbers(outFeatures * inFeatures, 127, 'w8'));
  const scale = random(outFeatures, floats, 's').map((x) => factor ?? Math.abs(x) / 64);
  const data = bytes(kernels.packedLength(outFeatures, inFeatures, 'q8'));
  const matrix: PackedMatrix = { outFeatures, inFeatures, dtype: 'q8', data, scale: into(floats, scale) };
  for (let row = 0; row < outFeatures; row += piece) {
    kernels.packRows(matrix, row, values.slice(row * inFeatures, (row + piece) * inFeatures));
  }
  return { matrix, values, scale };
}

const golden = (name: string, floats: Setup['floats']) => into(floats, torchTensor(name).data);

export function attentionInputs(lengths: number[], heads: number, headSize: number, floats: Setup['floats']) {
  const width = heads * headSize;
  const offsets = Int32Array.from([0, ...lengths], (_, s) => sumOver(s, (i) => lengths[i]));
  const [q, k, v] = ['q', 'k', 'v'].map((name) => random(offsets[lengths.length] * width, floats, name));
  return { q, k, v, offsets, width };
}

// Formulas, in float64, as a textbook has them -------------------------------------------------------------------------

export function sumOver(n: number, term: (i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += term(i);
  return sum;
}

export function grid(rows: number, columns: number, value: (row: number, column: number) => number): number[] {
  return Array.from({ length: rows * columns }, (_, i) => value(Math.floor(i / columns), i % columns));
}

export function naiveSoftmax(row: number[]): number[] {
  const exponentials = row.map((x) => Math.exp(x - Math.max(...row)));
  return exponentials.map((e) => e / sumOver(row.length, (i) => exponentials[i]));
}

function naiveLayerNorm(row: number[], weight: FloatArray, bias: FloatArray, eps: number): number[] {
  const mean = sumOver(row.length, (i) => row[i]) / row.length;
  const variance = sumOver(row.length, (i) => (row[i] - mean) ** 2) / row.length;
  return row.map((x, i) => ((x - mean) / Math.sqrt(variance + eps)) * weight[i] + bias[i]);
}

/** One row of `linear` on int8, by the interface's definition. */
function naiveInt8(row: number[], values: Int8Array, scale: FloatArray, bias: FloatArray | null): number[] {
  const largest = Math.max(...row.map(Math.abs));
  const factor = largest < 2 ** -116 ? 0 : Math.fround(2047 / largest);
  const rounded = row.map((x) => {
    const [below, exact] = [Math.floor(Math.fround(x * factor)), Math.fround(x * factor)];
    return exact - below === 0.5 ? 2 * Math.round(exact / 2) : Math.round(exact);
  });
  return Array.from(scale, (factor, o) => {
    const sum = sumOver(row.length, (i) => rounded[i] * values[o * row.length + i]);
    return sum * (largest / 2047) * factor + (bias ? bias[o] : 0);
  });
}

export function naiveAttention(
  q: FloatArray,
  k: FloatArray,
  v: FloatArray,
  offsets: Int32Array,
  heads: number,
  headSize: number,
  width: number,
  scale: number,
  sees: (query: number, key: number) => boolean = () => true,
  bias: FloatArray | null = null,
) {
  const context: number[] = Array.from({ length: q.length }, () => 0);
  const probabilities: number[] = [];
  for (let head = 0; head < heads; head++) {
    const at = (token: number, d: number) => token * width + head * headSize + d;
    for (let s = 0; s + 1 < offsets.length; s++) {
      const tokens = Array.from({ length: offsets[s + 1] - offsets[s] }, (_, i) => offsets[s] + i);
      for (const query of tokens) {
        const dot = (key: number) => sumOver(headSize, (d) => q[at(query, d)] * k[at(key, d)]);
        const score = (key: number, j: number) => dot(key) * scale + (bias ? bias[probabilities.length + j] : 0);
        const row = naiveSoftmax(tokens.map((key, j) => (sees(query, key) ? score(key, j) : -Infinity)));
        probabilities.push(...row);
        for (let d = 0; d < headSize; d++) {
          context[at(query, d)] = sumOver(tokens.length, (j) => row[j] * v[at(tokens[j], d)]);
        }
      }
    }
  }
  return { context, probabilities };
}

// Expectations --------------------------------------------------------------------------------------------------------

export function expectArray(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect({ data: actual, shape: [actual.length] }).toMatchTensor(
    { data: expected, shape: [expected.length] },
    { tolerance },
  );
}

function expectGolden(actual: ArrayLike<number>, name: string, tolerance: number): void {
  expectArray(actual, torchTensor(name).data, tolerance);
}

function expectLinear(
  kernels: Kernels,
  { floats, tolerance }: Setup,
  rows: number,
  inner: number,
  outputs: number,
): void {
  const [x, weight] = [random(rows * inner, floats, 'x'), random(outputs * inner, floats, 'w')];
  for (const bias of [null, random(outputs, floats, 'b')]) {
    const y = floats(rows * outputs).fill(7);
    kernels.linear(y, x, weight, bias, 'linear', rows, inner, outputs);
    const dot = (r: number, o: number) => sumOver(inner, (i) => x[r * inner + i] * weight[o * inner + i]);
    expectArray(
      y,
      grid(rows, outputs, (r, o) => dot(r, o) + (bias ? bias[o] : 0)),
      tolerance,
    );
  }
}

import { describe, expect, it } from 'vitest';
import {
  referenceKernels,
  referencePositions,
  type FloatArray,
  type Kernels,
  type PackedMatrix,
  type PositionKernels,
} from '../../src/tensor/index.ts';
import { checks, describeKernels, heapSetup } from '../conformance.ts';

// Sums and functions are float64 and rounded once: half a unit in the last place of a float32 is 2⁻²⁴ = 6.0e-8.
const float32 = heapSetup((n) => new Float32Array(n), 6e-8, 6e-8);
// float64 differs from PyTorch's in the order of sums, and in the last places of exp, tanh and erf.
const float64 = heapSetup((n) => new Float64Array(n), 2e-15, 2e-15);

describeKernels('reference, float32', referenceKernels, float32);
describeKernels('reference, float64', referenceKernels, float64);

/** A weight that is not packed. */
function rowsOf(weight: FloatArray | PackedMatrix): FloatArray {
  if ('dtype' in weight) throw new Error('a packed weight was not expected');
  return weight;
}

/** `linear` on int8 weights with rows of x changed beforehand, as by other rounding. */
function onRows(change: (row: number[]) => number[]): Partial<Kernels> {
  return {
    linear: (y, x, w, b, f, rows, inputs, outputs) => {
      const changed = Array.from({ length: rows }, (_, r) => change([...x.slice(r * inputs, (r + 1) * inputs)]));
      const given = 'dtype' in w && w.dtype === 'q8' ? Float32Array.from(changed.flat()) : x;
      referenceKernels.linear(y, given, w, b, f, rows, inputs, outputs);
    },
  };
}

/** The row rounded to so many levels of its largest, by `round`. */
const roundedTo = (levels: number, round: (x: number) => number) => (row: number[]) => {
  const largest = Math.max(...row.map(Math.abs));
  return largest > 0 ? row.map((x) => (round((x * levels) / largest) * largest) / levels) : row;
};

describe('the suite notices', () => {
  const reference = { ...referenceKernels, ...referencePositions };
  const mistakes: [mistake: string, check: string, kernels: Partial<Kernels & PositionKernels>][] = [
    [
      'tanh GELU in place of erf',
      'activation: every one equals PyTorch',
      { activation: (y, x, name) => reference.activation(y, x, name === 'gelu' ? 'gelu_new' : name) },
    ],
    [
      'eps 1e-5 in place of 1e-12',
      'layerNorm: equals PyTorch',
      { layerNorm: (y, x, z, w, b, _eps, rows, size) => reference.layerNorm(y, x, z, w, b, 1e-5, rows, size) },
    ],
    [
      'a residual left out',
      'layerNorm: every size',
      { layerNorm: (y, x, _z, w, b, eps, rows, size) => reference.layerNorm(y, x, null, w, b, eps, rows, size) },
    ],
    [
      'a transposed weight',
      'linear: every number of rows',
      {
        linear: (y, x, w, b, f, rows, inputs, outputs) => {
          const weight = rowsOf(w);
          const transposed = weight.map((_, i) => weight[(i % inputs) * outputs + Math.floor(i / inputs)]);
          reference.linear(y, x, transposed, b, f, rows, inputs, outputs);
        },
      },
    ],
    [
      'a bias left out',
      'linear: every number of rows',
      { linear: (y, x, w, _b, f, rows, inputs, outputs) => reference.linear(y, x, w, null, f, rows, inputs, outputs) },
    ],
    [
      'the last column of a tail left out',
      'linear: inner sizes',
      {
        linear: (y, x, w, b, f, rows, inputs, outputs) => {
          const cut = inputs % 4 === 3 ? rowsOf(w).map((value, i) => (i % inputs === inputs - 1 ? 0 : value)) : w;
          reference.linear(y, x, cut, b, f, rows, inputs, outputs);
        },
      },
    ],
    [
      'float32 sums where float64 is meant',
      'linear: inner sizes',
      {
        linear: (y, x, w, b, _f, rows, inputs, outputs) => {
          const weight = rowsOf(w);
          for (let r = 0; r < rows; r++) {
            for (let o = 0; o < outputs; o++) {
              let sum = b ? b[o] : 0;
              for (let i = 0; i < inputs; i++) sum = Math.fround(sum + x[r * inputs + i] * weight[o * inputs + i]);
              y[r * outputs + o] = sum;
            }
          }
        },
      },
    ],
    [
      'int8: activations of 8 bits in place of 12',
      'linear on int8: equals its definition',
      onRows(roundedTo(127, Math.round)),
    ],
    ['int8: halves rounded up', 'linear on int8: rows are rounded', onRows(roundedTo(2047, Math.round))],
    [
      'int8: sums of 24 bits',
      'linear on int8: the sum is of whole numbers',
      {
        linear: (y, x, w, b, f, rows, inputs, outputs) => {
          reference.linear(y, x, w, b, f, rows, inputs, outputs);
          for (let i = 0; i < y.length; i++) y[i] = Math.max(Math.min(y[i], 2 ** 23), -(2 ** 23));
        },
      },
    ],
    [
      "int8: the next row's scale",
      'linear on int8: equals its definition',
      {
        linear: (y, x, w, b, f, rows, inputs, outputs) => {
          const { scale, ...rest } = w as PackedMatrix;
          const shifted = scale!.map((_, o) => scale![(o + 1) % outputs]);
          reference.linear(y, x, { ...rest, scale: shifted }, b, f, rows, inputs, outputs);
        },
      },
    ],
    [
      'int8: the scale left out of an embedding',
      'embeddingSum: packed tables',
      {
        embeddingSum: (y, tables, ids, size) => {
          const bare = tables.map((table) => ('dtype' in table ? { ...table, scale: null } : table));
          reference.embeddingSum(y, bare, ids, size);
        },
      },
    ],
    [
      'NaN swallowed by the largest of a row',
      'linear: NaN in a row',
      onRows((row) => row.map((x) => (Number.isNaN(x) ? 0 : x))),
    ],
    [
      'infinity taken along to the next row',
      'linear on int8: a row with NaN',
      {
        linear: (y, x, w, b, f, rows, inputs, outputs) => {
          const spoilt = x.map((value, n) => (n < inputs || Number.isFinite(x[n - inputs]) ? value : NaN));
          reference.linear(y, spoilt, w, b, f, rows, inputs, outputs);
        },
      },
    ],
    [
      'pieces packed at the start',
      'packRows, unpackRows',
      { packRows: (matrix, _first, rows) => reference.packRows(matrix, 0, rows) },
    ],
    [
      'ids ignored when rows are given back',
      'packRows, unpackRows',
      {
        unpackRows: (y, matrix, ids) =>
          reference.unpackRows(
            y,
            matrix,
            ids.map((_, r) => r % matrix.outFeatures),
          ),
      },
    ],
    [
      'Q and K swapped',
      'attention: equals PyTorch',
      { attention: (y, p, q, k, ...rest) => reference.attention(y, p, k, q, ...rest) },
    ],
    [
      'a wrong head count',
      'attention: equals PyTorch',
      {
        attention: (y, p, q, k, v, offsets, heads, headSize, scale) =>
          reference.attention(y, p, q, k, v, offsets, 1, heads * headSize, scale),
      },
    ],
    [
      'scores not scaled',
      'attention: every length',
      {
        attention: (y, p, q, k, v, offsets, heads, size) => reference.attention(y, p, q, k, v, offsets, heads, size, 1),
      },
    ],
    [
      'sequences that see each other',
      'attention: a sequence alone',
      {
        attention: (y, p, q, k, v, offsets, ...rest) =>
          reference.attention(y, p, q, k, v, Int32Array.of(0, offsets[offsets.length - 1]), ...rest),
      },
    ],
    [
      'a bias left out',
      'attention: a bias, spans, and both',
      {
        attention: (y, p, q, k, v, offsets, heads, size, scale, _bias, spans) =>
          reference.attention(y, p, q, k, v, offsets, heads, size, scale, null, spans),
      },
    ],
    [
      'a window ignored',
      'attention: a window on a sequence of several chunks',
      {
        attention: (y, p, q, k, v, offsets, heads, size, scale, bias) =>
          reference.attention(y, p, q, k, v, offsets, heads, size, scale, bias, null),
      },
    ],
    [
      'distances by the order of tokens in place of their columns',
      'relativeBias: the number of each pair',
      {
        relativeBias: (y, table, buckets, columns, ...rest) =>
          reference.relativeBias(
            y,
            table,
            buckets,
            columns.map((_, i) => i),
            ...rest,
          ),
      },
    ],
    [
      'content to position without position to content',
      'disentangledBias: both terms',
      {
        disentangledBias: (y, q, k, keys, _queries, ...rest) =>
          reference.disentangledBias(y, q, k, keys, null, ...rest),
      },
    ],
    [
      'a rotation the other way round',
      'rotary: halves and neighbours',
      {
        rotary: (y, x, cosines, sines, shape) =>
          reference.rotary(
            y,
            x,
            cosines,
            sines.map((sine) => -sine),
            shape,
          ),
      },
    ],
    [
      'the gate activated, not what goes through it',
      'gate: the first half',
      {
        gate: (y, x, name, rows, size) => {
          const swapped = x.map((_, i) => x[i % (2 * size) < size ? i + size : i - size]);
          reference.gate(y, swapped, name, rows, size);
        },
      },
    ],
    [
      'softmax that overflows',
      'softmax: values of thousands',
      {
        softmax: (y, x, rows, size) => {
          for (let r = 0; r < rows; r++) {
            const row = x.subarray(r * size, (r + 1) * size);
            const sum = [...row].reduce((total, value) => total + Math.exp(value), 0);
            row.forEach((value, i) => (y[r * size + i] = Math.exp(value) / sum));
          }
        },
      },
    ],
    [
      'mean pooling over the whole batch',
      'poolSequences: equals PyTorch',
      {
        poolSequences: (y, x, offsets, size, how) =>
          reference.poolSequences(
            y,
            x,
            Int32Array.from(offsets, (o, s) => (s === 0 ? o : x.length / size)),
            size,
            how,
          ),
      },
    ],
  ];

  it.each(mistakes)('%s', (_, check, kernels) => {
    const found = Object.keys(checks).find((name) => name.startsWith(check));
    expect(found).toBeDefined();
    expect(() => checks[found!]({ ...reference, ...kernels }, float32)).toThrow();
  });
});

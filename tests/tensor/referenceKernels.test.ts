import { describe, expect, it } from 'vitest';
import { referenceKernels, type Kernels } from '../../src/tensor/index.ts';
import { checks, describeKernels, type Setup } from '../conformance.ts';

// Sums and functions are float64 and rounded once: half a unit in the last place of a float32 is 2⁻²⁴ = 6.0e-8.
const float32: Setup = { floats: (n) => new Float32Array(n), tolerance: 6e-8, elementTolerance: 6e-8 };
// float64 differs from PyTorch's in the order of sums, and in the last places of exp, tanh and erf.
const float64: Setup = { floats: (n) => new Float64Array(n), tolerance: 2e-15, elementTolerance: 2e-15 };

describeKernels('reference, float32', referenceKernels, float32);
describeKernels('reference, float64', referenceKernels, float64);

describe('the suite notices', () => {
  const reference = referenceKernels;
  const mistakes: [mistake: string, check: string, kernels: Partial<Kernels>][] = [
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
          const transposed = w.map((_, i) => w[(i % inputs) * outputs + Math.floor(i / inputs)]);
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
          const cut = inputs % 4 === 3 ? w.map((value, i) => (i % inputs === inputs - 1 ? 0 : value)) : w;
          reference.linear(y, x, cut, b, f, rows, inputs, outputs);
        },
      },
    ],
    [
      'float32 sums where float64 is meant',
      'linear: inner sizes',
      {
        linear: (y, x, w, b, _f, rows, inputs, outputs) => {
          for (let r = 0; r < rows; r++) {
            for (let o = 0; o < outputs; o++) {
              let sum = b ? b[o] : 0;
              for (let i = 0; i < inputs; i++) sum = Math.fround(sum + x[r * inputs + i] * w[o * inputs + i]);
              y[r * outputs + o] = sum;
            }
          }
        },
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

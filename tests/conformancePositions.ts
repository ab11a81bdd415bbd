import { expect } from 'vitest';
import { positionKernels, type Kernels } from '../src/tensor/index.ts';
import {
  attentionInputs,
  expectArray,
  grid,
  into,
  naiveAttention,
  random,
  sumOver,
  type Setup,
} from './conformance.ts';

type Check = (kernels: Kernels, setup: Setup) => void;

/** The part of the suite about what tells tokens by their places: biases, windows, rotations; and gates. */
export const positionChecks: Record<string, Check> = {
  'attention: a bias, spans, and both, on lengths from 1 to 40, against the formula'(kernels, { floats, tolerance }) {
    for (const [headSize, reach] of [
      [1, 0],
      [4, 3],
      [5, 11],
      [8, 100],
    ]) {
      const heads = 3;
      const lengths = [headSize, 0, 1, 40, 23];
      const { q, k, v, offsets, width } = attentionInputs(lengths, heads, headSize, floats);
      const squares = sumOver(5, (s) => lengths[s] ** 2);
      const columns = columnsWithHoles(lengths);
      const near = (i: number, j: number) => Math.abs(columns[i] - columns[j]) <= reach;
      for (const bias of [null, random(heads * squares, floats, 'bias')]) {
        for (const spans of [null, spansOf(columns, offsets, reach)]) {
          const [y, probabilities] = [floats(q.length).fill(7), floats(heads * squares).fill(7)];
          kernels.attention(y, probabilities, q, k, v, offsets, heads, headSize, 0.7, bias, spans);
          const expected = naiveAttention(
            q,
            k,
            v,
            offsets,
            heads,
            headSize,
            width,
            0.7,
            spans ? near : undefined,
            bias,
          );
          expectArray(y, expected.context, tolerance);
          expectArray(probabilities, expected.probabilities, tolerance);
          if (spans) expected.probabilities.forEach((p, i) => p === 0 && expect(probabilities[i]).toBe(0));
          kernels.attention(y.fill(NaN), null, q, k, v, offsets, heads, headSize, 0.7, bias, spans);
          expectArray(y, expected.context, tolerance);
        }
      }
    }
  },

  'attention: a window on a sequence of several chunks of a sum'(kernels, { floats, tolerance }) {
    const [length, reach] = [450, 80];
    const { q, k, v, offsets, width } = attentionInputs([length], 1, 6, floats);
    const columns = columnsWithHoles([length]);
    const y = floats(q.length);
    kernels.attention(y, null, q, k, v, offsets, 1, 6, 0.4, null, spansOf(columns, offsets, reach));
    const near = (i: number, j: number) => Math.abs(columns[i] - columns[j]) <= reach;
    expectArray(y, naiveAttention(q, k, v, offsets, 1, 6, width, 0.4, near).context, tolerance);
  },

  'attention: with a bias and spans a sequence alone gives the bits that it gives in a batch'(kernels, { floats }) {
    const [lengths, heads] = [[3, 0, 20, 1, 33], 2];
    const { q, k, v, offsets, width } = attentionInputs(lengths, heads, 5, floats);
    const squares = sumOver(5, (s) => lengths[s] ** 2);
    const bias = random(heads * squares, floats, 'bias');
    const columns = columnsWithHoles(lengths);
    const spans = spansOf(columns, offsets, 9);
    const together = floats(q.length);
    kernels.attention(together, null, q, k, v, offsets, heads, 5, 0.4, bias, spans);
    let square = 0;
    lengths.forEach((length, s) => {
      const [begin, end] = [offsets[s] * width, offsets[s + 1] * width];
      const [ownQ, ownK, ownV] = [q, k, v].map((x) => into(floats, x.slice(begin, end)));
      const ownBias = [0, 1].flatMap((h) => [...bias.slice(h * squares + square, h * squares + square + length ** 2)]);
      const ownSpans = spans.slice(2 * offsets[s], 2 * offsets[s + 1]);
      const [alone, ends] = [floats(end - begin), Int32Array.of(0, length)];
      kernels.attention(alone, null, ownQ, ownK, ownV, ends, heads, 5, 0.4, into(floats, ownBias), ownSpans);
      expect([...alone]).toEqual([...together.slice(begin, end)]);
      square += length ** 2;
    });
  },

  'relativeBias: the number of each pair, by the columns that they come from'(kernels, { floats }) {
    const [lengths, heads, rows] = [[3, 0, 8, 1, 13], 3, 7];
    const { offsets } = attentionInputs(lengths, 1, 1, floats);
    const columns = columnsWithHoles(lengths);
    const buckets = bucketsOf(columns, rows);
    const table = random(rows * heads, floats, 'table');
    const expected = forPairs(offsets, heads, (h, i, j) => table[bucketAt(buckets, columns, i, j) * heads + h]);
    const y = floats(expected.length).fill(7);
    positionKernels({ kernels }).relativeBias(y, table, buckets, columns, offsets, heads);
    expect([...y]).toEqual(expected);
  },

  'disentangledBias: both terms, and either, on every head size from 1 to 9'(kernels, { floats, tolerance }) {
    const [lengths, heads] = [[3, 0, 8, 1, 13], 3];
    for (let headSize = 1; headSize <= 9; headSize++) {
      const { q, k, offsets, width } = attentionInputs(lengths, heads, headSize, floats);
      const columns = columnsWithHoles(lengths);
      const rows = 3 + 2 * headSize;
      const buckets = bucketsOf(columns, rows);
      const tables = ['keys', 'queries'].map((name) => random(rows * width, floats, name));
      for (const [keys, queries] of [tables, [tables[0], null], [null, tables[1]]]) {
        const expected = forPairs(offsets, heads, (h, i, j) => {
          const at = (row: number, d: number) => row * width + h * headSize + d;
          const row = bucketAt(buckets, columns, i, j);
          return sumOver(headSize, (d) => {
            const c2p = keys ? q[at(i, d)] * keys[at(row, d)] : 0;
            return 0.6 * (c2p + (queries ? k[at(j, d)] * queries[at(row, d)] : 0));
          });
        });
        const y = floats(expected.length).fill(7);
        positionKernels({ kernels }).disentangledBias(
          y,
          q,
          k,
          keys,
          queries,
          buckets,
          columns,
          offsets,
          heads,
          headSize,
          0.6,
        );
        expectArray(y, expected, tolerance);
      }
    }
  },

  'disentangledBias: a sequence alone gives the bits that it gives in a batch'(kernels, { floats }) {
    const { q, k, offsets, width } = attentionInputs([9, 14], 1, 8, floats);
    const columns = columnsWithHoles([9, 14]);
    const buckets = bucketsOf(columns, 9);
    const [keys, queries] = ['keys', 'queries'].map((name) => random(9 * width, floats, name));
    const together = floats(81 + 196);
    positionKernels({ kernels }).disentangledBias(together, q, k, keys, queries, buckets, columns, offsets, 1, 8, 0.6);
    const [ownQ, ownK] = [q, k].map((x) => into(floats, x.slice(9 * width)));
    const alone = floats(196);
    const ends = Int32Array.of(0, 14);
    positionKernels({ kernels }).disentangledBias(
      alone,
      ownQ,
      ownK,
      keys,
      queries,
      buckets,
      columns.slice(9),
      ends,
      1,
      8,
      0.6,
    );
    expect([...alone]).toEqual([...together.slice(81)]);
  },

  'rotary: halves and neighbours, whole heads and a part, from any column on'(kernels, { floats, tolerance }) {
    for (const [headSize, pairs, begin] of [
      [2, 1, 0],
      [6, 3, 2],
      [8, 4, 0],
      [24, 8, 48],
      [11, 4, 3],
      [20, 4, 1],
    ]) {
      const [rows, heads, stride] = [5, 3, begin + 3 * headSize + 2];
      const x = random(rows * stride, floats, 'x');
      const [cosines, sines] = ['c', 's'].map((name) => random(rows * pairs, floats, name));
      for (const interleaved of [false, true]) {
        const expected = grid(rows, heads * headSize, (r, column) => {
          const [head, i] = [Math.floor(column / headSize), column % headSize];
          const at = (n: number) => x[r * stride + begin + head * headSize + n];
          if (i >= 2 * pairs) return at(i);
          const pair = interleaved ? Math.floor(i / 2) : i % pairs;
          const [a, b] = interleaved ? [2 * pair, 2 * pair + 1] : [pair, pair + pairs];
          const [c, s] = [cosines[r * pairs + pair], sines[r * pairs + pair]];
          return i === a ? at(a) * c - at(b) * s : at(b) * c + at(a) * s;
        });
        const y = floats(rows * heads * headSize).fill(7);
        positionKernels({ kernels }).rotary(y, x, cosines, sines, {
          rows,
          heads,
          headSize,
          pairs,
          interleaved,
          stride,
          begin,
        });
        expectArray(y, expected, tolerance);
      }
    }
  },

  'gate: the first half through its activation, times the second'(kernels, { floats, tolerance }) {
    for (const name of ['gelu', 'silu', 'linear', 'mish'] as const) {
      for (const size of [1, 4, 7, 24]) {
        const x = random(6 * size, floats, 'x');
        const halves = [0, 1].map((half) =>
          into(
            floats,
            grid(3, size, (r, i) => x[(2 * r + half) * size + i]),
          ),
        );
        const activated = floats(3 * size);
        kernels.activation(activated, halves[0], name);
        const y = floats(3 * size).fill(7);
        kernels.gate(y, x, name, 3, size);
        expectArray(
          y,
          [...activated].map((value, i) => value * halves[1][i]),
          2 * tolerance, // the activation is rounded once more when it is stored in between
        );
      }
    }
  },
};

/** Columns of tokens some of whose neighbours were dropped, each sequence from a column of its own. */
function columnsWithHoles(lengths: number[]): Int32Array {
  return Int32Array.from(
    lengths.flatMap((length, s) => Array.from({ length }, (_, i) => s + i + Math.floor(i / 3) + (i > 5 ? 4 : 0))),
  );
}

function spansOf(columns: Int32Array, offsets: Int32Array, reach: number): Int32Array {
  const spans: number[] = [];
  for (let s = 0; s + 1 < offsets.length; s++) {
    const own = [...columns.slice(offsets[s], offsets[s + 1])];
    for (const column of own) {
      const seen = own.map((other) => Math.abs(other - column) <= reach);
      spans.push(seen.indexOf(true), seen.lastIndexOf(true) + 1);
    }
  }
  return Int32Array.from(spans);
}

/** A row for every distance that may occur, in no order. */
function bucketsOf(columns: Int32Array, rows: number): Int32Array {
  const reach = Math.max(...columns);
  return Int32Array.from({ length: 2 * reach + 1 }, (_, i) => (5 * i + 3) % rows);
}

const bucketAt = (buckets: Int32Array, columns: Int32Array, i: number, j: number) =>
  buckets[(buckets.length - 1) / 2 + columns[i] - columns[j]];

function forPairs(offsets: Int32Array, heads: number, value: (head: number, i: number, j: number) => number): number[] {
  const values: number[] = [];
  for (let head = 0; head < heads; head++) {
    for (let s = 0; s + 1 < offsets.length; s++) {
      for (let i = offsets[s]; i < offsets[s + 1]; i++) {
        for (let j = offsets[s]; j < offsets[s + 1]; j++) values.push(value(head, i, j));
      }
    }
  }
  return values;
}

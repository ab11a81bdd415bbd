import { describe, expect, it } from 'vitest';
import { randomStream, randomUniform, StoredRows, type RowType } from '../../src/tensor/index.ts';

/** Whole numbers from -largest to largest, or, for 0, any of 32 bits. */
function numbers(count: number, largest: number, name: string): number[] {
  const stream = randomStream(count, name);
  return Array.from({ length: count }, (_, n) =>
    largest === 0
      ? Math.floor(2 ** 32 * randomUniform(stream, n)) | 0
      : Math.floor((2 * largest + 1) * randomUniform(stream, n)) - largest,
  );
}

const bits = (word: number) => [...(word >>> 0).toString(2)].filter((digit) => digit === '1').length;
const product = (a: number, b: number) => a * b;

describe.each([true, false])('StoredRows, with WebAssembly: %s', (useSimd) => {
  const kinds: [RowType, row: number, query: number, compare: (a: number, b: number) => number][] = [
    ['float32', 100, 100, product],
    ['int8', 127, 4000, product],
    ['bits', 0, 0, (a, b) => bits(a ^ b)],
  ];
  it.each(kinds)(
    '%s rows of every length from 1 to 40 are compared exactly',
    (type, mostOfRow, mostOfQuery, compare) => {
      for (let size = 1; size <= 40; size++) {
        const rows = Array.from({ length: 5 }, (_, r) => numbers(size, mostOfRow, `row ${r}`));
        const stored = new StoredRows(type, 5, size, useSimd);
        rows.forEach((row, r) => stored.set(r, row));
        expect(rows.map((_, r) => [...stored.get(r)])).toEqual(rows);
        for (const name of ['one query', 'another']) {
          const query = numbers(size, mostOfQuery, name);
          const expected = rows.map((row) => row.reduce((sum, x, i) => sum + compare(x, query[i]), 0));
          expect([...stored.compare(query)]).toEqual(expected);
        }
      }
    },
  );

  it('int8 rows and queries reach the ends of their ranges', () => {
    const stored = new StoredRows('int8', 2, 512, useSimd);
    stored.set(0, new Int8Array(512).fill(-128));
    stored.set(1, new Int8Array(512).fill(127));
    expect([...stored.compare(new Int16Array(512).fill(-32767))]).toEqual([512 * 128 * 32767, -512 * 127 * 32767]);
    expect([...stored.compare(new Int16Array(512))]).toEqual([0, 0]);
  });

  it('float32 products of 384 numbers are right to 1e-6 of what is added', () => {
    const [size, scale] = [384, 1 / 1000];
    const [row, query] = ['row', 'query'].map((name) => numbers(size, 1000, name).map((x) => Math.fround(x * scale)));
    const stored = new StoredRows('float32', 1, size, useSimd);
    stored.set(0, row);
    const [result] = stored.compare(query);
    const exact = row.reduce((sum, x, i) => sum + x * query[i], 0);
    const added = row.reduce((sum, x, i) => sum + Math.abs(x * query[i]), 0);
    expect(Math.abs(result - exact)).toBeLessThan(1e-6 * added);
  });
});

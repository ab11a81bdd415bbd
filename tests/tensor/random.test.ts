import { describe, expect, it } from 'vitest';
import { fillNormal, randomStream, randomUniform } from '../../src/tensor/index.ts';

const normal = (length: number, stream: number, std = 1): Float64Array => {
  const out = new Float64Array(length);
  fillNormal(out, std, stream);
  return out;
};

const correlation = (a: Float64Array, b: Float64Array) => a.reduce((sum, value, i) => sum + value * b[i], 0) / a.length;

describe('random numbers', () => {
  const N = 100_000;
  const stream = randomStream(0, 'embeddings.word_embeddings.weight');

  it('are the same for the same seed and name, and others for another seed or name', () => {
    expect(normal(7, randomStream(3, 'a'))).toEqual(normal(7, randomStream(3, 'a')));
    const streams = [randomStream(3, 'a'), randomStream(4, 'a'), randomStream(3, 'b'), randomStream(3, 'ab')];
    expect(new Set(streams).size).toBe(4);
  });

  it('have not changed since they were first published', () => {
    expect(stream).toMatchInlineSnapshot(`2835363826`);
    expect([...normal(3, stream)].map((x) => x.toFixed(12))).toMatchInlineSnapshot(`
      [
        "-1.062173129880",
        "-0.315774220704",
        "-0.501667476465",
      ]
    `);
  });

  it('depend on their number alone, not on how many are drawn', () => {
    expect(normal(10, stream).slice(0, 7)).toEqual(normal(7, stream));
    expect(randomUniform(stream, 41)).toBe(randomUniform(stream, 41));
  });

  it('are uniform in (0, 1): each of 100 bins has its share, to 5 standard deviations', () => {
    const bins = new Int32Array(100);
    for (let n = 0; n < N; n++) bins[Math.floor(100 * randomUniform(stream, n))]++;
    const limit = 5 * Math.sqrt((N / 100) * 0.99);
    for (const count of bins) expect(Math.abs(count - N / 100)).toBeLessThan(limit);
  });

  it('are normal: mean, deviation, skewness, tails and neighbours, to 5 standard errors', () => {
    const x = normal(N, stream);
    const moment = (power: number) => x.reduce((sum, value) => sum + value ** power, 0) / N;
    const near = (value: number, expected: number, variance: number) =>
      expect(Math.abs(value - expected)).toBeLessThan(5 * Math.sqrt(variance / N));
    near(moment(1), 0, 1);
    near(moment(2), 1, 2);
    near(moment(3), 0, 15);
    near(moment(4), 3, 96);
    near(x.filter((value) => Math.abs(value) > 1.959964).length / N, 0.05, 0.05 * 0.95);
    for (const lag of [1, 2, 64, 384]) near(correlation(x.subarray(lag), x.subarray(0, N - lag)), 0, 1);
    near(correlation(x, normal(N, randomStream(1, 'embeddings.word_embeddings.weight'))), 0, 1);
    near(correlation(x, normal(N, randomStream(0, 'embeddings.position_embeddings.weight'))), 0, 1);
  });

  it('scale with the standard deviation', () => {
    expect(normal(5, stream, 0.5)).toEqual(normal(5, stream).map((value) => value * 0.5));
  });
});

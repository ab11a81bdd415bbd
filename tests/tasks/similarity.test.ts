import { describe, expect, it } from 'vitest';
import { ConfigError, InputError } from '../../src/errors.ts';
import { cosineSimilarity, searchVectors } from '../../src/tasks/index.ts';

describe('cosineSimilarity', () => {
  it('is that of the angle, whatever the lengths', () => {
    expect(cosineSimilarity([3, 0], [5, 0])).toBe(1);
    expect(cosineSimilarity([3, 0], [0, 2])).toBe(0);
    expect(cosineSimilarity([1, 2, 3], [-2, -4, -6])).toBeCloseTo(-1, 15);
    expect(cosineSimilarity([1, 0], [1, 1])).toBeCloseTo(Math.SQRT1_2, 15);
  });

  it('is that of numbers whose squares are not', () => {
    for (const factor of [1e200, 1e-200, 5e-324, Number.MAX_VALUE]) {
      expect(cosineSimilarity([factor, 0], [factor, factor])).toBeCloseTo(Math.SQRT1_2, 15);
      expect(cosineSimilarity([factor, -factor], [1, -1])).toBe(1);
    }
  });

  it('needs finite numbers', () => {
    for (const bad of [NaN, Infinity, -Infinity]) expect(() => cosineSimilarity([1, bad], [1, 2])).toThrow(InputError);
  });

  it('of a zero vector is 0', () => expect(cosineSimilarity([0, 0], [1, 2])).toBe(0));

  it('needs one length', () => expect(() => cosineSimilarity([1], [1, 2])).toThrow(InputError));
});

describe('searchVectors', () => {
  const corpus = [
    [0, 1],
    [1, 0],
    [1, 1],
    [2, 0],
  ];

  it('ranks by cosine, equal scores in the order of the corpus', () => {
    expect(searchVectors([1, 0], corpus).map(({ index }) => index)).toEqual([1, 3, 2, 0]);
  });

  it.each([-1, 1.5, NaN, '2', null])('refuses %j as their number', (count) => {
    expect(() => searchVectors([1, 0], corpus, count as number)).toThrow(ConfigError);
  });

  it('gives as many as are wanted', () => {
    expect(searchVectors([1, 0], corpus, 1)).toEqual([{ index: 1, score: 1 }]);
    expect(searchVectors([1, 0], [], 3)).toEqual([]);
  });
});

import { describe, expect, it } from 'vitest';
import { InputError } from '../../src/errors.ts';
import { cosineSimilarity, searchVectors } from '../../src/tasks/index.ts';

describe('cosineSimilarity', () => {
  it('is that of the angle, whatever the lengths', () => {
    expect(cosineSimilarity([3, 0], [5, 0])).toBe(1);
    expect(cosineSimilarity([3, 0], [0, 2])).toBe(0);
    expect(cosineSimilarity([1, 2, 3], [-2, -4, -6])).toBeCloseTo(-1, 15);
    expect(cosineSimilarity([1, 0], [1, 1])).toBeCloseTo(Math.SQRT1_2, 15);
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

  it('gives as many as are wanted', () => {
    expect(searchVectors([1, 0], corpus, 1)).toEqual([{ index: 1, score: 1 }]);
    expect(searchVectors([1, 0], [], 3)).toEqual([]);
  });
});

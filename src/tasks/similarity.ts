import { ConfigError, InputError, show } from '../errors.ts';

/** Cosine of the angle between two vectors, -1 to 1; 0 when either is zero. @throws InputError if their lengths differ, or a number is not finite */
export function cosineSimilarity(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) {
    throw new InputError({
      what: 'cosineSimilarity',
      expected: 'vectors of one length',
      got: `${a.length} and ${b.length}`,
    });
  }
  // Scaled first: the square of 1e200 is infinite, and that of 1e-200 is 0.
  const [largestA, largestB] = [largest(a), largest(b)];
  if (largestA === 0 || largestB === 0) return 0;
  let [dot, lengthA, lengthB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] / largestA, b[i] / largestB];
    dot += x * y;
    lengthA += x * x;
    lengthB += y * y;
  }
  return dot / Math.sqrt(lengthA * lengthB);
}

/** The largest size of its numbers. @throws InputError if one is not finite */
function largest(vector: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < vector.length; i++) most = Math.max(most, Math.abs(vector[i]));
  if (Number.isFinite(most)) return most;
  throw new InputError({ what: 'cosineSimilarity', expected: 'finite numbers', got: `${most}` });
}

export interface SearchHit {
  /** Place of the vector in the corpus. */
  index: number;
  /** Cosine similarity to the query. */
  score: number;
}

/** The vectors of a corpus most like a query, the best first; equal scores stay in the order of the corpus. */
export function searchVectors(
  query: ArrayLike<number>,
  corpus: readonly ArrayLike<number>[],
  topK = corpus.length,
): SearchHit[] {
  if (!Number.isSafeInteger(topK) || topK < 0) {
    throw new ConfigError({ what: 'searchVectors: topK', expected: 'a whole number of at least 0', got: show(topK) });
  }
  const hits = corpus.map((vector, index) => ({ index, score: cosineSimilarity(query, vector) }));
  return hits.sort((a, b) => b.score - a.score).slice(0, topK);
}

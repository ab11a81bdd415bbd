import { InputError } from '../errors.ts';

/** Cosine of the angle between two vectors, -1 to 1; 0 when either is zero. @throws InputError if their lengths differ */
export function cosineSimilarity(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) {
    throw new InputError({
      what: 'cosineSimilarity',
      expected: 'vectors of one length',
      got: `${a.length} and ${b.length}`,
    });
  }
  let [dot, lengthA, lengthB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i] * b[i];
    lengthA += a[i] * a[i];
    lengthB += b[i] * b[i];
  }
  return lengthA === 0 || lengthB === 0 ? 0 : dot / Math.sqrt(lengthA * lengthB);
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
  const hits = corpus.map((vector, index) => ({ index, score: cosineSimilarity(query, vector) }));
  return hits.sort((a, b) => b.score - a.score).slice(0, topK);
}

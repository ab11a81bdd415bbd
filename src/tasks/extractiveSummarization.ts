import { ConfigError, show } from '../errors.ts';
import { featureExtraction } from './featureExtraction.ts';
import {
  batches,
  callable,
  checkRunOptions,
  collect,
  expectInputs,
  step,
  type Inputs,
  type RunOptions,
  type Task,
} from './run.ts';
import type { BertSentenceEncoder as SentenceEncoder } from './sentenceEncoder.ts';
import { expectCount, expectOneOf } from './scores.ts';
import { expectText } from './windows.ts';

export interface SummarizationOptions extends RunOptions {
  /** How many sentences to keep. Default 3. */
  sentences?: number;
  /**
   * What makes a sentence important: 'textrank', that important sentences are like it (Mihalcea & Tarau 2004), or
   * 'centroid', that it is like the mean of all (Radev et al. 2004). Default 'textrank'.
   */
  method?: 'textrank' | 'centroid';
  /**
   * From 0, only importance counts, to 1, only that a sentence is unlike those already chosen (maximal marginal relevance,
   * Carbonell & Goldstein 1998). Default 0.3.
   */
  diversity?: number;
}

export interface SummarySentence {
  text: string;
  /** Where it stands, in UTF-16 units. */
  start: number;
  end: number;
  /** Its importance, 1 for the most important sentence of the text. */
  score: number;
}

export interface Summary {
  summary: string;
  /** The sentences that were kept, in the order of the text. */
  sentences: SummarySentence[];
  /** How many sentences the text has. */
  sentenceCount: number;
  /** How many of them are longer than the encoder reads, so that it judged them by their beginning. */
  truncatedSentences: number;
}

export type ExtractiveSummarization = Task<string, SummarizationOptions, Summary> & {
  readonly encoder: SentenceEncoder;
};

/** The sentences of a text that say most of it, word for word: nothing is written anew. */
export function extractiveSummarization(encoder: SentenceEncoder): ExtractiveSummarization {
  const embed = featureExtraction(encoder);

  async function* stream(texts: Inputs<string>, options: SummarizationOptions = {}) {
    checkRunOptions('extractive-summarization', options, ['sentences', 'method', 'diversity']);
    const { sentences: count = 3, method = 'textrank', diversity = 0.3, onProgress, ...rest } = options;
    expectCount('sentences', count);
    expectOneOf('method', method, ['textrank', 'centroid']);
    if (!(typeof diversity === 'number' && diversity >= 0 && diversity <= 1)) {
      throw new ConfigError({ what: 'diversity', expected: 'a number from 0 to 1', got: show(diversity) });
    }
    expectInputs(texts);
    const total = Array.isArray(texts) ? texts.length : undefined;
    let done = 0;
    for await (const [input] of batches(
      texts,
      (text) => text,
      () => 1,
      1,
      rest.signal,
    )) {
      const sentences = sentencesOf(expectText(input, `text ${done}`));
      const { overflow, signal } = rest;
      const embeddings = await collect(
        embed.stream(
          sentences.map(({ text }) => text),
          { ...(overflow && { overflow }), ...(signal && { signal }) },
        ),
      );
      const vectors = embeddings.map(({ embedding }) => unitVector(embedding));
      const scores = method === 'textrank' ? await textRank(vectors, signal) : centroid(vectors);
      const best = scores.reduce((most, x) => Math.max(most, x), 0);
      const importance = scores.map((x) => (best > 0 ? x / best : 0));
      const kept = choose(importance, vectors, Math.min(count, sentences.length), diversity).sort((a, b) => a - b);
      const chosen = kept.map((i) => ({ ...sentences[i], score: importance[i] }));
      const truncatedSentences = embeddings.filter(({ truncated }) => truncated).length;
      const summary = chosen.map(({ text }) => text).join(' ');
      yield { summary, sentences: chosen, sentenceCount: sentences.length, truncatedSentences };
      onProgress?.(++done, total);
    }
  }

  return Object.assign(callable(stream), { encoder });
}

/** The sentences of a text by the rules of Unicode (UAX 29), without the spaces around them. */
export function sentencesOf(text: string): { text: string; start: number; end: number }[] {
  const segmenter = new Intl.Segmenter(undefined, { granularity: 'sentence' });
  return Array.from(segmenter.segment(text), ({ segment, index }) => {
    const start = index + segment.length - segment.trimStart().length;
    const sentence = segment.trim();
    return { text: sentence, start, end: start + sentence.length };
  }).filter((sentence) => sentence.text !== '');
}

type Vectors = readonly Float64Array[];

/** Of length 1, so that a product of two is their cosine; zeros stay zeros. */
function unitVector(vector: ArrayLike<number>): Float64Array {
  const x = Float64Array.from(vector);
  const length = Math.sqrt(dot(x, x));
  return length > 0 ? x.map((value) => value / length) : x;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** The stationary distribution of a walk from sentence to sentence, by their likeness (Brin & Page 1998; damping 0.85). */
async function textRank(vectors: Vectors, signal: AbortSignal | undefined): Promise<number[]> {
  const likeness = vectors.map(() => new Float64Array(vectors.length));
  for (const [i, a] of vectors.entries()) {
    await step(signal, () => {
      for (let j = 0; j < i; j++) likeness[i][j] = likeness[j][i] = Math.max(0, dot(a, vectors[j]));
    });
  }
  const sums = likeness.map((row) => row.reduce((x, y) => x + y, 0));
  let rank = vectors.map(() => 1 / vectors.length);
  for (let change = 1, round = 0; change > 1e-9 && round < 200; round++) {
    const before = rank;
    const share = before.map((x, i) => (sums[i] > 0 ? x / sums[i] : 0));
    const next = await step(signal, () =>
      likeness.map((row) => 0.15 / row.length + 0.85 * row.reduce((sum, x, i) => sum + x * share[i], 0)),
    );
    change = next.reduce((most, x, i) => Math.max(most, Math.abs(x - before[i])), 0);
    rank = next;
  }
  return rank;
}

function centroid(vectors: Vectors): number[] {
  if (vectors.length === 0) return [];
  const mean = unitVector(Float64Array.from(vectors[0], (_, i) => vectors.reduce((sum, v) => sum + v[i], 0)));
  return vectors.map((vector) => Math.max(0, dot(vector, mean)));
}

/** Maximal marginal relevance: what is important, less what is like a sentence that is already there. */
function choose(importance: readonly number[], vectors: Vectors, count: number, diversity: number): number[] {
  const chosen: number[] = [];
  const nearest = new Float64Array(importance.length);
  const gain = (i: number) => (1 - diversity) * importance[i] - diversity * nearest[i];
  while (chosen.length < count) {
    const left = importance.flatMap((_, i) => (chosen.includes(i) ? [] : [i]));
    const next = left.reduce((best, i) => (gain(i) > gain(best) ? i : best));
    chosen.push(next);
    for (const i of left) nearest[i] = Math.max(nearest[i], dot(vectors[next], vectors[i]));
  }
  return chosen;
}

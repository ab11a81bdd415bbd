import { beforeAll, describe, expect, it } from 'vitest';
import { AbortError, ConfigError, InputError } from '../../src/errors.ts';
import {
  cosineSimilarity,
  extractiveSummarization,
  pipeline,
  searchVectors,
  VectorIndex,
  type SentenceEncoder,
  type Tasks,
} from '../../src/tasks/index.ts';
import { randomStream, randomUniform } from '../../src/tensor/index.ts';

// Search, similarity and summaries, on the shipped model.

const MODEL = 'weights/all-MiniLM-L6-v2';
const corpus = [
  'A cat sleeps on the sofa.',
  'Share prices dropped today.',
  'Simmer the soup for an hour.',
  'The kitten naps on a couch.',
  'Investors sold their shares.',
  'How long do I boil the stew?',
];

describe('VectorIndex', () => {
  const stream = randomStream(3, 'vectors');
  let drawn = 0;
  const vector = (size: number) => Float32Array.from({ length: size }, () => randomUniform(stream, drawn++) - 0.5);
  const vectors = Array.from({ length: 500 }, () => vector(70));
  const query = vector(70);

  it('float32 finds what comparing each one finds', () => {
    const exact = searchVectors(query, vectors, 7);
    const hits = new VectorIndex(vectors).search(query, { topK: 7 });
    expect(hits.map(({ index }) => index)).toEqual(exact.map(({ index }) => index));
    hits.forEach(({ score }, i) => expect(score).toBeCloseTo(exact[i].score, 6));
  });

  it.each(['int8', 'binary'] as const)('%s scores exactly, and with enough candidates finds the same', (precision) => {
    const exact = new VectorIndex(vectors).search(query, { topK: 10 });
    const index = new VectorIndex(vectors, { precision });
    expect(index.search(query, { topK: 10, rescore: 50 })).toEqual(exact);
    for (const { index: i, score } of index.search(query, { topK: 10, rescore: 2 })) {
      expect(score).toBeCloseTo(cosineSimilarity(query, vectors[i]), 6);
    }
    // One candidate: the one that the rounded numbers put first.
    const [first] = index.search(query, { topK: 1, rescore: 1 });
    const rounded = vectors.map((row) => {
      if (precision === 'binary') return row.reduce((sum, x, i) => sum + Number(x > 0 === query[i] > 0), 0);
      const scale = row.reduce((most, x) => Math.max(most, Math.abs(x)), 0) / 127;
      const length = Math.hypot(...row);
      return row.reduce((sum, x, i) => sum + Math.round(x / scale) * query[i], 0) * (scale / length);
    });
    expect(first.index).toBe(rounded.indexOf(Math.max(...rounded)));
  });

  it('refuses what is no vectors and no option', () => {
    expect(() => new VectorIndex(null as never)).toThrow('VectorIndex: expected one vector at least, got null');
    expect(() => new VectorIndex({ data: new Float32Array(6), dimensions: 1.5 })).toThrow('rows of 1.5 numbers');
    expect(() => new VectorIndex([[1]], { precison: 'int8' } as never)).toThrow('options of VectorIndex: precison');
    const index = new VectorIndex([[1, 0]]);
    expect(() => index.search([1, 0], { top_k: 1 } as never)).toThrow('options of search: top_k');
    expect(() => index.search(undefined as never)).toThrow('query: expected 2 numbers');
  });

  it('takes vectors of any length, and zeros', () => {
    const index = new VectorIndex([
      [0, 0],
      [1e30, 1e30],
      [1e-30, 0],
    ]);
    expect(index.search([2, 2]).map(({ index: i }) => i)).toEqual([1, 2, 0]);
    expect(index.search([1, 1], { topK: 0 })).toEqual([]);
    expect(new VectorIndex([[1]], { precision: 'binary' }).search([1], { topK: 0 })).toEqual([]);
    const flat = new VectorIndex({ data: Float32Array.of(1, 0, 0, 1), dimensions: 2 });
    expect([flat.size, flat.search([0, 3])[0].index]).toEqual([2, 1]);
  });

  it('refuses what is no set of vectors', () => {
    expect(() => new VectorIndex([])).toThrow(ConfigError);
    expect(() => new VectorIndex([[1], [1, 2]])).toThrow('vector 1: expected 1 numbers, got 2');
    expect(() => new VectorIndex([[1], [NaN]])).toThrow('vector 1: expected finite numbers, got NaN');
    expect(() => new VectorIndex([[1]], { precision: 'int4' as never })).toThrow('precision: expected one of float32');
    expect(() => new VectorIndex({ data: new Float32Array(3), dimensions: 2 })).toThrow(InputError);
    expect(() => new VectorIndex([[1]]).search([1, 2])).toThrow('query: expected 1 numbers');
    expect(() => new VectorIndex([[1]]).search([1], { topK: -1 })).toThrow('topK: expected a whole number');
  });
});

describe('search', () => {
  let find: Tasks['search'];
  beforeAll(async () => {
    find = await pipeline('search', MODEL);
  });

  it('finds what is meant, by texts or by their index, and says what is asked', async () => {
    const hits = await find('a cat on a couch', corpus, { topK: 2 });
    expect(hits.map(({ index }) => index).sort()).toEqual([0, 3]);
    for (const precision of ['float32', 'int8', 'binary'] as const) {
      const index = await find.index(corpus, { precision });
      expect(await find('a cat on a couch', index, { topK: 2, rescore: 3 })).toEqual(hits);
    }
    expect((await find('stock market', corpus))[0].text).toMatch(/hare/);
  });

  it('sentence-similarity gives the cosine of each', async () => {
    const similarity = await pipeline('sentence-similarity', MODEL);
    const scores = await similarity(corpus[0], [corpus[3], corpus[1]]);
    expect(scores[0]).toBeGreaterThan(0.7);
    expect(Math.abs(scores[1])).toBeLessThan(0.1);
    const [a, b] = similarity.encoder.encode([corpus[0], corpus[3]]);
    expect(scores[0]).toBeCloseTo(cosineSimilarity(a.embedding, b.embedding), 12);
  });
});

describe('extractive-summarization', () => {
  const text =
    'Bread needs four things: flour, water, salt and time. Good bread is made of flour, water, salt and patience. ' +
    'My neighbour’s dog is called Otto 🐕. The dough rises slowly in a cold kitchen, and quickly in a warm one. ' +
    'A warm kitchen makes dough rise fast. Bake it in a hot oven until the crust is dark and sounds hollow.';

  it('keeps whole sentences, in their order, at their places', async () => {
    const summarize = await pipeline('extractive-summarization', MODEL);
    for (const method of ['textrank', 'centroid'] as const) {
      const { summary, sentences, sentenceCount } = await summarize(text, { sentences: 3, method });
      expect([sentences.length, sentenceCount]).toEqual([3, 6]);
      expect(summary).toBe(sentences.map((sentence) => sentence.text).join(' '));
      for (const { text: kept, start, end } of sentences) expect(text.slice(start, end)).toBe(kept);
      sentences.slice(1).forEach(({ start }, i) => expect(start).toBeGreaterThan(sentences[i].end));
      expect(summary).not.toContain('Otto');
    }
  });

  it('with diversity does not say the same thing twice', async () => {
    const summarize = await pipeline('extractive-summarization', MODEL);
    const alike = async (diversity: number) => {
      const { sentences } = await summarize(text, { sentences: 2, diversity });
      const [a, b] = summarize.encoder.encode(sentences.map((sentence) => sentence.text));
      return cosineSimilarity(a.embedding, b.embedding);
    };
    expect(await alike(0)).toBeGreaterThan((await alike(0.7)) + 0.1);
  });

  it('of a long text can be aborted while its sentences are ranked', async () => {
    const embedding = Float32Array.from({ length: 64 }, (_, i) => i - 20);
    const result = { embedding, tokenCount: 3, truncated: false, dtype: 'f32' };
    const encoder = { encode: (texts: readonly string[]) => texts.map(() => result) };
    const controller = new AbortController();
    let turns = 0;
    const timer = setInterval(() => ++turns === 3 && controller.abort(), 0);
    const summary = extractiveSummarization(encoder as unknown as SentenceEncoder)('A sentence. '.repeat(4000), {
      signal: controller.signal,
    });
    await expect(summary).rejects.toThrow(AbortError);
    clearInterval(timer);
  });

  it('of little or nothing is what there is; a list gives a list', async () => {
    const summarize = await pipeline('extractive-summarization', MODEL);
    const [one, none, blank] = await summarize(['Only one sentence.', '', ' \n ']);
    expect([one.summary, none.summary, blank.summary]).toEqual(['Only one sentence.', '', '']);
    expect(none.sentences).toEqual([]);
    await expect(summarize('a', { sentences: 0 })).rejects.toThrow('sentences: expected a whole number of at least 1');
    await expect(summarize(1 as never)).rejects.toThrow('text 0: expected a string, got 1');
    for (const diversity of [-0.1, 1.5, NaN, 'much' as never]) {
      await expect(summarize('a', { diversity })).rejects.toThrow('diversity: expected a number from 0 to 1, got ');
    }
    await expect(summarize.stream(5 as never).next()).rejects.toThrow('inputs: expected an array or another iterable');
  });
});

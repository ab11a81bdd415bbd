import { InputError, show } from '../errors.ts';
import { featureExtraction, type EmbeddingOptions } from './featureExtraction.ts';
import { collect } from './run.ts';
import { expectCount } from './scores.ts';
import type { BertSentenceEncoder as SentenceEncoder } from './sentenceEncoder.ts';
import { expectText } from './windows.ts';
import { VectorIndex, type IndexPrecision, type VectorSearchOptions } from './vectorIndex.ts';

export interface SearchResult {
  /** Place of the text in the corpus. */
  index: number;
  text: string;
  /** Cosine similarity to the query. */
  score: number;
  /** Whether a part of the text had no influence; not there for an index that does not tell. */
  truncated?: boolean;
}

/** A corpus whose vectors are there, to be searched many times. */
export interface TextIndex {
  texts: readonly string[];
  vectors: VectorIndex;
  /** Which texts are longer than the encoder reads, so that their vectors are of their beginnings. */
  truncated?: readonly boolean[];
}

export interface SemanticSearch {
  /** The texts of a corpus most like a query, the best first. */
  (
    query: string,
    corpus: readonly string[] | TextIndex,
    options?: EmbeddingOptions & VectorSearchOptions,
  ): Promise<SearchResult[]>;
  /** Embeds a corpus once. */
  index(texts: readonly string[], options?: EmbeddingOptions & { precision?: IndexPrecision }): Promise<TextIndex>;
  readonly encoder: SentenceEncoder;
}

/** Search by meaning: texts and query become vectors of one encoder. */
export function search(encoder: SentenceEncoder): SemanticSearch {
  const embed = featureExtraction(encoder);

  async function index(texts: readonly string[], options: EmbeddingOptions & { precision?: IndexPrecision } = {}) {
    if (!Array.isArray(texts) || texts.length === 0) {
      throw new InputError({ what: 'corpus', expected: 'a list of texts, one at least', got: show(texts) });
    }
    const { precision, ...rest } = options;
    const embeddings = await collect(embed.stream(texts as string[], rest));
    const rows = embeddings.map(({ embedding }) => embedding);
    const truncated = embeddings.map((embedding) => embedding.truncated);
    return { texts, vectors: new VectorIndex(rows, precision && { precision }), truncated };
  }

  async function call(
    query: string,
    corpus: readonly string[] | TextIndex,
    options: EmbeddingOptions & VectorSearchOptions = {},
  ): Promise<SearchResult[]> {
    const { topK = 10, rescore, ...rest } = options;
    expectText(query, 'query'); // before a corpus is embedded in vain
    expectCount('topK', topK, 0);
    if (rescore !== undefined) expectCount('rescore', rescore);
    const isIndex = typeof corpus === 'object' && corpus !== null && 'vectors' in corpus;
    const { texts, vectors, truncated }: TextIndex = isIndex ? corpus : await index(corpus, rest);
    const { onProgress: _, ...quiet } = rest;
    const { embedding } = await embed(query, quiet);
    const hits = vectors.search(embedding, { topK, ...(rescore !== undefined && { rescore }) });
    return hits.map(({ index, score }) => {
      return { index, text: texts[index], score, ...(truncated && { truncated: truncated[index] }) };
    });
  }

  return Object.assign(call, { index, encoder });
}

import { InputError, show } from '../errors.ts';
import { featureExtraction, type EmbeddingOptions } from './featureExtraction.ts';
import { collect, type TextReport } from './run.ts';
import type { BertSentenceEncoder as SentenceEncoder } from './sentenceEncoder.ts';
import { cosineSimilarity } from './similarity.ts';
import { expectText } from './windows.ts';

/** Similarities, and how the texts were read. */
export type SentenceSimilarities = number[] & {
  source: TextReport;
  sentences: TextReport[];
};

export interface SentenceSimilarity {
  /** The cosine similarity, -1 to 1, of each sentence to the first text, in order. */
  (source: string, sentences: readonly string[], options?: EmbeddingOptions): Promise<SentenceSimilarities>;
  readonly encoder: SentenceEncoder;
}

/** How alike texts are, by the vectors of an encoder. */
export function sentenceSimilarity(encoder: SentenceEncoder): SentenceSimilarity {
  const embed = featureExtraction(encoder);
  const call = async (source: string, sentences: readonly string[], options?: EmbeddingOptions) => {
    expectText(source, 'source');
    if (!Array.isArray(sentences)) {
      throw new InputError({ what: 'sentences', expected: 'a list of texts', got: show(sentences) });
    }
    const [first, ...others] = await collect(embed.stream([source, ...(sentences as string[])], options));
    const report = ({ tokenCount, truncated }: TextReport): TextReport => ({ tokenCount, truncated });
    return Object.assign(
      others.map(({ embedding }) => cosineSimilarity(first.embedding, embedding)),
      { source: report(first), sentences: others.map(report) },
    );
  };
  return Object.assign(call, { encoder });
}

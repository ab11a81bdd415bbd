import type { ModelInputs } from '../layers/index.ts';

/**
 * What a model reads of encodings. A model of one segment is not told of others: where a template has both texts of type 0, as
 * XLM-RoBERTa's, the Rust tokenizers still say 1 of the second text in every window but the first, and so do ours.
 */
export function modelInputs(
  { config }: { config: { vocabSize: number; typeVocabSize?: number } },
  encodings: readonly { inputIds: ArrayLike<number>; tokenTypeIds: ArrayLike<number> }[],
): ModelInputs {
  const inputIds = encodings.map((encoding) => encoding.inputIds);
  if ((config.typeVocabSize ?? 0) < 2) return { inputIds };
  return { inputIds, tokenTypeIds: encodings.map(({ tokenTypeIds }) => tokenTypeIds) };
}

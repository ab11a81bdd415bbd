export { SentenceEncoder, type EncodeTextOptions, type SentenceEmbedding } from './sentenceEncoder.ts';
export type { PoolingMode } from './sentenceModules.ts';
export { cosineSimilarity, searchVectors, type SearchHit } from './similarity.ts';

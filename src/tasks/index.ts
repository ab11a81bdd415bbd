export { SentenceEncoder, type EncodeTextOptions, type SentenceEmbedding } from './sentenceEncoder.ts';
export { readSentenceModules, type PoolingMode, type SentenceModules } from './sentenceModules.ts';
export { sentenceVectors } from './sentenceVectors.ts';
export { StaticEmbeddings } from './staticEmbeddings.ts';
export { cosineSimilarity, searchVectors, type SearchHit } from './similarity.ts';

export { SentenceEncoder } from './autoSentenceEncoder.ts';
export { BertSentenceEncoder, type EncodeTextOptions, type SentenceEmbedding } from './sentenceEncoder.ts';
export { readSentenceModules, type PoolingMode, type SentenceModules } from './sentenceModules.ts';
export { sentenceVectors } from './sentenceVectors.ts';
export { cosineSimilarity, searchVectors, type SearchHit } from './similarity.ts';

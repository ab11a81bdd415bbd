/**
 * What a page needs to embed texts with a BERT model, and no more: `bertscript/embed`. The same modules as in the whole
 * library, of which bundlers keep what these names reach; `tools/size.mjs` says how much that is.
 */
export { BertModel } from './bert/index.ts';
export {
  BertscriptError,
  CheckpointError,
  ConfigError,
  FileError,
  InputError,
  MemoryError,
  ScopeError,
  ShapeError,
  TokenizerError,
} from './errors.ts';
export { FolderFiles, MemoryFiles, UrlFiles, type ModelFiles, type ModelLocation } from './hub/index.ts';
export {
  BertSentenceEncoder as SentenceEncoder,
  cosineSimilarity,
  type EncodeTextOptions,
  type SentenceEmbedding,
} from './tasks/index.ts';
export { Engine, type EngineOptions } from './tensor/index.ts';
export { BertTokenizer } from './tokenizer/index.ts';

export * from './bert/index.ts';
export {
  AbortError,
  BertscriptError,
  CheckpointError,
  ConfigError,
  FileError,
  InputError,
  MemoryError,
  ScopeError,
  ShapeError,
  TokenizerError,
  type Fault,
} from './errors.ts';
export * from './hub/index.ts';
export * from './layers/index.ts';
export * from './tasks/index.ts';
export * from './tensor/index.ts';
export * from './tokenizer/index.ts';

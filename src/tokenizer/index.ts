export type { AddedToken } from './addedTokens.ts';
export { BertTokenizer } from './bertTokenizer.ts';
export type { EncodeOptions, PaddingStrategy } from './encodeOptions.ts';
export { Encoding } from './encoding.ts';
export { RobertaTokenizer } from './robertaTokenizer.ts';
export type { BatchEncoding, SpecialTokenNames, TextInput } from './tokenizer.ts';
export { Tokenizer } from './tokenizer.ts';
export type { Side, TruncationStrategy } from './truncation.ts';
export { oracleVersion } from './unicodeTables.ts';
export { trainByteLevelBpe, trainWordPiece } from './training/train.ts';
export type {
  ByteLevelBpeTrainingOptions,
  TokenizerTrainingProgress,
  TrainedTokenizer,
  WordPieceTrainingOptions,
} from './training/train.ts';
export type { Texts } from './training/wordCounter.ts';

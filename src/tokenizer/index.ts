export type { AddedToken } from './addedTokens.ts';
export { AutoTokenizer } from './autoTokenizer.ts';
export { BertTokenizer, DistilBertTokenizer, ElectraTokenizer } from './bertTokenizer.ts';
export type { EncodeOptions, PaddingStrategy } from './encodeOptions.ts';
export { Encoding } from './encoding.ts';
export { MPNetTokenizer } from './mpnetTokenizer.ts';
export { DebertaTokenizer, RobertaTokenizer } from './robertaTokenizer.ts';
export {
  AlbertTokenizer,
  CamembertTokenizer,
  DebertaV2Tokenizer,
  XLMRobertaTokenizer,
} from './sentencePieceTokenizers.ts';
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

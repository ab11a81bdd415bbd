import { bertDecoders } from './decoder.ts';
import { bertNormalizers } from './normalizer.ts';
import { bertPostProcessors } from './postProcessor.ts';
import { bertPreTokenizers } from './preTokenizer.ts';
import type { StageReaders } from './tokenizerJson.ts';
import { readWordPiece } from './wordPiece.ts';

/** What the tokenizers of BERT are made of. */
export const bertReaders: StageReaders = {
  normalizers: bertNormalizers,
  preTokenizers: bertPreTokenizers,
  models: { WordPiece: readWordPiece },
  postProcessors: bertPostProcessors,
  decoders: bertDecoders,
};

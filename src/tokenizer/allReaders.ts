import { bertReaders } from './bertReaders.ts';
import { bpeReaders } from './bpeReaders.ts';
import { sentencePieceReaders } from './sentencePieceReaders.ts';
import type { StageReaders } from './tokenizerJson.ts';
import { readWordLevel } from './wordLevel.ts';

/** The stages of all tokenizers of the family. */
export function allReaders(): StageReaders {
  const bpe = bpeReaders();
  const sentencePiece = sentencePieceReaders();
  return {
    normalizers: sentencePiece.normalizers,
    preTokenizers: { ...bpe.preTokenizers, ...sentencePiece.preTokenizers },
    models: { ...bertReaders.models, ...bpe.models, ...sentencePiece.models, WordLevel: readWordLevel },
    postProcessors: bpe.postProcessors,
    decoders: { ...bpe.decoders, ...sentencePiece.decoders },
  };
}

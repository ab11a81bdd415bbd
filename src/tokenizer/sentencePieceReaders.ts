import { bertReaders } from './bertReaders.ts';
import { bpeDecoders } from './bpeDecoders.ts';
import type { Decoder } from './decoder.ts';
import type { JsonField } from './jsonField.ts';
import { readMetaspace, readMetaspaceDecoder } from './metaspace.ts';
import { NormalizedString } from './normalizedString.ts';
import { readPattern, replaceAll } from './pattern.ts';
import { splitters } from './splitters.ts';
import { textNormalizers } from './textNormalizers.ts';
import type { StageReaders } from './tokenizerJson.ts';
import { readUnigram } from './unigram.ts';

/** What tokenizers made of SentencePiece models consist of. A function, so that a bundle without them has none of it. */
export function sentencePieceReaders(): StageReaders {
  const { Sequence, Strip, Fuse, ByteFallback } = bpeDecoders;
  return {
    normalizers: { ...bertReaders.normalizers, ...textNormalizers },
    preTokenizers: { ...bertReaders.preTokenizers, ...splitters, Metaspace: readMetaspace },
    models: { Unigram: readUnigram },
    postProcessors: bertReaders.postProcessors,
    decoders: { Sequence, Strip, Fuse, ByteFallback, Metaspace: readMetaspaceDecoder, Replace: readReplaceDecoder },
  };
}

/** Replaces in each token apart. */
function readReplaceDecoder(json: JsonField): Decoder {
  const pattern = readPattern(json.get('pattern'));
  const { codes } = new NormalizedString(json.get('content').string());
  const replaced = (token: string) => {
    const text = new NormalizedString(token);
    replaceAll(text, pattern, codes);
    return text.toString();
  };
  return { decodeChain: (tokens) => tokens.map(replaced) };
}

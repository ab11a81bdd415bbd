import { bertReaders } from './bertReaders.ts';
import { readBpe } from './bpe.ts';
import { bpeDecoders } from './bpeDecoders.ts';
import { ByteLevel } from './byteLevel.ts';
import { bytePostProcessors } from './robertaProcessing.ts';
import { splitters } from './splitters.ts';
import type { StageReaders } from './tokenizerJson.ts';

/** What tokenizers with BPE are made of. A function, so that a bundle without them has none of it. */
export function bpeReaders(): StageReaders {
  return {
    normalizers: bertReaders.normalizers,
    preTokenizers: {
      ...bertReaders.preTokenizers,
      ...splitters,
      ByteLevel: (json) =>
        new ByteLevel({
          addPrefixSpace: json.get('add_prefix_space').boolean(),
          useRegex: json.get('use_regex').optional((flag) => flag.boolean()) ?? true,
        }),
    },
    models: { BPE: readBpe },
    postProcessors: { ...bertReaders.postProcessors, ...bytePostProcessors },
    decoders: { ...bertReaders.decoders, ...bpeDecoders },
  };
}

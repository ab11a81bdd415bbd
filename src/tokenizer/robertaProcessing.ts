import { trimSpaces } from './byteLevel.ts';
import type { JsonField, Readers } from './jsonField.ts';
import { plainPostProcessor, type PostProcessor, readTokenAndId, type SequencePlace } from './postProcessor.ts';

const A: SequencePlace = { sequence: 0, typeId: 0 };
const B: SequencePlace = { sequence: 1, typeId: 0 };
/** As in Rust, which sometimes forgets to set the types of the other windows. */
const FORGOTTEN_B: SequencePlace = { ...B, overflowTypeId: 1 };

export interface RobertaProcessingOptions {
  cls: readonly [string, number];
  sep: readonly [string, number];
  /** Leave spaces out of the offsets of tokens. */
  trimOffsets: boolean;
  /** Whether the pre-tokenizer puts a space before a text. */
  addPrefixSpace: boolean;
}

/** `<s> A </s>` and `<s> A </s></s> B </s>`, all of type 0. */
export function robertaProcessing(options: RobertaProcessingOptions): PostProcessor {
  const special = ([token, id]: readonly [string, number]) => ({ ids: [id], tokens: [token], typeId: 0 });
  const [cls, sep] = [special(options.cls), special(options.sep)];
  const single = [cls, A, sep];
  return {
    single,
    pair: [...single, sep, B, sep],
    bare: { single: [A], pair: [A, FORGOTTEN_B] },
    trims: options.trimOffsets ? [trimSpaces(options.addPrefixSpace)] : [],
  };
}

/** The same as a TemplateProcessing, which trims no offsets: `[CLS] A [SEP]` and `[CLS] A [SEP][SEP] B [SEP]`. */
export function debertaProcessing(options: RobertaProcessingOptions): PostProcessor {
  const { single, pair } = robertaProcessing(options);
  return { single, pair: pair.map((piece) => (piece === B ? FORGOTTEN_B : piece)) };
}

/** The `post_processor`s of byte-level tokenizers. */
export const bytePostProcessors: Readers<PostProcessor> = {
  RobertaProcessing: (json) =>
    robertaProcessing({
      cls: readTokenAndId(json.get('cls')),
      sep: readTokenAndId(json.get('sep')),
      trimOffsets: json.get('trim_offsets').boolean(),
      addPrefixSpace: json.get('add_prefix_space').boolean(),
    }),
  ByteLevel: (json) => ({
    ...plainPostProcessor,
    trims: json.get('trim_offsets').boolean() ? [trimSpaces(json.get('add_prefix_space').boolean())] : [],
  }),
  Sequence: readSequence,
};

/** Any number that trim offsets, and at most one that adds special tokens. */
function readSequence(json: JsonField, readItem: (json: JsonField) => PostProcessor): PostProcessor {
  const processors = json.get('processors').array(readItem);
  const templates = processors.filter(({ single }) => single !== plainPostProcessor.single);
  if (templates.length > 1) json.get('processors').fail('at most one that adds special tokens');
  return { ...(templates[0] ?? plainPostProcessor), trims: processors.flatMap(({ trims = [] }) => trims) };
}

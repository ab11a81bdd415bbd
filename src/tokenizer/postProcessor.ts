import type { OffsetTrim } from './encoding.ts';
import type { JsonField, Readers } from './jsonField.ts';

/** A place in a template: the tokens of the first (0) or second (1) text, or special tokens. */
export type TemplatePiece = SequencePlace | SpecialTokens;

export interface SequencePlace {
  readonly sequence: 0 | 1;
  readonly typeId: number;
  /** Of windows other than the first; `typeId` when missing. */
  readonly overflowTypeId?: number;
}

export interface SpecialTokens {
  readonly ids: readonly number[];
  readonly tokens: readonly string[];
  readonly typeId: number;
}

/** Fourth stage: where special tokens go around one text, and around a pair, and which type ids each part gets. */
export interface PostProcessor {
  readonly single: readonly TemplatePiece[];
  readonly pair: readonly TemplatePiece[];
  /** Both without special tokens, where they are not just what is left when those are taken out. */
  readonly bare?: Pick<PostProcessor, 'single' | 'pair'>;
  /** Done to the offsets of all texts. */
  readonly trims?: readonly OffsetTrim[];
}

const A: SequencePlace = { sequence: 0, typeId: 0 };
const B: SequencePlace = { sequence: 1, typeId: 1 };

/** Adds nothing. */
export const plainPostProcessor: PostProcessor = { single: [A], pair: [A, B] };

/** `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`, the second text of type 1. */
export function bertProcessing(cls: readonly [string, number], sep: readonly [string, number]): PostProcessor {
  const special = ([token, id]: readonly [string, number], typeId: number) => ({ ids: [id], tokens: [token], typeId });
  const single = [special(cls, 0), A, special(sep, 0)];
  return { single, pair: [...single, B, special(sep, 1)] };
}

/** The template without its special tokens, unless they are wanted. */
export function templateOf(processor: PostProcessor, isPair: boolean, addSpecialTokens: boolean) {
  const { single, pair } = addSpecialTokens ? processor : (processor.bare ?? processor);
  const template = isPair ? pair : single;
  return addSpecialTokens ? template : template.filter((piece) => 'sequence' in piece);
}

/** How many special tokens a template adds. */
export function countSpecialTokens(template: readonly TemplatePiece[]): number {
  return template.reduce((count, piece) => count + ('sequence' in piece ? 0 : piece.ids.length), 0);
}

/** The `post_processor`s of a tokenizer.json for BERT. */
export const bertPostProcessors: Readers<PostProcessor> = {
  BertProcessing: (json) => bertProcessing(readTokenAndId(json.get('cls')), readTokenAndId(json.get('sep'))),
  TemplateProcessing: readTemplateProcessing,
};

export function readTokenAndId(json: JsonField): [string, number] {
  const [token, id] = json.array((item) => item);
  if (token === undefined || id === undefined) json.fail('a token and its id');
  return [token.string(), id.count()];
}

function readTemplateProcessing(json: JsonField): PostProcessor {
  const special = new Map<string, { ids: number[]; tokens: string[] }>();
  for (const [name, entry] of json.get('special_tokens').entries()) {
    const ids = entry.get('ids').array((id) => id.count());
    const tokens = entry.get('tokens').array((token) => token.string());
    if (ids.length !== tokens.length) entry.fail('as many ids as tokens');
    special.set(name, { ids, tokens });
  }
  const readTemplate = (template: JsonField) => template.array((piece) => readPiece(piece, special));
  const single = readTemplate(json.get('single'));
  const pair = readTemplate(json.get('pair'));
  if (single.some((piece) => 'sequence' in piece && piece.sequence === 1)) {
    json.get('single').fail('a template of sequence A only');
  }
  return { single, pair };
}

function readPiece(json: JsonField, special: ReadonlyMap<string, { ids: number[]; tokens: string[] }>): TemplatePiece {
  const sequence = json.get('Sequence');
  if (!sequence.isMissing) {
    const id = sequence.get('id').string();
    if (id !== 'A' && id !== 'B') sequence.get('id').fail('"A" or "B"');
    const place = id === 'A' ? A : B;
    // As in Rust, which leaves the other windows the types that they had before.
    return { ...place, typeId: sequence.get('type_id').count(), overflowTypeId: place.typeId };
  }
  const specialToken = json.get('SpecialToken');
  if (specialToken.isMissing) json.fail('a Sequence or a SpecialToken');
  const name = specialToken.get('id');
  const tokens = special.get(name.string()) ?? name.fail('one of post_processor.special_tokens');
  return { ...tokens, typeId: specialToken.get('type_id').count() };
}

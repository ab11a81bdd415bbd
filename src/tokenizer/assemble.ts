/** From tokenized texts to encodings: cuts them to length, puts special tokens around them, pads. */
import { ConfigError } from '../errors.ts';
import type { EncodePlan } from './encodeOptions.ts';
import { Encoding, type FixedPiece, type OffsetTrim, type Piece } from './encoding.ts';
import { countSpecialTokens, type TemplatePiece } from './postProcessor.ts';
import type { NumberRoom, TokenizedText } from './tokenizedText.ts';
import { checkStride, keptLengths, type Window, windowsOf } from './truncation.ts';

/**
 * The encoding of one text or a pair, whose numbers go where told. Room for special tokens is set aside first; the texts are cut to what is left.
 *
 * @throws ConfigError when maxLength is less than the special tokens, or the stride leaves no progress
 * @throws InputError when the text that must give way cannot
 */
export function assemble(
  texts: readonly TokenizedText[],
  template: readonly TemplatePiece[],
  truncation: EncodePlan['truncation'],
  trims?: readonly OffsetTrim[],
  numbers?: NumberRoom,
): Encoding {
  let tokenCount = countSpecialTokens(template);
  const room = truncation && roomIn(truncation, tokenCount);
  for (const { length } of texts) tokenCount += length;
  if (truncation === undefined || tokenCount <= truncation.maxLength) {
    const pieces = template.map((place) => pieceOf(place, texts, trims));
    return new Encoding(pieces, undefined, numbers);
  }
  const lengths = texts.map(({ length }) => length);
  const { strategy, stride, side } = truncation;
  const windows = keptLengths(lengths, room!, strategy).map((kept, i) => windowsOf(lengths[i], kept, stride, side));
  const first = template.map((place) => choices(place, texts, windows, trims)[0]);
  const facts = { tokenCount, truncated: true };
  const overflow = () =>
    combinations(template.map((place) => choices(place, texts, windows, trims)))
      .slice(1)
      .map((pieces) => new Encoding(pieces, { ...facts, overflow: () => [] }));
  return new Encoding(first, { ...facts, overflow }, numbers);
}

/** How many tokens of the texts may stay. */
function roomIn({ maxLength, stride }: NonNullable<EncodePlan['truncation']>, specialCount: number): number {
  const room = maxLength - specialCount;
  if (room < 0) {
    throw new ConfigError({
      what: 'maxLength',
      expected: `at least ${specialCount}, for the special tokens`,
      got: String(maxLength),
      fix: 'raise maxLength or set addSpecialTokens to false',
    });
  }
  checkStride(stride, room);
  return room;
}

/** What stands at a place of the template when no text is cut. */
function pieceOf(
  place: TemplatePiece,
  texts: readonly TokenizedText[],
  trims: readonly OffsetTrim[] | undefined,
): Piece {
  if (!('sequence' in place)) return place;
  const { sequence, typeId } = place;
  const source = texts[sequence];
  return { source, sequence, start: 0, end: source.length, typeId, trims };
}

/** What can stand at a place of the template: any window of its text, or its special tokens. */
function choices(
  place: TemplatePiece,
  texts: readonly TokenizedText[],
  windows: readonly Window[][],
  trims: readonly OffsetTrim[] | undefined,
): Piece[] {
  if (!('sequence' in place)) return [place];
  const { sequence, typeId: firstTypeId, overflowTypeId = firstTypeId } = place;
  const source = texts[sequence];
  return windows[sequence].map(([start, end], window) => {
    const typeId = window === 0 ? firstTypeId : overflowTypeId;
    return { source, sequence, start, end, typeId, trims };
  });
}

/** All ways to choose one of each, the first of each first, in the order in which Rust's `Encoding::merge` meets them. */
function combinations(places: readonly Piece[][]): Piece[][] {
  let first: Piece[] = [];
  let others: Piece[][] = [];
  for (const [head, ...tail] of places) {
    others = [
      ...others.flatMap((pieces) => [head, ...tail].map((piece) => [...pieces, piece])),
      ...tail.map((piece) => [...first, piece]),
    ];
    first = [...first, head];
  }
  return [first, ...others];
}

/** Pads encodings, and their overflow windows, as asked: none is shortened. */
export function pad(
  encodings: readonly Encoding[],
  { length, multipleOf, side }: NonNullable<EncodePlan['padding']>,
  token: string,
  id: number,
): Encoding[] {
  const longest = encodings.reduce((most, encoding) => Math.max(most, encoding.length), 0);
  const target = Math.ceil((length === 'longest' ? longest : length) / multipleOf) * multipleOf;
  const paddingFor = (length: number): FixedPiece | undefined => {
    const count = target - length;
    if (count <= 0) return undefined;
    return { ids: new Array(count).fill(id), tokens: new Array(count).fill(token), typeId: 0, isPadding: true };
  };
  return encodings.map((encoding) => encoding.withPadding(paddingFor, side));
}

import { show, TokenizerError } from '../errors.ts';
import { protoFields, type ProtoField } from './protobuf.ts';

/** What a piece of a SentencePiece model is for. */
export const PIECE_TYPES = ['normal', 'unknown', 'control', 'userDefined', 'unused', 'byte'] as const;
export type PieceType = (typeof PIECE_TYPES)[number];

export interface Piece {
  readonly piece: string;
  readonly score: number;
  readonly type: PieceType;
}

/** A SentencePiece `.model` file, as far as the tokenizers of the BERT family depend on it. */
export interface SentencePieceModel {
  readonly pieces: readonly Piece[];
  readonly unkId: number;
  /** The table of normalizations; empty when there is none. */
  readonly charsmap: Uint8Array;
}

// Numbers of fields and values in sentencepiece_model.proto.
const MODEL = { pieces: 1, trainerSpec: 2, normalizerSpec: 3 };
const PIECE = { piece: 1, score: 2, type: 3 };
const TRAINER = { modelType: 3, unkId: 40 };
const NORMALIZER = { charsmap: 2 };
const MODEL_TYPES = ['unigram', 'bpe', 'word', 'char'];

/**
 * Reads a SentencePiece model.
 *
 * @param name what messages call it: its file
 * @throws TokenizerError when the bytes are no such model, or one of another kind than unigram
 */
export function readSentencePiece(bytes: Uint8Array, name: string): SentencePieceModel {
  const pieces: Piece[] = [];
  let unkId = 0;
  let charsmap: Uint8Array = new Uint8Array();
  for (const field of protoFields(bytes, name)) {
    if (field.id === MODEL.pieces) {
      pieces.push(readPiece(bytesOf(field, name, 'a piece'), `${name}: piece ${pieces.length}`));
    } else if (field.id === MODEL.trainerSpec) {
      for (const spec of protoFields(bytesOf(field, name, 'trainer_spec'), `${name}: trainer_spec`)) {
        if (spec.id === TRAINER.unkId) unkId = numberOf(spec, `${name}: trainer_spec.unk_id`);
        if (spec.id === TRAINER.modelType) checkModelType(numberOf(spec, `${name}: trainer_spec.model_type`), name);
      }
    } else if (field.id === MODEL.normalizerSpec) {
      for (const spec of protoFields(bytesOf(field, name, 'normalizer_spec'), `${name}: normalizer_spec`)) {
        if (spec.id === NORMALIZER.charsmap) charsmap = bytesOf(spec, name, 'precompiled_charsmap').slice();
      }
    }
  }
  if (unkId >= pieces.length) {
    const expected = `a piece that stands for what is unknown, of id ${unkId}`;
    throw new TokenizerError({ what: name, expected, got: `${pieces.length} pieces` });
  }
  return { pieces, unkId, charsmap };
}

function readPiece(bytes: Uint8Array, name: string): Piece {
  let piece: string | undefined;
  let score = 0;
  let type = 1;
  for (const field of protoFields(bytes, name)) {
    if (field.id === PIECE.piece) piece = textOf(bytesOf(field, name, 'its text'), name);
    if (field.id === PIECE.score) score = numberOf(field, `${name}: score`);
    if (field.id === PIECE.type) type = numberOf(field, `${name}: type`);
  }
  const typeName = PIECE_TYPES[type - 1] as PieceType | undefined;
  if (piece === undefined) throw new TokenizerError({ what: name, expected: 'a text', got: 'none' });
  if (typeName === undefined)
    throw new TokenizerError({ what: name, expected: 'a type from 1 to 6', got: String(type) });
  if (!Number.isFinite(score)) throw new TokenizerError({ what: name, expected: 'a finite score', got: String(score) });
  return { piece, score, type: typeName };
}

function checkModelType(type: number, name: string): void {
  if (type === 1) return;
  throw new TokenizerError({
    what: name,
    expected: 'a unigram model',
    got: MODEL_TYPES[type - 1] ?? `type ${type}`,
    fix: 'use the tokenizer.json of the model; transformers writes one with save_pretrained',
  });
}

function bytesOf(field: ProtoField, name: string, what: string): Uint8Array {
  if (field.bytes !== undefined) return field.bytes;
  throw new TokenizerError({ what: name, expected: `${what} as field ${field.id}`, got: 'a number' });
}

function numberOf(field: ProtoField, name: string): number {
  if (field.value !== undefined) return field.value;
  throw new TokenizerError({ what: name, expected: 'a number', got: 'bytes' });
}

function textOf(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new TokenizerError({ what: name, expected: 'text in UTF-8', got: show([...bytes]) });
  }
}

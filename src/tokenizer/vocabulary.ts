import type { JsonField } from './jsonField.ts';

/** Tokens and their ids, as an object. */
export function readVocab(json: JsonField): Map<string, number> {
  const vocab = new Map<string, number>();
  for (const [token, id] of Object.entries(json.members())) {
    vocab.set(token, isId(id) ? id : json.get(token).fail('a token id'));
  }
  return vocab;
}

function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0x7fffffff;
}

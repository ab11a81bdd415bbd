import type { JsonField } from './jsonField.ts';

/** Tokens and their ids, as an object. */
export function readVocab(json: JsonField): Map<string, number> {
  const vocab = new Map<string, number>();
  const members = json.members();
  for (const token of Object.keys(members)) {
    const id = members[token];
    vocab.set(token, isId(id) ? id : json.get(token).fail('a token id'));
  }
  return vocab;
}

function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0x7fffffff;
}

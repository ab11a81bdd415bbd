import { ConfigError, TokenizerError } from '../../errors.ts';
import type { TextInput, Tokenizer } from '../../tokenizer/index.ts';

/** A folder, as the hub's `openFiles` gives it. */
interface ModelFiles {
  read(path: string): Promise<Uint8Array | undefined>;
}

/** A vocabulary with fewer tokens. */
export interface PrunedVocabulary {
  /** Old ids of the tokens that stay, rising; their places are the new ids. For `prunedFiles`. */
  ids: number[];
  /** The tokenizer's files, for the new ids. Files of SentencePiece are left out: tokenizer.json says the same. */
  files: Map<string, Uint8Array>;
}

/** The `model` of a tokenizer.json, of whatever type. */
interface TokenModel {
  type?: string;
  vocab: Record<string, number> | [token: string, score: number][];
  merges?: (string | [string, string])[];
  unk_id?: number | null;
  [field: string]: unknown;
}

interface TokenizerJson {
  model: TokenModel;
  added_tokens?: { id: number; content: string }[];
  post_processor?: unknown;
  padding?: { pad_id: number } | null;
}

/**
 * Leaves of a vocabulary the tokens that texts are made of, special and added tokens, single characters (those beyond ASCII
 * where the texts have them), and what byte-pair encoding joins on the way. So these texts are cut as before, and others
 * into more tokens. Source: Abdaoui et al. 2020, arXiv:2010.05609.
 *
 * @param files   of the tokenizer
 * @param minimum how often a token stands in the texts, to stay
 * @throws TokenizerError for a tokenizer that has only a file of SentencePiece; ConfigError for no texts
 */
export async function prunedVocabulary(
  files: ModelFiles,
  tokenizer: Tokenizer,
  texts: Iterable<TextInput>,
  { minimum = 1 } = {},
): Promise<PrunedVocabulary> {
  const json = await readTokenizer(files);
  const names = new Map(entriesOf(json.model).map(([token, id]) => [id, token]));
  for (const { id, content } of json.added_tokens ?? []) names.set(id, content);
  const kept = new Set(json.added_tokens?.map(({ id }) => id));
  const { clsTokenId, sepTokenId, padTokenId, unkTokenId, maskTokenId } = tokenizer;
  for (const id of [clsTokenId, sepTokenId, padTokenId, unkTokenId, maskTokenId]) if (id !== undefined) kept.add(id);
  const { added_tokens_decoder: added = {} } = (await readJson(files, 'tokenizer_config.json')) ?? {};
  for (const id of Object.keys(added as object)) if (names.has(Number(id))) kept.add(Number(id));
  const counts = countTokens(tokenizer, texts);
  const characters = new Set<string>();
  for (const [id, count] of counts) {
    for (const character of names.get(id) ?? '') characters.add(character);
    if (count >= minimum) kept.add(id);
  }
  const isBytes = json.model.type === 'BPE';
  for (const [token, id] of entriesOf(json.model)) {
    const [character, ...others] = token.replace(/^##(?=.)/u, '');
    if (others.length === 0 && (isBytes || character < '\x80' || characters.has(character))) kept.add(id);
  }
  const merges = json.model.merges && keepMerges(json.model, kept);
  const ids = [...kept].sort((a, b) => a - b);
  const now = new Map(ids.map((id, i) => [id, i]));
  const model = { ...renumbered(json.model, now), ...(merges && { merges }) };
  return { ids, files: await rewrite(files, { ...json, model }, now, names) };
}

function countTokens(tokenizer: Tokenizer, texts: Iterable<TextInput>): Map<number, number> {
  const counts = new Map<number, number>();
  for (const text of texts) {
    for (const id of tokenizer.encode(text).inputIds) counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  if (counts.size > 0) return counts;
  throw new ConfigError({ what: 'texts for a vocabulary', expected: 'at least one', got: 'none' });
}

async function readTokenizer(files: ModelFiles): Promise<TokenizerJson> {
  const text = async (name: string) => {
    const bytes = await files.read(name);
    return bytes && new TextDecoder().decode(bytes);
  };
  const json = await readJson(files, 'tokenizer.json');
  if (json !== undefined) return json as unknown as TokenizerJson;
  const [words, vocabulary, merges] = [await text('vocab.txt'), await text('vocab.json'), await text('merges.txt')];
  if (words !== undefined) {
    const vocab = Object.fromEntries(lines(words).map((token, id) => [token, id]));
    return { model: { type: 'WordPiece', vocab } };
  }
  if (vocabulary !== undefined && merges !== undefined) {
    const pairs = lines(merges).filter((line) => !line.startsWith('#version'));
    return { model: { type: 'BPE', vocab: JSON.parse(vocabulary) as Record<string, number>, merges: pairs } };
  }
  throw new TokenizerError({
    what: 'tokenizer whose vocabulary is to be pruned',
    expected: 'tokenizer.json, vocab.txt, or vocab.json and merges.txt',
    got: 'none of them',
    fix: "write a tokenizer.json with transformers' save_pretrained",
  });
}

async function readJson(files: ModelFiles, name: string): Promise<Record<string, unknown> | undefined> {
  const bytes = await files.read(name);
  return bytes && (JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>);
}

const lines = (text: string) => text.replace(/\r?\n$/, '').split(/\r?\n/);

function entriesOf({ vocab }: TokenModel): [token: string, id: number][] {
  return Array.isArray(vocab) ? vocab.map(([token], id) => [token, id]) : Object.entries(vocab);
}

function renumbered(model: TokenModel, now: ReadonlyMap<number, number>): TokenModel {
  const { vocab, unk_id: unknown } = model;
  if (Array.isArray(vocab)) {
    const kept = vocab.filter((_, id) => now.has(id));
    return { ...model, vocab: kept, ...(typeof unknown === 'number' && { unk_id: now.get(unknown)! }) };
  }
  const kept = Object.entries(vocab).flatMap(([token, id]) => (now.has(id) ? [[token, now.get(id)!] as const] : []));
  return { ...model, vocab: Object.fromEntries(kept.sort(([, a], [, b]) => a - b)) };
}

/** The merges that make kept tokens out of characters, in their order; what they make on the way is kept too. */
function keepMerges({ vocab, merges = [] }: TokenModel, kept: Set<number>): (string | [string, string])[] {
  const ids = vocab as Record<string, number>;
  const pairs = merges.map((merge) => (typeof merge === 'string' ? (merge.split(' ') as [string, string]) : merge));
  const ranks = new Map(pairs.map(([a, b], rank) => [`${a} ${b}`, rank]));
  const used = new Set<number>();
  const names = new Map(Object.entries(ids).map(([token, id]) => [id, token]));
  for (const id of [...kept]) {
    const parts = [...(names.get(id) ?? '')];
    for (;;) {
      const found = parts.slice(1).map((part, i) => ranks.get(`${parts[i]} ${part}`) ?? Infinity);
      const rank = Math.min(...found);
      if (rank === Infinity) break;
      const place = found.indexOf(rank);
      parts.splice(place, 2, parts[place] + parts[place + 1]);
      used.add(rank);
      kept.add(ids[parts[place]]);
    }
  }
  return merges.filter((_, rank) => used.has(rank));
}

async function rewrite(
  files: ModelFiles,
  json: TokenizerJson,
  now: ReadonlyMap<number, number>,
  names: ReadonlyMap<number, string>,
): Promise<Map<string, Uint8Array>> {
  const made = new Map<string, Uint8Array>();
  const put = (name: string, text: string) => made.set(name, new TextEncoder().encode(text));
  const numbered = Object.fromEntries([...now].map(([old, id]) => [names.get(old) ?? '', id]));
  if (await files.read('tokenizer.json')) {
    const added = json.added_tokens?.map((token) => ({ ...token, id: now.get(token.id)! }));
    const padding = json.padding && { ...json.padding, pad_id: now.get(json.padding.pad_id) ?? 0 };
    const processor = json.post_processor && withIds(json.post_processor, numbered);
    put('tokenizer.json', JSON.stringify({ ...json, added_tokens: added, padding, post_processor: processor }));
  }
  if (await files.read('vocab.txt')) put('vocab.txt', [...now.keys()].map((id) => `${names.get(id)!}\n`).join(''));
  if (await files.read('vocab.json')) put('vocab.json', JSON.stringify(json.model.vocab));
  if (await files.read('merges.txt')) {
    const pairs = json.model.merges!.map((merge) => (typeof merge === 'string' ? merge : merge.join(' ')));
    put('merges.txt', ['#version: 0.2', ...pairs, ''].join('\n'));
  }
  const added = await readJson(files, 'added_tokens.json');
  if (added) put('added_tokens.json', JSON.stringify(pickKeys(added, numbered)));
  const config = await readJson(files, 'tokenizer_config.json');
  if (config) {
    const decoder = (config.added_tokens_decoder ?? {}) as Record<string, unknown>;
    const kept = Object.entries(decoder).filter(([id]) => now.has(Number(id)));
    const renamed = Object.fromEntries(kept.map(([id, token]) => [now.get(Number(id))!, token]));
    const changes = 'added_tokens_decoder' in config ? { added_tokens_decoder: renamed } : {};
    put('tokenizer_config.json', `${JSON.stringify({ ...config, ...changes }, null, 2)}\n`);
  }
  const map = await files.read('special_tokens_map.json');
  if (map) made.set('special_tokens_map.json', map);
  return made;
}

/** Ids of special tokens stand in a post-processor beside their names: `["[SEP]", 102]`, or `{ ids: [102], tokens: ["[SEP]"] }`. */
function withIds(value: unknown, ids: Readonly<Record<string, number>>): unknown {
  if (Array.isArray(value)) {
    const [token, id] = value as unknown[];
    const isPair = value.length === 2 && typeof token === 'string' && typeof id === 'number';
    return isPair ? [token, ids[token]] : value.map((item) => withIds(item, ids));
  }
  if (typeof value !== 'object' || value === null) return value;
  const { tokens, ids: old } = value as Record<string, unknown>;
  const own = Array.isArray(tokens) && Array.isArray(old) && { ids: (tokens as string[]).map((token) => ids[token]) };
  const entries = Object.entries(value).map(([key, item]) => [key, withIds(item, ids)]);
  return { ...(Object.fromEntries(entries) as object), ...own };
}

const pickKeys = (of: Record<string, unknown>, ids: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.keys(of).flatMap((token) => (token in ids ? [[token, ids[token]]] : [])));

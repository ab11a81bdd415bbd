import { show, TokenizerError } from '../errors.ts';
import type { JsonField } from './jsonField.ts';
import type { Model } from './model.ts';
import type { NormalizedString } from './normalizedString.ts';
import { PrefixTrie } from './prefixTrie.ts';
import type { TokenizedText } from './tokenizedText.ts';

/** An unknown character costs this much more than the least likely token. */
const UNKNOWN_PENALTY = 10;

export interface UnigramOptions {
  /** What messages call the vocabulary: its file. */
  name?: string;
  /** Tokens and the logarithms of their probabilities, by id. */
  vocab: readonly (readonly [string, number])[];
  unkId: number | undefined;
  /** Spell unknown text in bytes (`<0xE4>`), where the vocabulary has them all. */
  byteFallback: boolean;
}

/**
 * Unigram (Kudo 2018, as SentencePiece and the Rust tokenizers do it): of all ways to cut a word into tokens, the one of
 * the highest total score, found by Viterbi's algorithm. Characters that no token covers are unknown; those side by side
 * make one unknown token.
 */
export class Unigram implements Model {
  readonly vocabSize: number;
  readonly #tokens: readonly string[]; // by id
  readonly #vocab: ReadonlyMap<string, number>;
  readonly #scores: Float64Array; // by id
  readonly #trie: PrefixTrie;
  readonly #unkId: number; // -1 for none
  readonly #unkScore: number;
  readonly #byteIds: readonly (number | undefined)[];
  readonly #name: string;
  // The best way to each index of a word: its score, the token it ends with, and where that begins (-1: no way yet).
  #best = new Float64Array(64);
  #ids = new Int32Array(64);
  #begins = new Int32Array(64);
  #path = new Int32Array(64);

  /** @throws TokenizerError when there is no token of the unknown id */
  constructor({ name = 'vocabulary', vocab, unkId, byteFallback }: UnigramOptions) {
    if (unkId !== undefined && unkId >= vocab.length) {
      const expected = `an unk_id among its ${vocab.length} tokens`;
      throw new TokenizerError({ what: name, expected, got: String(unkId) });
    }
    this.#name = name;
    this.#tokens = vocab.map(([token]) => token);
    this.#vocab = new Map(this.#tokens.map((token, id) => [token, id])); // of a token that is there twice, the last counts
    this.#scores = Float64Array.from(vocab, ([, score]) => score);
    this.#trie = new PrefixTrie(this.#vocab);
    this.#unkId = unkId ?? -1;
    this.#unkScore = this.#scores.reduce((least, score) => Math.min(least, score), Infinity) - UNKNOWN_PENALTY;
    this.#byteIds = byteFallback ? Array.from({ length: 256 }, (_, byte) => this.#vocab.get(byteToken(byte))) : [];
    this.vocabSize = vocab.length;
  }

  /** @throws TokenizerError when a character is unknown and there is no token for that */
  tokenize(text: NormalizedString, start: number, end: number, tokens: TokenizedText): void {
    this.#findBestPath(text.codes, start, end);
    const path = this.#path; // where its tokens end, from the last to the first
    const ids = this.#ids;
    let count = 0;
    for (let at = end - start; at > 0; at = this.#begins[at]) path[count++] = at;
    let at = 0;
    while (count > 0) {
      let to = path[--count];
      const id = ids[to];
      if (id === this.#unkId) {
        while (count > 0 && ids[path[count - 1]] === id) to = path[--count];
        this.#pushUnknown(text, start + at, start + to, tokens);
      } else {
        tokens.push(id, text.starts[start + at], text.ends[start + to - 1]);
      }
      at = to;
    }
  }

  #findBestPath(codes: Int32Array, start: number, end: number): void {
    const length = end - start;
    if (length >= this.#best.length) this.#allocate(length + 1);
    const trie = this.#trie;
    const scores = this.#scores;
    const best = this.#best;
    const begins = this.#begins;
    const ids = this.#ids;
    begins.fill(-1, 0, length + 1);
    best[0] = 0;
    for (let at = 0; at < length; at++) {
      const bestHere = best[at];
      let isCovered = false; // by a token of this character alone
      let node = 0;
      for (let to = at; to < length;) {
        node = trie.step(node, codes[start + to++]);
        if (node < 0) break;
        const id = trie.value;
        if (id < 0) continue;
        const score = scores[id] + bestHere;
        if (begins[to] < 0 || score > best[to]) {
          best[to] = score;
          begins[to] = at;
          ids[to] = id;
        }
        if (to === at + 1) isCovered = true;
      }
      const score = this.#unkScore + bestHere;
      if (isCovered || (begins[at + 1] >= 0 && score <= best[at + 1])) continue;
      if (this.#unkId < 0) this.#failUnknown(codes[start + at]);
      best[at + 1] = score;
      begins[at + 1] = at;
      ids[at + 1] = this.#unkId;
    }
  }

  /** The text of unknown characters may be a token as a whole; else it is spelled in bytes, or left unknown. */
  #pushUnknown(text: NormalizedString, start: number, end: number, tokens: TokenizedText): void {
    const [from, to] = [text.starts[start], text.ends[end - 1]];
    const content = text.toString(start, end);
    const id = this.#vocab.get(content);
    if (id !== undefined) return tokens.push(id, from, to);
    if (this.#byteIds.length > 0) {
      const bytes = Array.from(new TextEncoder().encode(content), (byte) => this.#byteIds[byte]);
      if (bytes.every((byte) => byte !== undefined)) return bytes.forEach((byte) => tokens.push(byte, from, to));
    }
    tokens.pushContent(content, this.#unkId, from, to);
  }

  #failUnknown(code: number): never {
    throw new TokenizerError({
      what: this.#name,
      expected: `a token for ${show(String.fromCodePoint(code))}, or one for what is unknown`,
      got: 'neither',
      fix: 'give an unk_id',
    });
  }

  #allocate(length: number): void {
    const capacity = Math.max(length, 2 * this.#best.length);
    this.#best = new Float64Array(capacity);
    this.#begins = new Int32Array(capacity);
    this.#ids = new Int32Array(capacity);
    this.#path = new Int32Array(capacity);
  }

  tokenToId(token: string): number | undefined {
    return this.#vocab.get(token);
  }

  idToToken(id: number): string | undefined {
    return this.#tokens[id];
  }
}

/** The token that stands for a byte. */
function byteToken(byte: number): string {
  const digits = '0123456789ABCDEF';
  return `<0x${digits[byte >> 4]}${digits[byte & 15]}>`;
}

/** The Unigram model of a tokenizer.json, with scores as Rust reads them. */
export function readUnigram(json: JsonField): Unigram {
  return read(json, asRustReads);
}

/** The same with the very scores that are there. */
export function readExactUnigram(json: JsonField): Unigram {
  return read(json, (score) => score);
}

function read(json: JsonField, readScore: (score: number) => number): Unigram {
  const unkId = json.get('unk_id');
  const vocab = readPieces(json.get('vocab'));
  if (!unkId.isMissing && unkId.count() >= vocab.length) unkId.fail(`the id of one of ${vocab.length} tokens`);
  return new Unigram({
    name: `${json.file}: model.vocab`,
    vocab: vocab.map(([token, score]) => [token, readScore(score)]),
    unkId: unkId.optional((id) => id.count()),
    byteFallback: json.get('byte_fallback').optional((flag) => flag.boolean()) ?? false,
  });
}

/**
 * A number as Rust's serde_json reads it by default: its digits without the point, rounded to a float64, divided by a power
 * of ten, rounded again. The last bit may be wrong, and decides between ways to cut a word that are equally likely.
 */
function asRustReads(score: number): number {
  const text = String(score);
  const [whole, fraction] = text.split('.');
  if (fraction === undefined || fraction.includes('e')) return score;
  return Number(whole + fraction) / Number(`1e${fraction.length}`);
}

/** A list of [token, score], without a field for each: there may be hundreds of thousands. */
function readPieces(field: JsonField): (readonly [string, number])[] {
  const { value } = field;
  if (!Array.isArray(value)) return field.fail('an array');
  const wrong = (value as unknown[]).findIndex((entry) => !isPiece(entry));
  if (wrong >= 0) field.at(wrong).fail('a token and its score');
  return value as [string, number][];
}

function isPiece(entry: unknown): boolean {
  return Array.isArray(entry) && entry.length === 2 && typeof entry[0] === 'string' && typeof entry[1] === 'number';
}

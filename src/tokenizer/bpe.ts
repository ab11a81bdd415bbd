import { show, TokenizerError } from '../errors.ts';
import { Heap } from './heap.ts';
import type { JsonField } from './jsonField.ts';
import type { Model } from './model.ts';
import type { NormalizedString } from './normalizedString.ts';
import { PairTable } from './pairTable.ts';
import type { TokenizedText } from './tokenizedText.ts';
import { EMPTY_HASH, extendHash } from './tokenTable.ts';
import { readVocab } from './vocabulary.ts';
import { type Pieces, WordMemo } from './wordMemo.ts';

export interface BpeOptions {
  /** What messages call the vocabulary and the merges: their files. */
  name?: string;
  mergesName?: string;
  /** Id of each token. */
  vocab: ReadonlyMap<string, number>;
  /** Pairs of tokens to join, the first ones first. */
  merges: readonly (readonly [string, string])[];
  /** Stands for characters that are in no token; without it they are dropped. */
  unkToken?: string | undefined;
  /** What tokens begin with that do not begin a word, and end with that end one. */
  continuingSubwordPrefix?: string;
  endOfWordSuffix?: string;
  /** One unknown token for a run of them. */
  fuseUnk?: boolean;
  /** The tokens `<0x00>` to `<0xFF>` stand for the UTF-8 bytes of unknown characters. */
  byteFallback?: boolean;
  /** A word that is a token is left whole, whatever the merges say. */
  ignoreMerges?: boolean;
}

/**
 * Byte pair encoding (Sennrich et al. 2016): a word begins as its characters; again and again the pair of neighbours
 * that comes first in the list of merges is joined, until none is in the list.
 */
export class Bpe implements Model {
  readonly vocabSize: number;
  readonly #options: BpeOptions;
  readonly #tokens: string[] = []; // by id
  readonly #singles = new Map<number, number>(); // tokens of one code point
  readonly #pairs = new PairTable();
  readonly #ranks: Int32Array; // by number of the pair, as the one below
  readonly #merged: Int32Array; // id of the joined token
  readonly #memo = new WordMemo();
  #pieces: Pieces = { count: 0, ids: new Int32Array(2048), ends: new Int32Array(2048) }; // of the word at hand
  #begins = new Int32Array(2048); // of those that begin before the end of the one before
  readonly #heap = new Heap<number>((a, b) => a < b);
  // The symbols of a word while it is cut: a list linked both ways, in the order of the text.
  #ids = new Int32Array(0);
  #bytes = new Int32Array(0); // UTF-8 length, 0 once joined to the symbol before
  #next = new Int32Array(0);
  #previous = new Int32Array(0);
  #count = 0;

  /** @throws TokenizerError when two tokens share an id, or a merge has to do with a token that is not there */
  constructor(options: BpeOptions) {
    const { name = 'vocabulary', mergesName = 'merges', vocab, merges, continuingSubwordPrefix: prefix = '' } = options;
    this.#options = options;
    this.vocabSize = vocab.size;
    for (const [token, id] of vocab) {
      if (this.#tokens[id] !== undefined) {
        throw new TokenizerError({
          what: name,
          expected: 'one token for each id',
          got: `id ${id} for both ${show(this.#tokens[id])} and ${show(token)}`,
        });
      }
      this.#tokens[id] = token;
      const code = token.codePointAt(0);
      if (code !== undefined && token.length === (code > 0xffff ? 2 : 1)) this.#singles.set(code, id);
    }
    this.#ranks = new Int32Array(merges.length);
    this.#merged = new Int32Array(merges.length);
    merges.forEach(([first, second], rank) => {
      const ids = [first, second, first + second.slice(prefix.length)].map((token) => {
        const id = vocab.get(token);
        if (id !== undefined) return id;
        throw new TokenizerError({
          what: `${mergesName}: ${show(`${first} ${second}`)}`,
          expected: 'both tokens and what they join to in the vocabulary',
          got: `none that is ${show(token)}`,
          fix: 'check that the merges belong to this vocabulary',
        });
      });
      const pair = this.#pairs.add(ids[0], ids[1]);
      this.#ranks[pair] = rank; // of a pair that is there twice, the last counts
      this.#merged[pair] = ids[2];
    });
  }

  tokenize(text: NormalizedString, start: number, end: number, tokens: TokenizedText): void {
    const { starts, ends, codes } = text;
    let hash = EMPTY_HASH;
    for (let i = start; i < end; i++) hash = extendHash(hash, codes[i]);
    let overlapping = false;
    if (!this.#memo.recall(hash, codes, start, end - start, this.#pieces)) {
      overlapping = this.#cut(text, start, end);
      if (!overlapping) this.#memo.remember(hash, codes, start, end - start, this.#pieces);
    }
    const { count, ids, ends: pieceEnds } = this.#pieces;
    for (let k = 0, begin = start; k < count; k++) {
      if (overlapping) begin = start + this.#begins[k];
      const pieceEnd = start + pieceEnds[k];
      tokens.push(ids[k], starts[begin], ends[pieceEnd - 1]);
      begin = pieceEnd;
    }
  }

  tokenToId(token: string): number | undefined {
    return this.#options.vocab.get(token);
  }

  idToToken(id: number): string | undefined {
    return this.#tokens[id];
  }

  /**
   * Cuts a word into `#pieces`.
   *
   * @returns whether some begin before the end of the one before: tokens for bytes of the same character
   */
  #cut(text: NormalizedString, start: number, end: number): boolean {
    const { vocab, ignoreMerges } = this.#options;
    const whole = ignoreMerges ? vocab.get(text.toString(start, end)) : undefined;
    if (whole !== undefined) {
      this.#pieces.count = 1;
      this.#pieces.ids[0] = whole;
      this.#pieces.ends[0] = end - start;
      return false;
    }
    this.#begin(text.codes, start, end);
    this.#mergeAll();
    return this.#finish(text.codes, start, end);
  }

  /** The symbols of a word before any is joined. */
  #begin(codes: Int32Array, start: number, end: number): void {
    const { vocab, unkToken, fuseUnk, continuingSubwordPrefix = '', endOfWordSuffix = '' } = this.#options;
    this.#count = 0;
    let unknownBytes = 0; // of an unknown token that is not yet added
    const addUnknown = () => {
      if (unknownBytes > 0) this.#add(vocab.get(unkToken!) ?? this.#noUnknownToken(), unknownBytes);
      unknownBytes = 0;
    };
    for (let i = start; i < end; i++) {
      const code = codes[i];
      const prefix = i > start ? continuingSubwordPrefix : '';
      const suffix = i === end - 1 ? endOfWordSuffix : '';
      const plain = prefix === '' && suffix === '';
      const name = plain ? '' : prefix + String.fromCodePoint(code) + suffix;
      const id = plain ? this.#singles.get(code) : vocab.get(name);
      if (id !== undefined) {
        addUnknown();
        this.#add(id, utf8Length(code));
      } else if (!this.#addBytes(plain ? String.fromCodePoint(code) : name) && unkToken !== undefined) {
        if (!fuseUnk) addUnknown();
        unknownBytes += utf8Length(code);
      }
    }
    addUnknown();
  }

  /** The bytes of an unknown character, if there are tokens for them. */
  #addBytes(character: string): boolean {
    if (!this.#options.byteFallback) return false;
    const ids = Array.from(new TextEncoder().encode(character), (byte) =>
      this.#options.vocab.get(`<0x${HEX[byte >> 4]}${HEX[byte & 15]}>`),
    );
    if (ids.includes(undefined)) return false;
    for (const id of ids) this.#add(id!, 1);
    return true;
  }

  #add(id: number, bytes: number): void {
    if (this.#count === this.#ids.length) this.#grow();
    const at = this.#count++;
    this.#ids[at] = id;
    this.#bytes[at] = bytes;
    this.#previous[at] = at - 1;
    this.#next[at] = at + 1;
  }

  /** Joins pairs, the lowest rank first, and of that the leftmost. */
  #mergeAll(): void {
    const count = this.#count;
    const heap = this.#heap;
    const [ids, bytes, next, previous] = [this.#ids, this.#bytes, this.#next, this.#previous];
    const offer = (at: number) => {
      const pair = this.#pairs.find(ids[at], ids[next[at]]);
      if (pair >= 0) heap.push(this.#ranks[pair] * count + at);
    };
    for (let at = 0; at < count - 1; at++) offer(at);
    while (heap.size > 0) {
      const key = heap.pop();
      const rank = Math.floor(key / count);
      const at = key - rank * count;
      const right = next[at];
      if (bytes[at] === 0 || right >= count) continue;
      const pair = this.#pairs.find(ids[at], ids[right]);
      if (pair < 0 || this.#ranks[pair] !== rank) continue; // one of the two has changed since
      ids[at] = this.#merged[pair];
      bytes[at] += bytes[right];
      bytes[right] = 0;
      next[at] = next[right];
      if (next[at] < count) {
        previous[next[at]] = at;
        offer(at);
      }
      if (previous[at] >= 0) offer(previous[at]);
    }
  }

  /**
   * Where each symbol lies in the word. As in Rust, by adding up bytes: behind a character that was dropped, tokens seem
   * to lie before their place.
   */
  #finish(codes: Int32Array, start: number, end: number): boolean {
    if (this.#count > this.#begins.length) {
      const room = this.#ids.length;
      this.#pieces = { count: 0, ids: new Int32Array(room), ends: new Int32Array(room) };
      this.#begins = new Int32Array(room);
    }
    const pieces = this.#pieces;
    const last = end - start - 1;
    let overlapping = false;
    let code = 0; // the code point at hand, and the byte at which it ends
    let codeEnd = utf8Length(codes[start]);
    let byte = 0;
    pieces.count = 0;
    for (let at = 0; at < this.#count; at = this.#next[at]) {
      while (codeEnd <= byte && code < last) codeEnd += utf8Length(codes[start + ++code]);
      overlapping ||= pieces.count > 0 && pieces.ends[pieces.count - 1] !== code;
      this.#begins[pieces.count] = code;
      pieces.ids[pieces.count] = this.#ids[at];
      byte += this.#bytes[at];
      while (codeEnd < byte && code < last) codeEnd += utf8Length(codes[start + ++code]);
      pieces.ends[pieces.count++] = code + 1;
    }
    return overlapping;
  }

  /** Makes room for more symbols than ever. */
  #grow(): void {
    const grown = (array: Int32Array) => {
      const result = new Int32Array(Math.max(64, 2 * array.length));
      result.set(array);
      return result;
    };
    this.#ids = grown(this.#ids);
    this.#bytes = grown(this.#bytes);
    this.#next = grown(this.#next);
    this.#previous = grown(this.#previous);
  }

  #noUnknownToken(): never {
    throw new TokenizerError({
      what: this.#options.name ?? 'vocabulary',
      expected: `the unknown token ${show(this.#options.unkToken)} among its ${this.vocabSize} tokens`,
      fix: 'check that the vocabulary belongs to this model and that unk_token names one of its tokens',
    });
  }
}

const HEX = '0123456789ABCDEF';

function utf8Length(code: number): number {
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  return code < 0x10000 ? 3 : 4;
}

/** The BPE model of a tokenizer.json. */
export function readBpe(json: JsonField): Bpe {
  const flag = (key: string) => json.get(key).optional((field) => field.boolean()) ?? false;
  const text = (key: string) => json.get(key).optional((field) => field.string());
  const dropout = json.get('dropout');
  if (!dropout.isMissing && dropout.value !== 0) dropout.fail('null', 'dropout is for training: set it to null');
  const merges = json.get('merges');
  const items = merges.array((item) => item);
  const isOldForm = items.every(({ value }) => typeof value === 'string');
  return new Bpe({
    name: `${json.file}: model.vocab`,
    mergesName: `${json.file}: model.merges`,
    vocab: readVocab(json.get('vocab')),
    merges: isOldForm
      ? parseMerges(
          items.map((item) => item.string()),
          (index) => items[index].fail('two tokens with a space between'),
        )
      : items.map(readMerge),
    unkToken: text('unk_token'),
    continuingSubwordPrefix: text('continuing_subword_prefix') ?? '',
    endOfWordSuffix: text('end_of_word_suffix') ?? '',
    fuseUnk: flag('fuse_unk'),
    byteFallback: flag('byte_fallback'),
    ignoreMerges: flag('ignore_merges'),
  });
}

function readMerge(json: JsonField): [string, string] {
  const tokens = json.array((token) => token.string());
  return tokens.length === 2 ? [tokens[0], tokens[1]] : json.fail('a pair of tokens');
}

/**
 * Merges in their older form, as in a merges.txt: two tokens and a space between. Comments on the version are left out.
 *
 * @param fail called with the index of a line that is not of this form
 */
export function parseMerges(lines: readonly string[], fail: (index: number) => never): [string, string][] {
  const merges: [string, string][] = [];
  lines.forEach((line, index) => {
    if (line.startsWith('#version')) return;
    const parts = line.split(' ');
    merges.push(parts.length === 2 ? [parts[0], parts[1]] : fail(index));
  });
  return merges;
}

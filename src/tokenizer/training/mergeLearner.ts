import { Heap } from '../heap.ts';
import { PairTable } from '../pairTable.ts';

/** What both kinds of training have in common, with the names and meanings of the Rust `BpeTrainer`. */
export interface MergeOptions {
  /** Most tokens, special ones and the alphabet included. */
  vocabSize: number;
  /** How often a pair must occur to be joined. */
  minFrequency: number;
  /** Tokens that come first, in this order, whether or not they occur. */
  specialTokens: readonly string[];
  /** Most characters of the alphabet: the rarest are left out of the words. */
  limitAlphabet: number;
  /** Characters that are in the alphabet in any case. */
  initialAlphabet: readonly string[];
  /** What tokens begin with that do not begin a word; empty for none. */
  continuingSubwordPrefix: string;
  /** Tokens of a joined and a further token have fewer characters than this. */
  maxTokenLength: number;
}

export interface LearntMerges {
  /** By id. */
  tokens: string[];
  /** In the order in which they are done. */
  merges: [string, string][];
}

/**
 * Learns which pairs to join, as the Rust trainer does (Sennrich et al. 2016): begin with characters; join the pair of
 * neighbours that occurs most often, and so on. Of pairs as frequent as each other, that with the lower ids comes first.
 *
 * In Rust two things depend on the order of a hash table that is another in every run: the ids of characters with the
 * prefix, and who goes first of characters as rare as each other when the alphabet is limited. Here both go by code point.
 *
 * @param words how often each word occurs
 * @param onMerge told the number of tokens after each merge
 */
export function learnMerges(
  words: ReadonlyMap<string, number>,
  options: MergeOptions,
  onMerge: (tokens: number) => void = () => {},
): LearntMerges {
  const { vocabSize, minFrequency, continuingSubwordPrefix: prefix, maxTokenLength } = options;
  const { tokens, ids } = initialTokens(words, options);
  const corpus = new Corpus(words, ids, prefix, maxTokenLength);
  const lengths: number[] = tokens.map(() => 1); // of tokens, in characters
  const queue = new Heap<Candidate>((a, b) => {
    if (a.count !== b.count) return a.count > b.count;
    const { firsts, seconds } = corpus.pairs;
    if (firsts[a.pair] !== firsts[b.pair]) return firsts[a.pair] < firsts[b.pair];
    return seconds[a.pair] < seconds[b.pair];
  });
  const offerTouched = () => {
    for (const [pair, places] of corpus.takeTouched()) {
      if (corpus.counts[pair] > 0) queue.push({ pair, count: corpus.counts[pair], places });
    }
  };
  corpus.countPairs();
  offerTouched();
  const order: number[] = [];
  while (ids.size < vocabSize && queue.size > 0) {
    const top = queue.pop();
    const count = unsigned(corpus.counts[top.pair]);
    if (top.count !== count) {
      top.count = count; // it has changed since; back into the queue
      queue.push(top);
      continue;
    }
    if (count < Math.max(1, minFrequency)) break;
    const [first, second] = [corpus.pairs.firsts[top.pair], corpus.pairs.seconds[top.pair]];
    const token = tokens[first] + withoutPrefix(tokens[second], prefix);
    const id = ids.get(token) ?? tokens.length;
    if (id === tokens.length) {
      tokens.push(token);
      ids.set(token, id);
    }
    lengths[id] = lengths[first] + lengths[second];
    order.push(top.pair);
    for (const word of top.places) corpus.merge(word, first, second, id, lengths);
    offerTouched();
    onMerge(ids.size);
  }
  const last = new Map(order.map((pair, rank) => [pair, rank])); // of a pair done twice, the last counts
  const { firsts, seconds } = corpus.pairs;
  const merges = order
    .filter((pair, rank) => last.get(pair) === rank)
    .map((pair): [string, string] => [tokens[firsts[pair]], tokens[seconds[pair]]]);
  return { tokens, merges };
}

/** A pair that may be joined, with the words that it was found in. */
interface Candidate {
  pair: number;
  count: number;
  places: number[];
}

/** As Rust reads a negative count: as a very large one. Only a limit to the length of tokens brings that about. */
function unsigned(count: number): number {
  return count < 0 ? 2 ** 52 + count : count;
}

function withoutPrefix(token: string, prefix: string): string {
  return token.startsWith(prefix) ? token.slice(prefix.length) : token;
}

/** Special tokens, the alphabet, and those characters with the prefix that occur behind others. */
function initialTokens(words: ReadonlyMap<string, number>, options: MergeOptions) {
  const { specialTokens, limitAlphabet, initialAlphabet, continuingSubwordPrefix: prefix } = options;
  const tokens: string[] = [];
  const ids = new Map<string, number>();
  const add = (token: string) => {
    if (!ids.has(token)) ids.set(token, tokens.push(token) - 1);
  };
  specialTokens.forEach(add);
  const counts = new Map<number, number>();
  const behind = new Set<number>();
  for (const [word, count] of words) {
    for (let i = 0; i < word.length;) {
      const code = word.codePointAt(i)!;
      counts.set(code, (counts.get(code) ?? 0) + count);
      if (i > 0) behind.add(code);
      i += code > 0xffff ? 2 : 1;
    }
  }
  for (const character of initialAlphabet) counts.set(character.codePointAt(0)!, Infinity);
  const byCount = [...counts].sort(([a, countA], [b, countB]) => (countA === countB ? a - b : countB - countA));
  const alphabet = byCount.slice(0, limitAlphabet).map(([code]) => code);
  for (const code of alphabet.sort((a, b) => a - b)) add(String.fromCodePoint(code));
  if (prefix !== '') {
    for (const code of [...behind].sort((a, b) => a - b)) {
      const character = String.fromCodePoint(code);
      if (ids.has(character)) add(prefix + character);
    }
  }
  return { tokens, ids };
}

/** The words as tokens, with the numbers of all pairs of neighbours. */
class Corpus {
  readonly pairs = new PairTable();
  /** By pair. In 32 bits, as in Rust. */
  counts = new Int32Array(64);
  readonly #symbols: Int32Array; // of all words
  readonly #starts: Int32Array; // by word
  readonly #lengths: Int32Array;
  readonly #wordCounts: Int32Array;
  readonly #maxTokenLength: number;
  #touched = new Map<number, number[]>(); // words that a pair has come up in, by pair

  constructor(
    words: ReadonlyMap<string, number>,
    ids: ReadonlyMap<string, number>,
    prefix: string,
    maxTokenLength: number,
  ) {
    let characters = 0;
    for (const word of words.keys()) characters += word.length;
    this.#symbols = new Int32Array(characters);
    this.#starts = new Int32Array(words.size);
    this.#lengths = new Int32Array(words.size);
    this.#wordCounts = Int32Array.from(words.values());
    this.#maxTokenLength = maxTokenLength;
    let at = 0;
    let index = 0;
    for (const word of words.keys()) {
      this.#starts[index] = at;
      let isFirst = true;
      for (const character of word) {
        const id = ids.has(character) ? ids.get(isFirst ? character : prefix + character) : undefined;
        if (id !== undefined) this.#symbols[at++] = id;
        isFirst = false;
      }
      this.#lengths[index] = at - this.#starts[index];
      index++;
    }
  }

  countPairs(): void {
    for (let word = 0; word < this.#starts.length; word++) {
      const start = this.#starts[word];
      const end = start + this.#lengths[word];
      for (let at = start; at + 1 < end; at++) {
        this.#change(this.#symbols[at], this.#symbols[at + 1], this.#wordCounts[word], word);
      }
    }
  }

  /** Pairs that came up since the last call, each with its words. */
  takeTouched(): Map<number, number[]> {
    const touched = this.#touched;
    this.#touched = new Map();
    return touched;
  }

  /** Joins a pair everywhere in a word. */
  merge(word: number, first: number, second: number, joined: number, tokenLengths: readonly number[]): void {
    const symbols = this.#symbols;
    const count = this.#wordCounts[word];
    const start = this.#starts[word];
    const end = start + this.#lengths[word];
    const mayJoin = (other: number) => tokenLengths[other] + tokenLengths[joined] < this.#maxTokenLength;
    let write = start;
    for (let read = start; read < end; read++) {
      if (symbols[read] !== first || read + 1 >= end || symbols[read + 1] !== second) {
        symbols[write++] = symbols[read];
        continue;
      }
      read++;
      if (write > start) {
        const before = symbols[write - 1];
        this.#change(before, first, -count);
        if (mayJoin(before)) this.#change(before, joined, count, word);
      }
      symbols[write++] = joined;
      if (read + 1 < end) {
        const after = symbols[read + 1];
        this.#change(second, after, -count);
        if (mayJoin(after)) this.#change(joined, after, count, word);
      }
    }
    this.#lengths[word] = write - start;
  }

  #change(first: number, second: number, by: number, word = -1): void {
    const pair = this.pairs.add(first, second);
    if (pair >= this.counts.length) {
      const counts = new Int32Array(this.counts.length * 2);
      counts.set(this.counts);
      this.counts = counts;
    }
    this.counts[pair] += by;
    if (word < 0) return;
    const places = this.#touched.get(pair);
    if (places === undefined) this.#touched.set(pair, [word]);
    else if (places[places.length - 1] !== word) places.push(word);
  }
}

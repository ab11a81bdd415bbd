import type { JsonField } from './jsonField.ts';
import type { Model } from './model.ts';
import { NormalizedString } from './normalizedString.ts';
import type { Normalizer } from './normalizer.ts';
import { TokenTable } from './tokenTable.ts';
import { unicode, WHITESPACE, WORD_CHARACTER } from './unicode.ts';

/** A token that is found in the text as a whole, before the model sees it: `[MASK]`, or a word added to the vocabulary. */
export interface AddedToken {
  content: string;
  /** Match only between characters that are not of a word. */
  singleWord: boolean;
  /** Take the spaces on its left along. */
  lstrip: boolean;
  /** Take the spaces on its right along. */
  rstrip: boolean;
  /** Match the normalized content in the normalized text. */
  normalized: boolean;
  /** Left out of decoded text on request. */
  special: boolean;
}

/** A part of a text: an added token with its id, or what lies between two of them (id -1). Indices of code points. */
export interface Section {
  id: number;
  start: number;
  end: number;
}

/** The added tokens of a vocabulary, as Rust's `AddedVocabulary`: raw ones are looked for first, then normalized ones. */
export class AddedTokens {
  readonly #tokens = new Map<number, AddedToken>();
  readonly #ids = new Map<string, number>();
  readonly #names = new Map<number, string>();
  readonly #special = new Set<string>();
  /** Finds those that are looked for in the text as it is. */
  readonly raw: Matcher;
  /** Finds those that are looked for in the normalized text. */
  readonly normalized: Matcher;
  #nextId: number;
  readonly #model: Model;
  readonly #normalizer: Normalizer | undefined;

  constructor(tokens: readonly AddedToken[], model: Model, normalizer: Normalizer | undefined) {
    this.#model = model;
    this.#normalizer = normalizer;
    this.#nextId = model.vocabSize;
    for (const token of tokens) this.#add(token);
    this.raw = this.#matcher(false);
    this.normalized = this.#matcher(true);
  }

  /** A token that the model does not know gets the next free id. */
  #add(token: AddedToken): void {
    if (token.content === '') return;
    const id = this.#ids.get(token.content) ?? this.#model.tokenToId(token.content) ?? this.#nextId++;
    this.#tokens.set(id, token);
    this.#ids.set(token.content, id);
    this.#names.set(id, this.#patternOf(token));
    if (token.special) this.#special.add(token.content);
  }

  #patternOf({ content, normalized }: AddedToken): string {
    if (!normalized || !this.#normalizer) return content;
    const text = new NormalizedString(content);
    this.#normalizer.normalize(text);
    return text.toString();
  }

  #matcher(normalized: boolean): Matcher {
    const ids = [...this.#tokens.keys()].filter((id) => this.#tokens.get(id)!.normalized === normalized);
    return new Matcher(new Map(ids.map((id) => [this.#names.get(id)!, id])), this.#tokens);
  }

  tokenToId(token: string): number | undefined {
    return this.#ids.get(token);
  }

  /** As it reads in decoded text: normalized, if it is matched so. */
  idToToken(id: number): string | undefined {
    return this.#names.get(id);
  }

  isSpecial(token: string): boolean {
    return this.#special.has(token);
  }

  /** How many are not in the model's vocabulary. */
  get countBeyondModel(): number {
    return this.#nextId - this.#model.vocabSize;
  }
}

/** Finds the tokens of a table in a text: the leftmost, and of those the longest. */
class Matcher {
  readonly #table: TokenTable;
  readonly #tokens: ReadonlyMap<number, AddedToken>;
  readonly #firstCodes = new Uint8Array(256); // by the low byte, to pass over most of the text quickly
  readonly #patterns: string[];
  readonly #firstUnits: string[];

  constructor(patterns: ReadonlyMap<string, number>, tokens: ReadonlyMap<number, AddedToken>) {
    this.#table = new TokenTable(patterns);
    this.#tokens = tokens;
    this.#patterns = [...patterns.keys()].filter(Boolean);
    this.#firstUnits = [...new Set(this.#patterns.map((pattern) => pattern[0]))];
    for (const pattern of patterns.keys()) if (pattern) this.#firstCodes[pattern.codePointAt(0)! & 255] = 1;
  }

  /** How many tokens it finds. */
  get size(): number {
    return this.#patterns.length;
  }

  /** Whether a token may be in a text. Rarely true in vain. */
  canMatch(text: string): boolean {
    if (!this.#firstUnits.some((unit) => unit === '\ufffd' || text.includes(unit))) return false;
    // U+FFFD is also how a lone surrogate reads.
    return this.#patterns.some((pattern) => pattern.includes('\ufffd') || text.includes(pattern));
  }

  sections(text: NormalizedString): Section[] {
    const { codes, length } = text;
    const firstCodes = this.#firstCodes;
    const sections: Section[] = [];
    let covered = 0;
    for (let i = 0; i < length; i++) {
      if (firstCodes[codes[i] & 255] === 0) continue;
      const id = this.#table.longestPrefix(codes, i, length);
      if (id < 0) continue;
      const end = this.#table.matchEnd;
      const match = this.#match(id, i, end, covered, text);
      i = end - 1; // also after a match that does not count: what it spans is not looked at again
      if (!match) continue;
      if (covered < match.start) sections.push({ id: -1, start: covered, end: match.start });
      sections.push(match);
      covered = match.end;
    }
    if (covered < length) sections.push({ id: -1, start: covered, end: length });
    return sections;
  }

  /** The match with the spaces that belong to it, down to `covered` at most; undefined when it is only part of a word. */
  #match(id: number, start: number, end: number, covered: number, { codes, length }: NormalizedString) {
    const { classes } = unicode();
    const { singleWord, lstrip, rstrip } = this.#tokens.get(id)!;
    const isOf = (bit: number, index: number) => (classes[codes[index]] & bit) !== 0;
    const inWord = (index: number) => index >= 0 && index < length && isOf(WORD_CHARACTER, index);
    if (singleWord && (inWord(start - 1) || inWord(end))) return undefined;
    if (lstrip) while (start > covered && isOf(WHITESPACE, start - 1)) start--;
    if (rstrip) while (end < length && isOf(WHITESPACE, end)) end++;
    return { id, start, end };
  }
}

/** One entry of `added_tokens` in a tokenizer.json, or of `added_tokens_decoder` in a tokenizer_config.json. */
export function readAddedToken(json: JsonField): AddedToken {
  return {
    content: json.get('content').string(),
    singleWord: json.get('single_word').boolean(),
    lstrip: json.get('lstrip').boolean(),
    rstrip: json.get('rstrip').boolean(),
    normalized: json.get('normalized').boolean(),
    special: json.get('special').boolean(),
  };
}

import { show, TokenizerError } from '../errors.ts';
import type { JsonField } from './jsonField.ts';
import type { Model } from './model.ts';
import type { NormalizedString } from './normalizedString.ts';
import { PrefixTrie } from './prefixTrie.ts';
import type { TokenizedText } from './tokenizedText.ts';
import { readVocab } from './vocabulary.ts';

/** WordLevel: each word is a token, or unknown. Static embeddings use it. */
export class WordLevel implements Model {
  readonly vocabSize: number;
  readonly #vocab: ReadonlyMap<string, number>;
  readonly #tokens: string[] = []; // by id
  readonly #trie: PrefixTrie;
  readonly #unkToken: string;

  constructor(vocab: ReadonlyMap<string, number>, unkToken: string) {
    for (const [token, id] of vocab) this.#tokens[id] = token;
    this.#vocab = vocab;
    this.#trie = new PrefixTrie(vocab);
    this.#unkToken = unkToken;
    this.vocabSize = vocab.size;
  }

  /** @throws TokenizerError for an unknown word when the unknown token is not in the vocabulary */
  tokenize(text: NormalizedString, start: number, end: number, tokens: TokenizedText): void {
    const found = this.#trie.find(text.codes, start, end);
    const id = found >= 0 ? found : this.#vocab.get(this.#unkToken);
    if (id !== undefined) return tokens.push(id, text.starts[start], text.ends[end - 1]);
    throw new TokenizerError({
      what: 'vocabulary',
      expected: `the word ${show(text.toString(start, end))}, or the unknown token ${show(this.#unkToken)}`,
      got: 'neither',
    });
  }

  tokenToId(token: string): number | undefined {
    return this.#vocab.get(token);
  }

  idToToken(id: number): string | undefined {
    return this.#tokens[id];
  }
}

/** The WordLevel model of a tokenizer.json. */
export function readWordLevel(json: JsonField): WordLevel {
  return new WordLevel(readVocab(json.get('vocab')), json.get('unk_token').string());
}

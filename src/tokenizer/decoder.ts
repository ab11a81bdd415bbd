import type { Readers } from './jsonField.ts';

/** Last stage, on the way back: turns tokens into the pieces of a text, to be joined without anything between. */
export interface Decoder {
  decodeChain(tokens: string[]): string[];
}

/** Tokens with spaces between, for tokenizers without a decoder. */
export const plainDecoder: Decoder = { decodeChain: (tokens) => [tokens.join(' ')] };

/** The `decoder`s of a tokenizer.json for BERT. */
export const bertDecoders: Readers<Decoder> = {
  WordPiece: (json) => wordPieceDecoder(json.get('prefix').string(), json.get('cleanup').boolean()),
};

/** Glues continuations (`##…`) to the token before, and on request takes spaces out before punctuation. */
export function wordPieceDecoder(prefix: string, cleanup: boolean): Decoder {
  const join = (token: string, index: number) => {
    if (index === 0) return token;
    return token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
  };
  return {
    decodeChain: (tokens) => tokens.map(join).map((piece) => (cleanup ? cleanUp(piece) : piece)),
  };
}

/** Clean-up of English spacing, one token at a time, so that only a token that holds all of a pattern is affected. */
const CLEAN_UP: readonly [string, string][] = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [' do not', " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

function cleanUp(piece: string): string {
  return CLEAN_UP.reduce((text, [from, to]) => text.replaceAll(from, to), piece);
}

import type { Decoder } from './decoder.ts';
import type { JsonField } from './jsonField.ts';
import { NormalizedString } from './normalizedString.ts';
import { type PreTokenizer, Splits } from './preTokenizer.ts';

const SPACE = 0x20;

/** Which words get the mark in front: all of them, only one at the very beginning of the text, or none. */
export type PrependScheme = 'always' | 'first' | 'never';

/** SentencePiece's way with spaces: each becomes a mark (`▁`), and a word begins with its mark. */
export class Metaspace implements PreTokenizer {
  readonly #mark: number;
  readonly #scheme: PrependScheme;
  readonly #split: boolean;
  #scratch = new NormalizedString();

  /** @param split whether to cut before each mark */
  constructor(replacement: string, scheme: PrependScheme, split: boolean) {
    this.#mark = replacement.codePointAt(0)!;
    this.#scheme = scheme;
    this.#split = split;
  }

  preTokenize(text: NormalizedString, words: Splits): Splits {
    const { codes, starts, ends } = text;
    const mark = this.#mark;
    const result = this.#scratch.clear(text.length + words.length);
    const pieces = new Splits();
    for (let i = 0; i < words.length; i++) {
      const [from, to] = [words.starts[i], words.ends[i]];
      let begin = result.length;
      const isPrepended = this.#scheme === 'always' || (this.#scheme === 'first' && starts[from] === 0);
      const first = codes[from];
      if (isPrepended && first !== mark && first !== SPACE) result.push(mark, starts[from], ends[from]);
      for (let at = from; at < to; at++) {
        const code = codes[at] === SPACE ? mark : codes[at];
        if (this.#split && code === mark) {
          pieces.push(begin, result.length);
          begin = result.length;
        }
        result.push(code, starts[at], ends[at]);
      }
      pieces.push(begin, result.length);
    }
    text.swap(result);
    return pieces;
  }
}

/** Marks become spaces again; those of the first token go, where one was put in front. */
export function metaspaceDecoder(replacement: string, scheme: PrependScheme): Decoder {
  return {
    decodeChain: (tokens) =>
      tokens.map((token, index) => token.replaceAll(replacement, index === 0 && scheme !== 'never' ? '' : ' ')),
  };
}

export function readMetaspace(json: JsonField): Metaspace {
  const split = json.get('split').optional((flag) => flag.boolean()) ?? true;
  return new Metaspace(readReplacement(json), readScheme(json), split);
}

export function readMetaspaceDecoder(json: JsonField): Decoder {
  return metaspaceDecoder(readReplacement(json), readScheme(json));
}

function readReplacement(json: JsonField): string {
  const field = json.get('replacement');
  const replacement = field.string();
  return [...replacement].length === 1 ? replacement : field.fail('one character');
}

/** Older files say `add_prefix_space` instead. */
function readScheme(json: JsonField): PrependScheme {
  const field = json.get('prepend_scheme');
  const scheme = field.optional((value) => value.string());
  const addPrefixSpace = json.get('add_prefix_space').optional((flag) => flag.boolean());
  if (scheme === undefined) return addPrefixSpace === false ? 'never' : 'always';
  if (scheme !== 'always' && scheme !== 'first' && scheme !== 'never')
    return field.fail('"always", "first" or "never"');
  if (addPrefixSpace === false && scheme !== 'never') field.fail('"never", as add_prefix_space is false');
  return scheme;
}

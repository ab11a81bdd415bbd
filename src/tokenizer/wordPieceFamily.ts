import { show, TokenizerError } from '../errors.ts';
import { nameOf, readText } from '../hub/index.ts';
import { AddedTokens, readAddedToken } from './addedTokens.ts';
import { BertNormalizer } from './bertNormalizer.ts';
import { wordPieceDecoder } from './decoder.ts';
import type { TokenizerFamily } from './familyTokenizer.ts';
import type { JsonField } from './jsonField.ts';
import type { PostProcessor } from './postProcessor.ts';
import { bertPreTokenizer } from './preTokenizer.ts';
import type { Pipeline, SpecialTokenNames } from './tokenizer.ts';
import { readTokenizerConfig } from './tokenizerConfig.ts';
import type { StageReaders } from './tokenizerJson.ts';
import { WordPiece } from './wordPiece.ts';

/** What tells the families whose vocabulary is a `vocab.txt` from each other. */
export interface WordPieceFamily {
  readonly specialTokens: Required<Pick<SpecialTokenNames, 'cls' | 'sep' | 'pad' | 'unk' | 'mask'>> & SpecialTokenNames;
  readonly readers: () => StageReaders;
  /** From the first and the last special token of a text, and their ids. */
  readonly postProcessor: (cls: readonly [string, number], sep: readonly [string, number]) => PostProcessor;
  /** Whether the mask token takes the spaces before it along. */
  readonly spaceBeforeMask: boolean;
}

export function wordPieceFamily(family: WordPieceFamily): TokenizerFamily {
  return {
    ...family,
    vocabulary: 'a vocab.txt',
    async fromVocabulary(files, config) {
      const vocab = await readText(files, 'vocab.txt');
      return vocab === undefined ? undefined : wordPiecePipeline(vocab, nameOf(files, 'vocab.txt'), config, family);
    },
  };
}

/**
 * The stages that transformers' `BertTokenizer` and its like put together around a vocabulary, a token a line or a list.
 *
 * @param name what messages call the vocabulary
 * @throws TokenizerError for a malformed field, or a vocabulary without the special tokens
 */
export function wordPiecePipeline(
  tokens: string | readonly string[],
  name: string,
  config: JsonField,
  family: WordPieceFamily,
): Pipeline {
  const lines = typeof tokens === 'string' ? linesOf(tokens) : tokens;
  if (!Array.isArray(lines) || !lines.every((token) => typeof token === 'string')) {
    throw new TokenizerError({ what: name, expected: 'text, or a list of tokens', got: show(tokens) });
  }
  const flag = (key: string) => config.get(key).optional((field) => field.boolean());
  const defaults = readTokenizerConfig(config, family.specialTokens);
  const special = { ...family.specialTokens, ...defaults.specialTokens };
  const vocab = new Map(lines.map((token, id) => [token, id])); // of a token that is there twice, the last counts
  const idOf = (token: string) => vocab.get(token) ?? missing(token, name, vocab.size);

  const normalizer = new BertNormalizer({
    cleanText: true,
    handleChineseChars: flag('tokenize_chinese_chars') ?? true,
    stripAccents: flag('strip_accents'),
    lowercase: flag('do_lower_case') ?? true,
  });
  idOf(special.pad);
  const cls = [special.cls, idOf(special.cls)] as const;
  const sep = [special.sep, idOf(special.sep)] as const;
  const model = new WordPiece({
    name,
    vocab,
    unkToken: special.unk,
    continuingSubwordPrefix: '##',
    maxInputCharsPerWord: 100,
  });
  const specialTokens = Object.values(special).filter((token) => vocab.has(token));
  const extra = config.get('added_tokens_decoder').optional((field) => field.entries()) ?? [];
  const addedTokens = [
    ...extra.map(([, entry]) => readAddedToken(entry)),
    ...specialTokens.map((content) => ({
      content,
      singleWord: false,
      lstrip: family.spaceBeforeMask && content === special.mask,
      rstrip: false,
      normalized: false,
      special: true,
    })),
  ];
  return {
    ...defaults,
    normalizer,
    preTokenizer: bertPreTokenizer,
    model,
    postProcessor: family.postProcessor(cls, sep),
    decoder: wordPieceDecoder('##', true),
    addedTokens: new AddedTokens(addedTokens, model, normalizer),
  };
}

/** Python's universal newlines; a last line without one counts too. */
function linesOf(text: string): string[] {
  const lines = text.split(/\r\n|\r|\n/);
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

function missing(token: string, name: string, size: number): never {
  throw new TokenizerError({
    what: name,
    expected: `the special token ${show(token)} among its ${size} tokens`,
    fix: 'check that it is the vocabulary of the model, and the special tokens in tokenizer_config.json',
  });
}

import { ConfigError, expectOptions, show } from '../../errors.ts';
import { BertNormalizer } from '../bertNormalizer.ts';
import { BertTokenizer } from '../bertTokenizer.ts';
import { ByteLevel, byteLevelAlphabet } from '../byteLevel.ts';
import { bertPreTokenizer } from '../preTokenizer.ts';
import { RobertaTokenizer } from '../robertaTokenizer.ts';
import type { Tokenizer } from '../tokenizer.ts';
import { toLowercase } from '../unicodeNormalizers.ts';
import { learnMerges, type MergeOptions } from './mergeLearner.ts';
import { countWords, type Texts } from './wordCounter.ts';

/** How far a training is: texts read, of an unknown number, or tokens of the vocabulary, of at most `total`. */
export interface TokenizerTrainingProgress {
  stage: 'texts' | 'tokens';
  done: number;
  total: number | undefined;
}

interface CommonOptions extends Partial<Omit<MergeOptions, 'continuingSubwordPrefix'>> {
  /** Told now and then how far it is. */
  onProgress?: (progress: TokenizerTrainingProgress) => void;
}

/** Options of `trainWordPiece`; defaults are those of Python's `BertWordPieceTokenizer`. */
export interface WordPieceTrainingOptions extends CommonOptions {
  /** What tokens begin with that do not begin a word. Default: `##`. */
  continuingSubwordPrefix?: string;
  /** Default: true, as `cleanText` and `handleChineseChars`. */
  lowercase?: boolean;
  cleanText?: boolean;
  handleChineseChars?: boolean;
  /** Default: as `lowercase`. */
  stripAccents?: boolean;
}

/** Options of `trainByteLevelBpe`; defaults are those of Python's `ByteLevelBPETokenizer`, with RoBERTa's special tokens. */
export interface ByteLevelBpeTrainingOptions extends CommonOptions {
  /** Put a space before each text. Default: false. */
  addPrefixSpace?: boolean;
  /** Default: false. */
  lowercase?: boolean;
}

/** A tokenizer and its vocabulary. */
export interface TrainedTokenizer<T extends Tokenizer> {
  tokenizer: T;
  /** The vocabulary, by id. */
  tokens: string[];
  /** The pairs that are joined, in their order. */
  merges: [string, string][];
  /** The content of a tokenizer.json, which the Rust `tokenizers` load too. */
  toJSON(): Record<string, unknown>;
  /** The contents of all its files by name: `tokenizer.json`, `tokenizer_config.json` and the vocabulary in its older form. */
  files(): Record<string, string>;
}

const BERT_SPECIAL_TOKENS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
const ROBERTA_SPECIAL_TOKENS = ['<s>', '<pad>', '</s>', '<unk>', '<mask>'];
const COMMON = ['vocabSize', 'minFrequency', 'specialTokens', 'limitAlphabet', 'initialAlphabet', 'maxTokenLength'];

/**
 * Trains a WordPiece vocabulary: the tokenizer of a new BERT. Equal to what the Rust trainer makes of the texts, which is
 * another in every run: characters with the prefix get their ids there in the order of a hash table, here by code point.
 *
 * @param texts anything that can be iterated over, now or later
 * @throws ConfigError for an option without sense
 * @throws InputError for what is not text
 */
export async function trainWordPiece(
  texts: Texts,
  options: WordPieceTrainingOptions = {},
): Promise<TrainedTokenizer<BertTokenizer>> {
  const flags = ['lowercase', 'cleanText', 'handleChineseChars', 'stripAccents'];
  const known = [...COMMON, ...flags, 'onProgress', 'continuingSubwordPrefix'];
  expectOptions('options of trainWordPiece', options, known);
  const { lowercase = true, cleanText = true, handleChineseChars = true, stripAccents } = options;
  const plan: MergeOptions = {
    ...mergeOptions(options, { limitAlphabet: 1000, specialTokens: BERT_SPECIAL_TOKENS }),
    continuingSubwordPrefix: options.continuingSubwordPrefix ?? '##',
  };
  for (const token of BERT_SPECIAL_TOKENS.slice(1, 4)) {
    if (plan.specialTokens.includes(token)) continue;
    throw new ConfigError({ what: 'specialTokens', expected: `${token} among them`, got: show(plan.specialTokens) });
  }
  const normalizer = new BertNormalizer({ cleanText, handleChineseChars, stripAccents, lowercase });
  const words = await countWords(texts, normalizer, bertPreTokenizer, textsProgress(options));
  const { tokens, merges } = learnMerges(words, plan, tokensProgress(options, plan));
  const idOf = (token: string) => [token, tokens.indexOf(token)];
  const json = {
    ...tokenizerJson(plan.specialTokens, tokens),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: cleanText,
      handle_chinese_chars: handleChineseChars,
      strip_accents: stripAccents ?? null,
      lowercase,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: { type: 'BertProcessing', sep: idOf('[SEP]'), cls: idOf('[CLS]') },
    decoder: { type: 'WordPiece', prefix: plan.continuingSubwordPrefix, cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: plan.continuingSubwordPrefix,
      max_input_chars_per_word: 100,
      vocab: vocabOf(tokens),
    },
  };
  const config = {
    tokenizer_class: 'BertTokenizer',
    do_lower_case: lowercase,
    strip_accents: stripAccents ?? null,
    tokenize_chinese_chars: handleChineseChars,
  };
  return {
    tokenizer: BertTokenizer.fromJSON(json, config),
    tokens,
    merges,
    toJSON: () => json,
    files: () => ({ ...jsonFiles(json, config), 'vocab.txt': tokens.map((token) => `${token}\n`).join('') }),
  };
}

/**
 * Trains a byte-level BPE: the tokenizer of a new RoBERTa. Equal to what the Rust trainer makes of the texts.
 *
 * @param texts anything that can be iterated over, now or later
 * @throws ConfigError for an option without sense
 * @throws InputError for what is not text
 */
export async function trainByteLevelBpe(
  texts: Texts,
  options: ByteLevelBpeTrainingOptions = {},
): Promise<TrainedTokenizer<RobertaTokenizer>> {
  expectOptions('options of trainByteLevelBpe', options, [...COMMON, 'onProgress', 'lowercase', 'addPrefixSpace']);
  const { lowercase = false, addPrefixSpace = false } = options;
  const common = mergeOptions(options, { limitAlphabet: Infinity, specialTokens: ROBERTA_SPECIAL_TOKENS });
  const initialAlphabet = [...byteLevelAlphabet(), ...common.initialAlphabet];
  const plan: MergeOptions = { ...common, initialAlphabet, continuingSubwordPrefix: '' };
  const normalizer = lowercase ? { normalize: toLowercase } : undefined;
  const preTokenizer = new ByteLevel({ addPrefixSpace, useRegex: true });
  const words = await countWords(texts, normalizer, preTokenizer, textsProgress(options));
  const { tokens, merges } = learnMerges(words, plan, tokensProgress(options, plan));
  const idOf = (token: string) => [token, tokens.indexOf(token)];
  const byteLevel = { type: 'ByteLevel', add_prefix_space: addPrefixSpace, trim_offsets: true, use_regex: true };
  const isRoberta = ['<s>', '</s>'].every((token) => plan.specialTokens.includes(token));
  const json = {
    ...tokenizerJson(plan.specialTokens, tokens),
    normalizer: lowercase ? { type: 'Lowercase' } : null,
    pre_tokenizer: byteLevel,
    post_processor: isRoberta
      ? {
          type: 'RobertaProcessing',
          sep: idOf('</s>'),
          cls: idOf('<s>'),
          trim_offsets: true,
          add_prefix_space: addPrefixSpace,
        }
      : byteLevel,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: vocabOf(tokens),
      merges,
    },
  };
  const config = { tokenizer_class: 'RobertaTokenizer', add_prefix_space: addPrefixSpace };
  return {
    tokenizer: RobertaTokenizer.fromJSON(json, config),
    tokens,
    merges,
    toJSON: () => json,
    files: () => ({
      ...jsonFiles(json, config),
      'vocab.json': `${JSON.stringify(json.model.vocab)}\n`,
      'merges.txt': ['#version: 0.2', ...merges.map((pair) => pair.join(' ')), ''].join('\n'),
    }),
  };
}

function mergeOptions(
  options: CommonOptions,
  defaults: Pick<MergeOptions, 'limitAlphabet' | 'specialTokens'>,
): Omit<MergeOptions, 'continuingSubwordPrefix'> {
  const { vocabSize = 30000, minFrequency = 2, initialAlphabet = [], maxTokenLength = Infinity } = options;
  const { limitAlphabet = defaults.limitAlphabet, specialTokens = defaults.specialTokens } = options;
  for (const [what, value] of Object.entries({ vocabSize, minFrequency, limitAlphabet, maxTokenLength })) {
    if (value === Infinity || (Number.isSafeInteger(value) && value >= 0)) continue;
    throw new ConfigError({ what, expected: 'a whole number, 0 or more', got: show(value) });
  }
  for (const [what, value] of Object.entries({ specialTokens, initialAlphabet })) {
    if (Array.isArray(value) && value.every((token) => typeof token === 'string' && token !== '')) continue;
    throw new ConfigError({ what, expected: 'a list of texts, none of them empty', got: show(value) });
  }
  const notOne = initialAlphabet.find((character) => Array.from(character).length !== 1);
  if (notOne !== undefined) {
    throw new ConfigError({ what: 'initialAlphabet', expected: 'characters', got: show(notOne) });
  }
  return { vocabSize, minFrequency, specialTokens, limitAlphabet, initialAlphabet, maxTokenLength };
}

/** What is told every so many texts or tokens, and at the end of neither. */
const TEXTS = 1000;
const TOKENS = 100;

function textsProgress({ onProgress }: CommonOptions) {
  return (done: number) => {
    if (done % TEXTS === 0) onProgress?.({ stage: 'texts', done, total: undefined });
  };
}

function tokensProgress({ onProgress }: CommonOptions, { vocabSize: total }: MergeOptions) {
  return (done: number) => {
    if (done % TOKENS === 0 || done === total) onProgress?.({ stage: 'tokens', done, total });
  };
}

function tokenizerJson(specialTokens: readonly string[], tokens: readonly string[]) {
  const added = [...new Set(specialTokens)].map((content) => ({
    id: tokens.indexOf(content),
    content,
    single_word: false,
    lstrip: content === '<mask>', // takes the space before it along, as in RoBERTa
    rstrip: false,
    normalized: false,
    special: true,
  }));
  return { version: '1.0', truncation: null, padding: null, added_tokens: added };
}

function vocabOf(tokens: readonly string[]): Record<string, number> {
  return Object.fromEntries(tokens.map((token, id) => [token, id]));
}

function jsonFiles(json: unknown, config: unknown): Record<string, string> {
  return {
    'tokenizer.json': `${JSON.stringify(json)}\n`,
    'tokenizer_config.json': `${JSON.stringify(config, null, 2)}\n`,
  };
}

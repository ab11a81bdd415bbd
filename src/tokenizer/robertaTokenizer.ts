import { TokenizerError } from '../errors.ts';
import { nameOf, readJson, readText } from '../hub/index.ts';
import { type AddedToken, AddedTokens, readAddedToken } from './addedTokens.ts';
import { Bpe, parseMerges } from './bpe.ts';
import { bpeReaders } from './bpeReaders.ts';
import { ByteLevel, byteLevelDecoder } from './byteLevel.ts';
import { FamilyTokenizer, type TokenizerFamily } from './familyTokenizer.ts';
import { JsonField } from './jsonField.ts';
import type { PostProcessor } from './postProcessor.ts';
import { debertaProcessing, robertaProcessing, type RobertaProcessingOptions } from './robertaProcessing.ts';
import type { Pipeline, SpecialTokenNames } from './tokenizer.ts';
import { readTokenizerConfig } from './tokenizerConfig.ts';
import { readVocab } from './vocabulary.ts';

/** What tells byte-level BPE of one family from that of another, where there is no tokenizer.json. */
interface ByteLevelFamily {
  /** For messages. */
  readonly model: string;
  readonly specialTokens: Required<SpecialTokenNames>;
  /** Whether the mask takes the space before it along. */
  readonly spaceBeforeMask: boolean;
  readonly postProcessor: (options: RobertaProcessingOptions) => PostProcessor;
}

const ROBERTA: ByteLevelFamily = {
  model: 'RoBERTa',
  specialTokens: { bos: '<s>', eos: '</s>', cls: '<s>', sep: '</s>', pad: '<pad>', unk: '<unk>', mask: '<mask>' },
  spaceBeforeMask: true,
  postProcessor: robertaProcessing,
};

const DEBERTA: ByteLevelFamily = {
  model: 'DeBERTa',
  specialTokens: { bos: '[CLS]', eos: '[SEP]', cls: '[CLS]', sep: '[SEP]', pad: '[PAD]', unk: '[UNK]', mask: '[MASK]' },
  spaceBeforeMask: false,
  postProcessor: debertaProcessing,
};

/**
 * The tokenizer of RoBERTa: words with the space before them, as UTF-8 bytes, cut by byte pair encoding. Without a
 * tokenizer.json, from `vocab.json` and `merges.txt`.
 */
export class RobertaTokenizer extends FamilyTokenizer {
  static readonly family: TokenizerFamily = /* @__PURE__ */ byteLevelFamily(ROBERTA);

  /**
   * From the parsed content of a `vocab.json`, the content of a `merges.txt` or its lines, and a
   * `tokenizer_config.json`, which may set `add_prefix_space`, `trim_offsets`, the special tokens and `model_max_length`.
   *
   * @throws TokenizerError for a malformed field, a vocabulary without the special tokens, or merges of another one
   */
  static fromVocab(
    vocab: unknown,
    merges: string | readonly string[],
    tokenizerConfig: unknown = {},
  ): RobertaTokenizer {
    return new RobertaTokenizer(fromVocab(vocab, merges, tokenizerConfig, ROBERTA));
  }
}

/** The tokenizer of DeBERTa's first version: RoBERTa's, with the special tokens of BERT, and spaces in the offsets. */
export class DebertaTokenizer extends FamilyTokenizer {
  static readonly family: TokenizerFamily = /* @__PURE__ */ byteLevelFamily(DEBERTA);

  /** As `RobertaTokenizer.fromVocab`, without `trim_offsets`. */
  static fromVocab(
    vocab: unknown,
    merges: string | readonly string[],
    tokenizerConfig: unknown = {},
  ): DebertaTokenizer {
    return new DebertaTokenizer(fromVocab(vocab, merges, tokenizerConfig, DEBERTA));
  }
}

function byteLevelFamily(family: ByteLevelFamily): TokenizerFamily {
  return {
    specialTokens: family.specialTokens,
    readers: bpeReaders,
    vocabulary: 'a vocab.json and a merges.txt',
    async fromVocabulary(files, config) {
      const vocab = await readJson(files, 'vocab.json');
      const merges = await readText(files, 'merges.txt');
      if (vocab === undefined || merges === undefined) return undefined;
      const field = new JsonField(nameOf(files, 'vocab.json'), vocab);
      return fromVocabFields(field, linesOf(merges), nameOf(files, 'merges.txt'), config, family);
    },
  };
}

function fromVocab(
  vocab: unknown,
  merges: string | readonly string[],
  tokenizerConfig: unknown,
  family: ByteLevelFamily,
): Pipeline {
  const lines = typeof merges === 'string' ? linesOf(merges) : merges;
  const config = new JsonField('tokenizer_config.json', tokenizerConfig);
  return fromVocabFields(new JsonField('vocab.json', vocab), lines, 'merges.txt', config, family);
}

/** The stages that transformers' tokenizer of the family puts together around a vocabulary. */
function fromVocabFields(
  json: JsonField,
  merges: readonly string[],
  name: string,
  config: JsonField,
  family: ByteLevelFamily,
): Pipeline {
  const flag = (key: string) => config.get(key).optional((field) => field.boolean());
  const defaults = readTokenizerConfig(config, family.specialTokens);
  const special = { ...family.specialTokens, ...defaults.specialTokens };
  const vocab = readVocab(json);
  const model = new Bpe({
    name: json.file,
    mergesName: name,
    vocab,
    merges: parseMerges(merges, (index) => {
      const expected = 'two tokens with a space between';
      throw new TokenizerError({ what: `${name}: line ${index + 1}`, expected, got: JSON.stringify(merges[index]) });
    }),
  });
  const idOf = (token: string): readonly [string, number] => {
    const id = vocab.get(token);
    if (id === undefined) {
      json.fail(
        `the special token ${JSON.stringify(token)} among its tokens`,
        `check that it is the vocabulary of a ${family.model}`,
      );
    }
    return [token, id];
  };
  const addPrefixSpace = flag('add_prefix_space') ?? false;
  return {
    ...defaults,
    normalizer: undefined,
    preTokenizer: new ByteLevel({ addPrefixSpace, useRegex: true }),
    model,
    postProcessor: family.postProcessor({
      cls: idOf(special.cls),
      sep: idOf(special.sep),
      trimOffsets: flag('trim_offsets') ?? true,
      addPrefixSpace,
    }),
    decoder: byteLevelDecoder,
    addedTokens: new AddedTokens(addedTokensOf(special, config, family), model, undefined),
  };
}

/** Special tokens as the config has them. One that it does not describe is plain, but for a mask that takes a space along. */
function addedTokensOf(
  special: Required<SpecialTokenNames>,
  config: JsonField,
  { spaceBeforeMask }: ByteLevelFamily,
): AddedToken[] {
  const described = config.get('added_tokens_decoder').optional((field) => field.entries()) ?? [];
  const extra = described.map(([, entry]) => readAddedToken(entry));
  const tokens = Object.entries(special).map(([role, content]): AddedToken => {
    const entry = config.get(`${role}_token`);
    const plain = { singleWord: false, lstrip: role === 'mask' && spaceBeforeMask, rstrip: false, normalized: false };
    if (typeof entry.value !== 'object' || entry.isMissing) return { content, ...plain, special: true };
    const flag = (key: string, otherwise: boolean) => entry.get(key).optional((field) => field.boolean()) ?? otherwise;
    return {
      content,
      singleWord: flag('single_word', false),
      lstrip: flag('lstrip', false),
      rstrip: flag('rstrip', false),
      normalized: flag('normalized', false),
      special: true,
    };
  });
  return [...extra, ...tokens.filter(({ content }) => extra.every((token) => token.content !== content))];
}

function linesOf(text: string): string[] {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

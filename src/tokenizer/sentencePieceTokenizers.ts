/**
 * The tokenizers that transformers (5.24) makes of a SentencePiece `.model` file: written as the tokenizer.json that it
 * would save, and read as such. A tokenizer.json beside the file goes first.
 */
import { type ModelFiles, nameOf } from '../hub/index.ts';
import { type AddedToken, readAddedToken } from './addedTokens.ts';
import { FamilyTokenizer, pipelineOf, type TokenizerFamily } from './familyTokenizer.ts';
import { JsonField } from './jsonField.ts';
import { readSentencePiece, type SentencePieceModel } from './sentencePiece.ts';
import { sentencePieceReaders } from './sentencePieceReaders.ts';
import type { Pipeline, SpecialTokenNames } from './tokenizer.ts';
import { readTokenizerConfig } from './tokenizerConfig.ts';
import { readExactUnigram } from './unigram.ts';

type Json = Record<string, unknown>;
type Vocab = (readonly [string, number])[];
type Roles = Required<SpecialTokenNames>;

/** How a family differs in what it makes of a model. */
interface SentencePieceFamily {
  /** The name of the `.model` file. */
  file: string;
  specialTokens: Roles;
  /** Pieces and scores by id, rearranged where the ids of the family are not those of the file. */
  vocab: (pieces: Vocab, special: Roles) => Vocab;
  unkId: (vocab: Vocab, special: Roles, model: SentencePieceModel) => number;
  normalizers: (charsmap: Json[], flag: (key: string, otherwise: boolean) => boolean) => Json[];
  /** What goes before Metaspace. */
  preTokenizers: (flag: (key: string, otherwise: boolean) => boolean) => Json[];
  /** With `add_prefix_space: false`. */
  schemeWithoutPrefix: 'never' | 'first';
  template: { pair: string; secondType: 0 | 1 };
  spaceBeforeMask: boolean;
}

const ROBERTA_TOKENS: Roles = {
  bos: '<s>',
  eos: '</s>',
  unk: '<unk>',
  sep: '</s>',
  pad: '<pad>',
  cls: '<s>',
  mask: '<mask>',
};

const ALBERT: SentencePieceFamily = {
  file: 'spiece.model',
  specialTokens: {
    bos: '[CLS]',
    eos: '[SEP]',
    unk: '<unk>',
    sep: '[SEP]',
    pad: '<pad>',
    cls: '[CLS]',
    mask: '[MASK]',
  },
  vocab: (pieces) => pieces,
  unkId: () => 1,
  normalizers: (charsmap, flag) => [
    replace({ String: '``' }, '"'),
    replace({ String: "''" }, '"'),
    ...(flag('keep_accents', false) ? [] : [{ type: 'NFKD' }, { type: 'StripAccents' }]),
    ...(flag('do_lower_case', true) ? [{ type: 'Lowercase' }] : []),
    ...charsmap,
  ],
  preTokenizers: () => [{ type: 'WhitespaceSplit' }],
  schemeWithoutPrefix: 'never',
  template: { pair: 'cls A sep B sep', secondType: 1 },
  spaceBeforeMask: false,
};

const XLM_ROBERTA: SentencePieceFamily = {
  file: 'sentencepiece.bpe.model',
  specialTokens: ROBERTA_TOKENS,
  // fairseq has four tokens of its own in front; the file begins with <unk>, <s>, </s>.
  vocab: (pieces, { bos, pad, eos, unk, mask }) => [...zero(bos, pad, eos, unk), ...pieces.slice(3), ...zero(mask)],
  unkId: () => 3,
  normalizers: (charsmap) => charsmap,
  preTokenizers: () => [{ type: 'WhitespaceSplit' }],
  schemeWithoutPrefix: 'never',
  template: { pair: 'bos A eos eos B eos', secondType: 0 },
  spaceBeforeMask: false,
};

const CAMEMBERT: SentencePieceFamily = {
  ...XLM_ROBERTA,
  vocab: (pieces, { pad, unk, mask }) => [
    ...zero('<s>NOTUSED', pad, '</s>NOTUSED', unk),
    ['<unk>NOTUSED', -100],
    ...pieces.slice(1),
    ...zero(mask),
  ],
  unkId: (vocab, { unk }) => vocab.findIndex(([piece]) => piece === unk),
  spaceBeforeMask: true,
};

/** Here transformers 5 leaves the normalization of the file out, unlike 4: NFC instead, and spaces put in order. */
const DEBERTA_V2: SentencePieceFamily = {
  file: 'spm.model',
  specialTokens: {
    bos: '[CLS]',
    eos: '[SEP]',
    unk: '[UNK]',
    sep: '[SEP]',
    pad: '[PAD]',
    cls: '[CLS]',
    mask: '[MASK]',
  },
  vocab: (pieces) => pieces,
  unkId: (vocab, { unk }, model) => {
    const found = vocab.findIndex(([piece, score]) => piece === unk && score === 0);
    return found >= 0 ? found : model.unkId;
  },
  normalizers: (_, flag) => [
    ...(flag('do_lower_case', false) ? [{ type: 'Lowercase' }] : []),
    replace({ Regex: '\\s{2,}|[\\n\\r\\t]' }, ' '),
    { type: 'NFC' },
    { type: 'Strip', strip_left: false, strip_right: true },
  ],
  preTokenizers: (flag) => (flag('split_by_punct', false) ? [{ type: 'Punctuation', behavior: 'Isolated' }] : []),
  schemeWithoutPrefix: 'first',
  template: { pair: 'cls A sep B sep', secondType: 1 },
  spaceBeforeMask: false,
};

function replace(pattern: Json, content: string): Json {
  return { type: 'Replace', pattern, content };
}

function zero(...tokens: string[]): Vocab {
  return tokens.map((token) => [token, 0]);
}

function sentencePieceFamily(family: SentencePieceFamily): TokenizerFamily {
  return {
    specialTokens: family.specialTokens,
    readers: sentencePieceReaders,
    vocabulary: `a ${family.file}`,
    async fromVocabulary(files: ModelFiles, config: JsonField) {
      const bytes = await files.read(family.file);
      return bytes && modelPipeline(bytes, nameOf(files, family.file), config, family);
    },
  };
}

function modelPipeline(bytes: Uint8Array, name: string, config: JsonField, family: SentencePieceFamily): Pipeline {
  const model = readSentencePiece(bytes, name);
  const flag = (key: string, otherwise: boolean) => config.get(key).optional((field) => field.boolean()) ?? otherwise;
  const special = { ...family.specialTokens, ...readTokenizerConfig(config, family.specialTokens).specialTokens };
  const vocab = family.vocab(
    model.pieces.map(({ piece, score }) => [piece, score]),
    special,
  );
  const ids = new Map(vocab.map(([piece], id) => [piece, id]));
  const addedTokens = addedTokensOf(model, config, special, family, ids);
  const charsmap = { type: 'Precompiled', precompiled_charsmap: model.charsmap };
  const metaspace = {
    type: 'Metaspace',
    replacement: '▁',
    prepend_scheme: flag('add_prefix_space', true) ? 'always' : family.schemeWithoutPrefix,
    split: true,
  };
  const normalizers = family.normalizers(model.charsmap.length > 0 ? [charsmap] : [], flag);
  const json = {
    added_tokens: addedTokens,
    normalizer: { type: 'Sequence', normalizers },
    pre_tokenizer: { type: 'Sequence', pretokenizers: [...family.preTokenizers(flag), metaspace] },
    model: { type: 'Unigram', vocab, unk_id: family.unkId(vocab, special, model), byte_fallback: false },
    post_processor: templateProcessing(family.template, special, ids),
    decoder: metaspace,
  };
  const readers = () => ({ ...sentencePieceReaders(), models: { Unigram: readExactUnigram } });
  return pipelineOf(new JsonField(name, json), config, { ...family, readers });
}

/** Those of the config first, then the special ones, then what the file has of pieces that are found whole. */
function addedTokensOf(
  model: SentencePieceModel,
  config: JsonField,
  special: Roles,
  family: SentencePieceFamily,
  ids: Map<string, number>,
): Json[] {
  const tokens = new Map<string, AddedToken>();
  const add = (token: AddedToken) => tokens.has(token.content) || tokens.set(token.content, token);
  const plain = { singleWord: false, lstrip: false, rstrip: false, normalized: false };
  const configured = config.get('added_tokens_decoder').optional((field) => field.entries()) ?? [];
  for (const [, entry] of configured) add(readAddedToken(entry));
  const { bos, eos, unk, sep, pad, cls, mask } = special;
  for (const content of [bos, eos, unk, sep, pad, cls, mask]) {
    add({ ...plain, content, special: true, lstrip: family.spaceBeforeMask && content === mask });
  }
  for (const { piece, type } of model.pieces) {
    if (type === 'control' || type === 'userDefined') add({ ...plain, content: piece, special: type === 'control' });
  }
  return [...tokens.values()].map(({ singleWord, ...token }) => {
    const id = ids.get(token.content) ?? ids.size;
    ids.set(token.content, id);
    return { ...token, single_word: singleWord, id };
  });
}

function templateProcessing(
  { pair, secondType }: SentencePieceFamily['template'],
  special: Roles,
  ids: ReadonlyMap<string, number>,
): Json {
  const used = new Map<string, Json>();
  const placed = (words: string[], isSecond: (index: number) => boolean) =>
    words.map((word, index) => {
      const type_id = isSecond(index) ? secondType : 0;
      if (word === 'A' || word === 'B') return { Sequence: { id: word, type_id } };
      const token = special[word as keyof Roles];
      used.set(token, { id: token, ids: [ids.get(token)], tokens: [token] });
      return { SpecialToken: { id: token, type_id } };
    });
  const words = pair.split(' ');
  return {
    type: 'TemplateProcessing',
    single: placed(words.slice(0, 3), () => false),
    pair: placed(words, (index) => index >= words.indexOf('B')),
    special_tokens: Object.fromEntries(used),
  };
}

/** The tokenizer of ALBERT. Without a tokenizer.json, from `spiece.model`. */
export class AlbertTokenizer extends FamilyTokenizer {
  static readonly family: TokenizerFamily = /* @__PURE__ */ sentencePieceFamily(ALBERT);
}

/** The tokenizer of XLM-RoBERTa. Without a tokenizer.json, from `sentencepiece.bpe.model`. */
export class XLMRobertaTokenizer extends FamilyTokenizer {
  static readonly family: TokenizerFamily = /* @__PURE__ */ sentencePieceFamily(XLM_ROBERTA);
}

/** The tokenizer of CamemBERT. Without a tokenizer.json, from `sentencepiece.bpe.model`. */
export class CamembertTokenizer extends FamilyTokenizer {
  static readonly family: TokenizerFamily = /* @__PURE__ */ sentencePieceFamily(CAMEMBERT);
}

/** The tokenizer of DeBERTa-v2 and v3. Without a tokenizer.json, from `spm.model`. */
export class DebertaV2Tokenizer extends FamilyTokenizer {
  static readonly family: TokenizerFamily = /* @__PURE__ */ sentencePieceFamily(DEBERTA_V2);
}

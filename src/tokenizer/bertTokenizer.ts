import { bertReaders } from './bertReaders.ts';
import { BertScanner } from './bertScanner.ts';
import { FamilyTokenizer, type TokenizerFamily } from './familyTokenizer.ts';
import { JsonField } from './jsonField.ts';
import { bertProcessing } from './postProcessor.ts';
import type { Pipeline } from './tokenizer.ts';
import { type WordPieceFamily, wordPieceFamily, wordPiecePipeline } from './wordPieceFamily.ts';

const BERT: WordPieceFamily = {
  specialTokens: { cls: '[CLS]', sep: '[SEP]', pad: '[PAD]', unk: '[UNK]', mask: '[MASK]' },
  readers: () => bertReaders,
  postProcessor: bertProcessing,
  spaceBeforeMask: false,
};

/** The tokenizer of BERT: words and punctuation, each cut into WordPieces. Without a tokenizer.json, from `vocab.txt`. */
export class BertTokenizer extends FamilyTokenizer {
  static readonly family: TokenizerFamily = /* @__PURE__ */ wordPieceFamily(BERT);

  constructor(pipeline: Pipeline) {
    super({ ...pipeline, scanner: BertScanner.for(pipeline) });
  }

  /**
   * From the content of a `vocab.txt`, a token a line, or the tokens themselves; and a `tokenizer_config.json`, which
   * may set `do_lower_case`, `strip_accents`, `tokenize_chinese_chars`, the special tokens and `model_max_length`.
   *
   * @throws TokenizerError for a malformed field, or a vocabulary without the special tokens
   */
  static fromVocab<T extends BertTokenizer>(
    this: new (pipeline: Pipeline) => T,
    vocab: string | readonly string[],
    tokenizerConfig: unknown = {},
  ): T {
    const config = new JsonField('tokenizer_config.json', tokenizerConfig);
    return new this(wordPiecePipeline(vocab, 'vocabulary', config, BERT));
  }
}

/** The tokenizer of DistilBERT, which is BERT's. */
export class DistilBertTokenizer extends BertTokenizer {}

/** The tokenizer of ELECTRA, which is BERT's. */
export class ElectraTokenizer extends BertTokenizer {}

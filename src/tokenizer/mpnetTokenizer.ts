import { bertReaders } from './bertReaders.ts';
import { FamilyTokenizer, type TokenizerFamily } from './familyTokenizer.ts';
import { JsonField } from './jsonField.ts';
import { bytePostProcessors, robertaProcessing } from './robertaProcessing.ts';
import type { Pipeline } from './tokenizer.ts';
import { type WordPieceFamily, wordPieceFamily, wordPiecePipeline } from './wordPieceFamily.ts';

const MPNET: WordPieceFamily = {
  specialTokens: { bos: '<s>', eos: '</s>', unk: '[UNK]', sep: '</s>', pad: '<pad>', cls: '<s>', mask: '<mask>' },
  readers: () => {
    const { RobertaProcessing } = bytePostProcessors;
    return { ...bertReaders, postProcessors: { ...bertReaders.postProcessors, RobertaProcessing } };
  },
  postProcessor: (cls, sep) => robertaProcessing({ cls, sep, trimOffsets: true, addPrefixSpace: false }),
  spaceBeforeMask: true,
};

/** The tokenizer of MPNet: the words of BERT between RoBERTa's special tokens. */
export class MPNetTokenizer extends FamilyTokenizer {
  static readonly family: TokenizerFamily = /* @__PURE__ */ wordPieceFamily(MPNET);

  /** From the content of a `vocab.txt` and a `tokenizer_config.json`, as `BertTokenizer.fromVocab`. */
  static fromVocab<T extends MPNetTokenizer>(
    this: new (pipeline: Pipeline) => T,
    vocab: string | readonly string[],
    tokenizerConfig: unknown = {},
  ): T {
    const config = new JsonField('tokenizer_config.json', tokenizerConfig);
    return new this(wordPiecePipeline(vocab, 'vocabulary', config, MPNET));
  }
}

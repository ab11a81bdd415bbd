import { FileError, show, TokenizerError } from '../errors.ts';
import { type ModelLocation, nameOf, openFiles, readJson, readText } from '../hub/index.ts';
import { AddedTokens, readAddedToken } from './addedTokens.ts';
import { BertNormalizer } from './bertNormalizer.ts';
import { bertReaders } from './bertReaders.ts';
import { BertScanner } from './bertScanner.ts';
import { wordPieceDecoder } from './decoder.ts';
import { JsonField } from './jsonField.ts';
import { bertProcessing } from './postProcessor.ts';
import { bertPreTokenizer } from './preTokenizer.ts';
import { type Pipeline, Tokenizer } from './tokenizer.ts';
import { readTokenizerConfig } from './tokenizerConfig.ts';
import { readTokenizerJson } from './tokenizerJson.ts';
import { WordPiece } from './wordPiece.ts';

const BERT_SPECIAL_TOKENS = { cls: '[CLS]', sep: '[SEP]', pad: '[PAD]', unk: '[UNK]', mask: '[MASK]' };

/** The tokenizer of BERT: words and punctuation, each cut into WordPieces. */
export class BertTokenizer extends Tokenizer {
  constructor(pipeline: Pipeline) {
    super({ ...pipeline, scanner: BertScanner.for(pipeline) });
  }

  /**
   * Loads the tokenizer of a model: its `tokenizer.json` or, without one, `vocab.txt`; and `tokenizer_config.json` if
   * there is one. Where both say how to normalize, `tokenizer.json` decides.
   *
   * @param location a folder, an address, or files already opened
   * @throws FileError when there is no tokenizer, or a file cannot be read
   * @throws ConfigError when a file is not JSON
   * @throws TokenizerError as `fromJSON` and `fromVocab` do
   */
  static async fromPretrained(location: ModelLocation): Promise<BertTokenizer> {
    const files = openFiles(location);
    const config = new JsonField(
      nameOf(files, 'tokenizer_config.json'),
      (await readJson(files, 'tokenizer_config.json')) ?? {},
    );
    const json = await readJson(files, 'tokenizer.json');
    if (json !== undefined) return fromJsonFields(new JsonField(nameOf(files, 'tokenizer.json'), json), config);
    const vocab = await readText(files, 'vocab.txt');
    if (vocab !== undefined) return fromVocabAndConfig(linesOf(vocab), nameOf(files, 'vocab.txt'), config);
    throw new FileError({
      what: files.location,
      expected: 'a tokenizer.json or a vocab.txt',
      got: 'neither',
      fix: 'give the folder that holds the tokenizer of the model',
    });
  }

  /**
   * From the parsed content of a `tokenizer.json` and a `tokenizer_config.json`.
   *
   * @throws TokenizerError for a malformed field, an unsupported stage or an inconsistent vocabulary
   */
  static fromJSON(tokenizerJson: unknown, tokenizerConfig: unknown = {}): BertTokenizer {
    const config = new JsonField('tokenizer_config.json', tokenizerConfig);
    return fromJsonFields(new JsonField('tokenizer.json', tokenizerJson), config);
  }

  /**
   * From the content of a `vocab.txt`, a token a line, or the tokens themselves; and a `tokenizer_config.json`, which
   * may set `do_lower_case`, `strip_accents`, `tokenize_chinese_chars`, the special tokens and `model_max_length`.
   *
   * @throws TokenizerError for a malformed field, or a vocabulary without the special tokens
   */
  static fromVocab(vocab: string | readonly string[], tokenizerConfig: unknown = {}): BertTokenizer {
    const lines = typeof vocab === 'string' ? linesOf(vocab) : vocab;
    if (!Array.isArray(lines) || !lines.every((token) => typeof token === 'string')) {
      throw new TokenizerError({ what: 'vocabulary', expected: 'text, or a list of tokens', got: show(vocab) });
    }
    return fromVocabAndConfig(lines, 'vocabulary', new JsonField('tokenizer_config.json', tokenizerConfig));
  }
}

function fromJsonFields(json: JsonField, config: JsonField): BertTokenizer {
  return new BertTokenizer(readTokenizerJson(json, readTokenizerConfig(config, BERT_SPECIAL_TOKENS), bertReaders));
}

/** The stages that transformers' `BertTokenizer` puts together around a vocabulary. */
function fromVocabAndConfig(lines: readonly string[], name: string, config: JsonField): BertTokenizer {
  const flag = (key: string) => config.get(key).optional((field) => field.boolean());
  const defaults = readTokenizerConfig(config, BERT_SPECIAL_TOKENS);
  const special = { ...BERT_SPECIAL_TOKENS, ...defaults.specialTokens };
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
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
  ];
  return new BertTokenizer({
    ...defaults,
    normalizer,
    preTokenizer: bertPreTokenizer,
    model,
    postProcessor: bertProcessing(cls, sep),
    decoder: wordPieceDecoder('##', true),
    addedTokens: new AddedTokens(addedTokens, model, normalizer),
  });
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
    fix: 'check that it is the vocabulary of a BERT model, and the special tokens in tokenizer_config.json',
  });
}

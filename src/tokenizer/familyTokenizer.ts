import { FileError } from '../errors.ts';
import { type ModelFiles, type ModelLocation, nameOf, openFiles, readJson } from '../hub/index.ts';
import { JsonField } from './jsonField.ts';
import { type Pipeline, type SpecialTokenNames, Tokenizer } from './tokenizer.ts';
import { readTokenizerConfig } from './tokenizerConfig.ts';
import { readTokenizerJson, type StageReaders } from './tokenizerJson.ts';

/** What tells the tokenizers of one family of models from those of another. */
export interface TokenizerFamily {
  /** Where the files do not say. */
  readonly specialTokens: SpecialTokenNames;
  /** The stages that a tokenizer.json of this family may have. */
  readonly readers: () => StageReaders;
  /** What serves instead of a tokenizer.json, for messages: `a vocab.txt`. */
  readonly vocabulary: string;
  /** The tokenizer of the vocabulary's own files and a tokenizer_config.json; `undefined` when the files are not there. */
  fromVocabulary(files: ModelFiles, config: JsonField): Promise<Pipeline | undefined>;
}

/** A class of tokenizers, for models of one family. */
export interface FamilyTokenizerClass<T extends Tokenizer = Tokenizer> {
  readonly family: TokenizerFamily;
  new (pipeline: Pipeline): T;
}

/** A tokenizer of one family of models: its class knows what their files leave unsaid. */
export abstract class FamilyTokenizer extends Tokenizer {
  /**
   * Loads the tokenizer of a model: its `tokenizer.json` or, without one, the files of its vocabulary; and
   * `tokenizer_config.json` if there is one. Where both say how to normalize, `tokenizer.json` decides.
   *
   * @param location a folder, an address, or files already opened
   * @throws FileError when there is no tokenizer, or a file cannot be read
   * @throws ConfigError when a file is not JSON
   * @throws TokenizerError for a malformed field, an unsupported stage or an inconsistent vocabulary
   */
  static async fromPretrained<T extends Tokenizer>(this: FamilyTokenizerClass<T>, location: ModelLocation): Promise<T> {
    return new this(await loadPipeline(openFiles(location), this.family));
  }

  /**
   * From the parsed content of a `tokenizer.json` and a `tokenizer_config.json`.
   *
   * @throws TokenizerError for a malformed field, an unsupported stage or an inconsistent vocabulary
   */
  static fromJSON<T extends Tokenizer>(
    this: FamilyTokenizerClass<T>,
    tokenizerJson: unknown,
    tokenizerConfig: unknown = {},
  ): T {
    const config = new JsonField('tokenizer_config.json', tokenizerConfig);
    return new this(pipelineOf(new JsonField('tokenizer.json', tokenizerJson), config, this.family));
  }
}

/** The stages of the tokenizer of a model. @throws as `FamilyTokenizer.fromPretrained` */
export async function loadPipeline(files: ModelFiles, family: TokenizerFamily): Promise<Pipeline> {
  const config = await readConfig(files);
  const json = await readJson(files, 'tokenizer.json');
  if (json !== undefined) return pipelineOf(new JsonField(nameOf(files, 'tokenizer.json'), json), config, family);
  const pipeline = await family.fromVocabulary(files, config);
  if (pipeline !== undefined) return pipeline;
  throw new FileError({
    what: files.location,
    expected: `a tokenizer.json or ${family.vocabulary}`,
    got: 'neither',
    fix: 'give the folder that holds the tokenizer of the model',
  });
}

/** tokenizer_config.json, or an empty object. */
export async function readConfig(files: ModelFiles): Promise<JsonField> {
  return new JsonField(nameOf(files, 'tokenizer_config.json'), (await readJson(files, 'tokenizer_config.json')) ?? {});
}

/** The stages that a tokenizer.json describes. */
export function pipelineOf(
  json: JsonField,
  config: JsonField,
  { specialTokens, readers }: Pick<TokenizerFamily, 'specialTokens' | 'readers'>,
): Pipeline {
  return readTokenizerJson(json, readTokenizerConfig(config, specialTokens), readers());
}

import { FileError } from '../errors.ts';
import { type ModelFiles, type ModelLocation, nameOf, openFiles, readJson } from '../hub/index.ts';
import { allReaders } from './allReaders.ts';
import { BertTokenizer, DistilBertTokenizer, ElectraTokenizer } from './bertTokenizer.ts';
import { type FamilyTokenizerClass, pipelineOf, readConfig } from './familyTokenizer.ts';
import { JsonField } from './jsonField.ts';
import {
  AlbertTokenizer,
  CamembertTokenizer,
  DebertaV2Tokenizer,
  XLMRobertaTokenizer,
} from './sentencePieceTokenizers.ts';
import { MPNetTokenizer } from './mpnetTokenizer.ts';
import { DebertaTokenizer, RobertaTokenizer } from './robertaTokenizer.ts';
import { Tokenizer } from './tokenizer.ts';

/** By `tokenizer_class`, without its `Fast`. */
const CLASSES: Readonly<Record<string, FamilyTokenizerClass>> = {
  AlbertTokenizer,
  BertTokenizer,
  CamembertTokenizer,
  DebertaTokenizer,
  DebertaV2Tokenizer,
  DistilBertTokenizer,
  ElectraTokenizer,
  MPNetTokenizer,
  RobertaTokenizer,
  XLMRobertaTokenizer,
};

/** By `model_type` of config.json, where that does not lead to the name of the class. */
const MODEL_TYPES: Readonly<Record<string, FamilyTokenizerClass>> = {
  albert: AlbertTokenizer,
  bert: BertTokenizer,
  camembert: CamembertTokenizer,
  deberta: DebertaTokenizer,
  'deberta-v2': DebertaV2Tokenizer,
  distilbert: DistilBertTokenizer,
  electra: ElectraTokenizer,
  mpnet: MPNetTokenizer,
  nomic_bert: BertTokenizer,
  roberta: RobertaTokenizer,
  'xlm-roberta': XLMRobertaTokenizer,
};

/** Which class a vocabulary is of that nothing else says. */
const VOCABULARIES: readonly FamilyTokenizerClass[] = [
  BertTokenizer,
  RobertaTokenizer,
  XLMRobertaTokenizer,
  AlbertTokenizer,
  DebertaV2Tokenizer,
];

/** Loads the tokenizer of any model of the family. */
export const AutoTokenizer = {
  /**
   * The tokenizer at a location. `tokenizer_class` in its tokenizer_config.json, else `model_type` in its config.json, says
   * of which class. What the tokenizer does is in `tokenizer.json` or, without one, up to that class and the files of its
   * vocabulary.
   *
   * @param location a folder, an address, or files already opened
   * @throws FileError when there is no tokenizer, or a file cannot be read
   * @throws ConfigError when a file is not JSON
   * @throws TokenizerError for a malformed field, an unsupported stage or an inconsistent vocabulary
   */
  async fromPretrained(location: ModelLocation): Promise<Tokenizer> {
    const files = openFiles(location);
    const config = await readConfig(files);
    const tokenizerClass = await classOf(files, config);
    const json = await readJson(files, 'tokenizer.json');
    if (json !== undefined) {
      const specialTokens = tokenizerClass?.family.specialTokens ?? {};
      const stages = new JsonField(nameOf(files, 'tokenizer.json'), json);
      const pipeline = pipelineOf(stages, config, { specialTokens, readers: allReaders });
      return tokenizerClass ? new tokenizerClass(pipeline) : new Tokenizer(pipeline);
    }
    for (const candidate of tokenizerClass ? [tokenizerClass] : VOCABULARIES) {
      const pipeline = await candidate.family.fromVocabulary(files, config);
      if (pipeline !== undefined) return new candidate(pipeline);
    }
    const wanted = tokenizerClass ? tokenizerClass.family.vocabulary : 'a vocabulary, such as a vocab.txt';
    throw new FileError({
      what: files.location,
      expected: `a tokenizer.json or ${wanted}`,
      got: 'neither',
      fix: 'give the folder that holds the tokenizer of the model',
    });
  },
};

async function classOf(files: ModelFiles, config: JsonField): Promise<FamilyTokenizerClass | undefined> {
  const name = config.get('tokenizer_class').optional((field) => field.string().replace(/Fast$/, ''));
  if (name !== undefined && Object.hasOwn(CLASSES, name)) return CLASSES[name];
  const model = new JsonField(nameOf(files, 'config.json'), (await readJson(files, 'config.json')) ?? {});
  const type = model.get('model_type').optional((field) => field.string()) ?? '';
  return Object.hasOwn(MODEL_TYPES, type) ? MODEL_TYPES[type] : undefined;
}

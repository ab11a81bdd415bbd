import { ConfigError, show } from '../errors.ts';
import { type ModelFiles, type ModelLocation } from '../hub/index.ts';
import { readConfig, type BertConfig, type ConfigClass } from './config.ts';
import * as families from './families/index.ts';
import { openModelFiles } from './files.ts';
import * as heads from './heads.ts';
import { BertModel } from './model.ts';
import { BertPreTrainedModel, loadModel, type LoadOptions, type ModelClass } from './preTrainedModel.ts';

type AnyModelClass = ModelClass<BertPreTrainedModel>;

/** Every model class of every family, by transformers' name for it. */
const classes = new Map<string, AnyModelClass>();
for (const [name, value] of Object.entries({ BertModel, ...heads, ...families })) {
  if (typeof value === 'function' && value.prototype instanceof BertPreTrainedModel) {
    classes.set(name, value as unknown as AnyModelClass);
  }
}

/** The config class of each family, by `model_type`. */
const configClasses = new Map<unknown, ConfigClass>(
  [...classes.values()].map(({ configClass }) => [configClass.family.modelType, configClass]),
);

/**
 * The config class for the content of a config.json; without a `model_type`, that of its `architectures`, or BERT's.
 *
 * @throws ConfigError if the family is not known here
 */
export function configClassOf(
  { model_type: type, architectures }: Record<string, unknown>,
  name = 'config.json',
): ConfigClass {
  const named = Array.isArray(architectures) ? classes.get(architectures[0] as string) : undefined;
  const configClass = configClasses.get(type ?? named?.configClass.family.modelType ?? 'bert');
  if (configClass !== undefined) return configClass;
  const expected = `one of ${[...configClasses.keys()].join(', ')}`;
  throw new ConfigError({ what: `${name}: model_type`, expected, got: show(type) });
}

/**
 * The config of a model of any family.
 *
 * @throws FileError if there is no config.json; ConfigError if it is malformed, or of a family that is not known here
 */
export function readAnyConfig(files: ModelFiles): Promise<BertConfig> {
  return readConfig(files, configClassOf);
}

/**
 * Loads the class that config.json names in `architectures`; without one, the bare encoder of its `model_type`.
 *
 * @throws ConfigError if this library has no such class; see `fromPretrained` for the rest
 */
export function loadAnyModel(location: ModelLocation, options: LoadOptions = {}): Promise<BertPreTrainedModel> {
  return loadArchitecture(location, undefined, options);
}

/** The same for the class of that name, whatever config.json names. */
export async function loadArchitecture(
  location: ModelLocation,
  architecture: string | undefined,
  options: LoadOptions = {},
): Promise<BertPreTrainedModel> {
  const files = openModelFiles(location);
  const config = await readAnyConfig(files);
  const name = architecture ?? config.architectures[0];
  const modelClass = name === undefined ? classOf(config, 'Model') : classes.get(name);
  if (modelClass === undefined) {
    throw new ConfigError({
      what: `${files.location}/config.json: architectures`,
      expected: `one of ${namesOf(config).join(', ')}`,
      got: `${name}`,
    });
  }
  const fits: boolean = config instanceof modelClass.configClass; // a BERT class takes any family's
  if (!fits) {
    throw new ConfigError({
      what: `${files.location}/config.json: architectures`,
      expected: `one of ${namesOf(config).join(', ')}, for model_type is ${config.family.modelType}`,
      got: `${name}`,
      fix: 'correct the one that is wrong',
    });
  }
  return loadModel(modelClass, config, files, options);
}

/** Names of the classes of a config's family. */
const namesOf = (config: BertConfig) =>
  [...classes.keys()].filter((name) => classes.get(name)!.configClass.family === config.family);

/** The class of a config's family whose name is any prefix and then `ending`. */
function classOf(config: BertConfig, ending: string): AnyModelClass | undefined {
  const name = namesOf(config).find((name) => name.endsWith(ending));
  return name === undefined ? undefined : classes.get(name);
}

/** transformers' name for the class of a model. */
export function architectureOf(model: BertPreTrainedModel): string {
  for (const [name, modelClass] of classes) if (modelClass === model.constructor) return name;
  return model.constructor.name; // a class of the caller's own
}

/** Picks a class by `model_type`. */
export interface AutoClass<M extends BertPreTrainedModel> {
  /**
   * Loads a checkpoint of any family. A head that it lacks is an error, unless `initializeMissing` is set.
   *
   * @throws ConfigError if the family has no such class; see `fromPretrained` of a model class for the rest
   */
  fromPretrained(location: ModelLocation, options?: LoadOptions): Promise<M>;
}

function auto<M extends BertPreTrainedModel>(ending: string): AutoClass<M> {
  return {
    async fromPretrained(location, options = {}) {
      const files = openModelFiles(location);
      const config = await readAnyConfig(files);
      const modelClass = classOf(config, ending);
      if (modelClass !== undefined) return (await loadModel(modelClass, config, files, options)) as M;
      throw new ConfigError({
        what: `${files.location}/config.json: model_type`,
        expected: `a family that has a class …${ending}`,
        got: config.family.modelType,
        fix: `load one of ${namesOf(config).join(', ')}`,
      });
    },
  };
}

/** The bare encoder of any family. `loadAnyModel` gives the class that the checkpoint was saved from. */
export const AutoModel = auto<BertModel>('Model');
export const AutoModelForPreTraining = auto<BertPreTrainedModel>('ForPreTraining');
export const AutoModelForMaskedLM = auto<heads.BertForMaskedLM>('ForMaskedLM');
export const AutoModelForNextSentencePrediction =
  auto<heads.BertForNextSentencePrediction>('ForNextSentencePrediction');
export const AutoModelForSequenceClassification =
  auto<heads.BertForSequenceClassification>('ForSequenceClassification');
export const AutoModelForTokenClassification = auto<heads.BertForTokenClassification>('ForTokenClassification');
export const AutoModelForQuestionAnswering = auto<heads.BertForQuestionAnswering>('ForQuestionAnswering');
export const AutoModelForMultipleChoice = auto<heads.BertForMultipleChoice>('ForMultipleChoice');

import { ConfigError } from '../errors.ts';
import { openFiles, type ModelLocation } from '../hub/index.ts';
import { readConfig } from './config.ts';
import * as heads from './heads.ts';
import { BertModel } from './model.ts';
import { loadModel, type BertPreTrainedModel, type LoadOptions, type ModelClass } from './preTrainedModel.ts';

/** Every model class, by the name that `architectures` gives it. */
const classes: Record<string, ModelClass<BertPreTrainedModel>> = { BertModel, ...heads };

/**
 * Loads the class that config.json names in `architectures`; without one, the bare encoder.
 *
 * @throws ConfigError if this library has no such class; see `fromPretrained` for the rest
 */
export async function loadAnyModel(location: ModelLocation, options: LoadOptions = {}): Promise<BertPreTrainedModel> {
  const files = openFiles(location);
  const config = await readConfig(files);
  const [name = 'BertModel'] = config.architectures;
  const modelClass = Object.hasOwn(classes, name) ? classes[name] : undefined;
  if (modelClass === undefined) {
    throw new ConfigError({
      what: `${files.location}/config.json: architectures`,
      expected: `one of ${Object.keys(classes).join(', ')}`,
      got: name,
    });
  }
  return loadModel(modelClass, config, files, options);
}

/** transformers' name for it. */
export const AutoModel = { fromPretrained: loadAnyModel };

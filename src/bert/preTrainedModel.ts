import { ConfigError, expectOptions, show } from '../errors.ts';
import type { ModelFiles, ModelLocation } from '../hub/index.ts';
import {
  Module,
  RandomStore,
  Weights,
  type ModelInputs,
  type PackedBatch,
  type ParameterStore,
} from '../layers/index.ts';
import { Engine, type Tensor, type WeightType } from '../tensor/index.ts';
import { openCheckpoint, type LoadReport } from './checkpoint.ts';
import { BertConfig, readConfig, type ConfigClass } from './config.ts';
import { openModelFiles } from './files.ts';
import type { Labels } from './losses.ts';
import type { ForwardOptions, ModelOutput } from './outputs.ts';

export interface LoadOptions {
  /** 'auto' runs the checkpoint as stored; 'f32' expands int8 weights; 'q8' rounds float weights to int8. Default 'auto'. */
  dtype?: 'auto' | WeightType;
  engine?: Engine;
  /** Start parameters that the checkpoint lacks at random, as a new head for fine-tuning needs. Default: they are an error. */
  initializeMissing?: boolean;
  /** Of `initializeMissing`. Default 0. */
  seed?: number;
  /**
   * Names of the classes of a new head, in place of those in config.json. A head that is there for as many classes stays; with
   * `initializeMissing`, one for another number of them is begun anew.
   */
  labels?: readonly string[];
}

/** A model class that a checkpoint can fill. */
export interface ModelClass<M extends BertPreTrainedModel> {
  new (config: BertConfig, weights: Weights): M;
  /** The family whose checkpoints it loads. */
  readonly configClass: ConfigClass;
}

/** What all models share: a config, an engine, and loading. */
export abstract class BertPreTrainedModel extends Module {
  static readonly configClass: ConfigClass = BertConfig;
  /** Of what it was made; a training may note here what the model has become. */
  config: BertConfig;
  readonly engine: Engine;
  /** What was found in the checkpoint; null for an untrained model. */
  loadReport: LoadReport | null = null;

  constructor(config: BertConfig, weights: Weights) {
    super(weights.path);
    const { configClass, name } = new.target;
    if (!(config instanceof configClass)) {
      const given: unknown = config;
      const got = given instanceof BertConfig ? `a ${given.constructor.name}` : show(given);
      throw new ConfigError({ what: `config of ${name}`, expected: `a ${configClass.name}`, got });
    }
    this.config = config;
    this.engine = weights.store.engine;
  }

  /** Called when all weights are there: makes one of two matrices that are meant to be the same, if they are. */
  tieWeights(): void {}

  abstract override forward(inputs: ModelInputs | PackedBatch, options?: ForwardOptions): ModelOutput;

  /**
   * The loss that transformers computes for the class, of an output of `forward`: a single number, whose gradients
   * `withGradients` gives.
   *
   * @throws InputError if labels are missing or malformed; ConfigError if the class has no loss
   */
  loss(_output: ModelOutput, _labels: Labels): Tensor {
    throw new ConfigError({
      what: 'loss',
      expected: 'a model with a head',
      got: `a ${this.constructor.name}`,
      fix: 'load another class',
    });
  }

  /** Trades time for memory in training; see `BertEncoder.gradientCheckpointing`. */
  gradientCheckpointingEnable(enabled = true): void {
    for (const module of this.modules()) {
      if ('gradientCheckpointing' in module) module.gradientCheckpointing = enabled;
    }
  }

  /**
   * Loads `config.json` and the weights (one safetensors file, or shards with their index).
   *
   * @param location a folder, an address, or any other source of files
   * @throws FileError, ConfigError, CheckpointError naming the file, and the tensor, that is at fault
   */
  static async fromPretrained<M extends BertPreTrainedModel>(
    this: ModelClass<M>,
    location: ModelLocation,
    options: LoadOptions = {},
  ): Promise<M> {
    const files = openModelFiles(location);
    const config = await readConfig(files, () => this.configClass);
    return loadModel(this, config, files, options);
  }
}

export async function loadModel<M extends BertPreTrainedModel>(
  modelClass: ModelClass<M>,
  config: BertConfig,
  files: ModelFiles,
  options: LoadOptions = {},
): Promise<M> {
  expectOptions('options of fromPretrained', options, ['dtype', 'engine', 'initializeMissing', 'seed', 'labels']);
  const { engine = new Engine(), dtype = 'auto', initializeMissing = false, seed = 0 } = options;
  if (!['auto', 'f32', 'q8'].includes(dtype)) {
    throw new ConfigError({ what: 'dtype', expected: '"auto", "f32" or "q8"', got: show(dtype) });
  }
  const fallback = initializeMissing ? new RandomStore(engine, config.initializerRange, seed) : null;
  const labels = options.labels ? { stored: config.numLabels, wanted: options.labels.length } : null;
  const checkpoint = await openCheckpoint(files, engine, dtype, fallback, config.family.prefix, labels);
  try {
    const model = new modelClass(
      options.labels ? config.withLabels(options.labels) : config,
      weightsOf(config, checkpoint),
    );
    model.loadReport = checkpoint.report();
    await checkpoint.fill();
    model.tieWeights();
    return model.eval();
  } finally {
    await checkpoint.close();
  }
}

/** Parameters of an untrained model; the same seed gives the same model. */
export function randomWeights(config: BertConfig, { engine = new Engine(), seed = 0 } = {}): Weights {
  if (!(config instanceof BertConfig)) {
    throw new ConfigError({ what: 'config of a model', expected: 'a BertConfig', got: show(config) });
  }
  return weightsOf(config, new RandomStore(engine, config.initializerRange, seed));
}

/** Parameters under the names that the config's family has for them. */
function weightsOf(config: BertConfig, store: ParameterStore): Weights {
  const { prefix, names = [] } = config.family;
  const renames = typeof names === 'function' ? names(config, (key) => store.has(key)) : names;
  return new Weights(store, '', prefix === 'bert' ? renames : [['bert', prefix], ...renames]);
}

import type { MultiHeadSelfAttention, PackedBatch, Renames, Weights } from '../../layers/index.ts';
import type { ActivationName } from '../../tensor/index.ts';
import type { BertConfig, BertConfigOptions, Check } from '../config.ts';

/**
 * What makes a family of models differ from BERT. One encoder serves them all: it asks `config.family` where they differ, and
 * what is left out here is as in BERT. README.md in this folder tells how to add one.
 */
export interface Family {
  /** `model_type` in config.json. */
  readonly modelType: string;
  /** What a model with a head puts before the names of its encoder: `bert` in `bert.encoder.layer.0…`. */
  readonly prefix: string;
  /** How config.json differs. */
  readonly config?: ConfigDifferences;
  /** How names in the checkpoint differ from BERT's: modules are built under BERT's names, and have these. */
  readonly names?: Renames;
  /** Which row of the position table a token takes. Default: that of its column. null: there is no table. */
  readonly positions?: PositionScheme | null;
  /** Whether a linear layer leads from the embeddings to the encoder (`embeddings_project`). Default: no. */
  readonly projects?: (config: BertConfig) => boolean;
  /** Paths of the layers below the encoder, in the order of computation; a path that comes again is the same layer. */
  readonly layerPaths?: (config: BertConfig) => string[];
  /** Makes the attention of each layer. Called once per encoder, whose weights hold what layers share. */
  readonly attention?: (config: BertConfig, encoder: Weights) => AttentionMaker;
  /** Whether the encoder has a pooler. Default: yes. */
  readonly pooler?: boolean;
  /** How heads differ. */
  readonly heads?: HeadDifferences;
}

/** Makes the attention of layer `index`, whose weights are `layer`. */
export type AttentionMaker = (layer: Weights, index: number) => MultiHeadSelfAttention;

export interface ConfigDifferences {
  /** Keys of config.json that have other names; null for an option that the family does not have: its default holds. */
  readonly keys?: Partial<Record<keyof BertConfigOptions, string | null>>;
  readonly defaults?: Partial<BertConfigOptions>;
  /** Options of the family's own, or checked in its own way: the key in config.json, what the value must be, the default. */
  readonly extra?: Readonly<Record<string, readonly [jsonKey: string, check: Check, defaultValue: unknown]>>;
  /** Keys of config.json that may only have the value given here. */
  readonly only?: readonly (readonly [jsonKey: string, supported: unknown])[];
}

export interface PositionScheme {
  /** The position of a text's first token: rows before it are for padding. */
  first(config: BertConfig): number;
  /** [totalTokens] */
  ids(batch: PackedBatch, config: BertConfig): Int32Array;
}

export interface HeadDifferences {
  /** Between the dense layer of a masked-language-model head and its norm. Default: `hiddenAct`. */
  readonly maskedLanguageModelActivation?: ActivationName;
  /** How sequences are classified, where it is not by a linear layer on the encoder's pooler. */
  readonly sequenceClassification?: (config: BertConfig) => FirstTokenHead;
  readonly multipleChoice?: (config: BertConfig) => FirstTokenHead;
  /** Dropout before the last layer, where it is not `classifierDropout ?? hiddenDropoutProb`, or none for answers. */
  readonly dropout?: {
    readonly tokenClassification?: (config: BertConfig) => number;
    readonly questionAnswering?: (config: BertConfig) => number;
    readonly multipleChoice?: (config: BertConfig) => number;
  };
}

/** A classifier of its own on the first token: dense, activation, linear. Paths are the checkpoint's. */
export interface FirstTokenHead {
  readonly dense: string;
  readonly activation: ActivationName;
  readonly classifier: string;
  /** Dropout before the dense layer; before the linear one there always is. */
  readonly dropoutFirst: number;
}

/** Positions by column, as in BERT. */
export const columns: PositionScheme = { first: () => 0, ids: (batch) => batch.columns };

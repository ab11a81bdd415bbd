import type { Module, PackedBatch, Relations, Renames, SelfAttention, Weights } from '../../layers/index.ts';
import type { ActivationName, Engine, Tensor } from '../../tensor/index.ts';
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
  readonly names?: Renames | ((config: BertConfig, has: (key: string) => boolean) => Renames);
  /** Which row of the position table a token takes. Default: that of its column. null: there is no table. */
  readonly positions?: PositionScheme | null | ((config: BertConfig) => PositionScheme | null);
  /** Whether a linear layer leads from the embeddings to the encoder (`embeddings_project`). Default: no. */
  readonly projects?: (config: BertConfig) => boolean;
  /** Whether one does so within the embeddings, before their norm, without a bias (`embed_proj`). Default: no. */
  readonly projectsBeforeNorm?: (config: BertConfig) => boolean;
  /** Whether untrained position embeddings are sines and cosines (Vaswani et al. 2017, §3.5). Default: no. */
  readonly sinusoidalPositions?: (config: BertConfig) => boolean;
  /** Paths of the layers below the encoder, in the order of computation; a path that comes again is the same layer. */
  readonly layerPaths?: (config: BertConfig) => string[];
  /** Makes the attention of each layer. Called once per encoder, whose weights hold what layers share. */
  readonly attention?: (config: BertConfig, encoder: Weights) => AttentionScheme;
  /** Makes the feed-forward network of each layer. Default: two linear layers. */
  readonly feedForward?: (config: BertConfig, layer: Weights) => FeedForwardNetwork;
  /** Norms before attention and feed-forward, and after the last layer, in place of those after each. Default: no. */
  readonly preNorm?: boolean;
  /** Which linear layers and norms of the encoder have no bias. Default: all have one. */
  readonly biases?: (config: BertConfig) => { attentionOutput?: boolean; norm?: boolean };
  /** Dropout of the encoder where it is not `hiddenDropoutProb`: of embeddings; after attention, after feed-forward layers; null for none ever. */
  readonly dropout?: (config: BertConfig) => {
    embeddings?: number;
    attention?: number | null;
    feedForward?: number | null;
  };
  /** What else is made of the first layer's input and output. */
  readonly afterFirstLayer?: (config: BertConfig, encoder: Weights) => AfterLayer | null;
  /** Whether the encoder has a pooler. Default: yes. */
  readonly pooler?: boolean;
  /** How heads differ. */
  readonly heads?: HeadDifferences;
}

/** [tokens, hiddenSize] → same. `keys` name the tokens, for dropout inside. */
export type FeedForwardNetwork = Module & { forward(x: Tensor, keys?: Int32Array): Tensor };

export interface AttentionScheme {
  /** What layers are told of each batch; holds the parameters that they share. */
  readonly relations: Module & { forward(batch: PackedBatch, engine: Engine): Relations };
  /** Makes the attention of layer `index`, whose weights are `layer`. Default: as BERT's. */
  readonly layer?: (layer: Weights, index: number) => SelfAttention;
}

export type AfterLayer = Module & { forward(input: Tensor, output: Tensor, batch: PackedBatch): Tensor };

export interface ConfigDifferences {
  /** Keys of config.json that have other names; null for an option that the family does not have: its default holds. */
  readonly keys?: Partial<Record<keyof BertConfigOptions, string | null>>;
  readonly defaults?: Partial<BertConfigOptions>;
  /** Options of the family's own, or checked in its own way: the key in config.json, what the value must be, the default. */
  readonly extra?: Readonly<Record<string, readonly [jsonKey: string, check: Check, defaultValue: unknown]>>;
  /** Other keys under which config.json may have an option. */
  readonly aliases?: Readonly<Record<string, readonly string[]>>;
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
  readonly maskedLanguageModelActivation?: ActivationName | ((config: BertConfig) => ActivationName);
  /** Which layers of that head have no bias. Default: all have one. */
  readonly maskedLanguageModelBiases?: (config: BertConfig) => { dense?: boolean; norm?: boolean; decoder?: boolean };
  /** A layer of the head's own before that which classifies tokens, or finds answers. */
  readonly tokens?: (config: BertConfig) => HeadLayer;
  /** Path of the layer that finds answers. Default: `qa_outputs`. */
  readonly answers?: string;
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

/** A layer of a head's own: dense, activation, and a norm if it has one. Paths are the checkpoint's; null for no dense layer. */
export interface HeadLayer {
  readonly dense: string | null;
  readonly activation: ActivationName;
  /** Default: true. */
  readonly bias?: boolean;
  readonly norm?: { readonly path: string; readonly bias: boolean };
}

/** A classifier of its own on the first or the last token, or on the mean of all: such a layer, and a linear one. */
export interface FirstTokenHead extends HeadLayer {
  readonly classifier: string;
  /** Default: 'first'. */
  readonly pooling?: 'first' | 'last' | 'mean';
  /** Dropout before the dense layer; before the linear one there always is. */
  readonly dropoutFirst: number;
}

/** How a model counts positions; null if it has no table of them. */
export function positionsOf(config: BertConfig): PositionScheme | null {
  const { positions = columns } = config.family;
  return typeof positions === 'function' ? positions(config) : positions;
}

/** Positions by column, as in BERT. */
export const columns: PositionScheme = { first: () => 0, ids: (batch) => batch.columns };

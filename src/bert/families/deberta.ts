import {
  Dropout,
  Linear,
  Module,
  SelfAttention,
  type PackedBatch,
  type Parameter,
  type Relations,
  type Trace,
  type Weights,
} from '../../layers/index.ts';
import {
  add,
  disentangledBias,
  gather,
  linear,
  matmul,
  relativeBuckets,
  selectColumns,
  selectRows,
  type AttentionOptions,
  type Tensor,
} from '../../tensor/index.ts';
import { activation, BertConfig, count, flag, orNull, probability, wholeNumber } from '../config.ts';
import type { BertConfigOptions, Check, ConfigClass } from '../config.ts';
import * as heads from '../heads.ts';
import { BertModel } from '../model.ts';
import { columns, type ConfigDifferences, type Family, type FirstTokenHead } from './family.ts';

const terms: Check = [
  'a list of "c2p" and "p2c", or their names with | between them',
  (v) => typeof v === 'string' || (Array.isArray(v) && v.every((term) => typeof term === 'string')),
];

/** What DeBERTa's config has beyond BERT's, in all its versions. */
export const disentangledOptions = {
  relativeAttention: ['relative_attention', flag, false],
  maxRelativePositions: ['max_relative_positions', wholeNumber(-1, 2 ** 24), -1],
  positionBiasedInput: ['position_biased_input', flag, true],
  posAttType: ['pos_att_type', orNull(terms), null],
  poolerDropout: ['pooler_dropout', probability, 0],
  poolerHiddenAct: ['pooler_hidden_act', activation, 'gelu'],
  typeVocabSize: ['type_vocab_size', wholeNumber(0, 2 ** 24), 0],
  classifierDropout: ['cls_dropout', orNull(probability), null],
  legacy: ['legacy', flag, true],
  embeddingSize: ['embedding_size', orNull(count), null],
} satisfies ConfigDifferences['extra'];

const pooled = (config: BertConfig): FirstTokenHead => {
  const { poolerHiddenAct, poolerDropout } = config as DebertaConfig;
  return { dense: 'pooler.dense', activation: poolerHiddenAct, classifier: 'classifier', dropoutFirst: poolerDropout };
};

/** What all versions of DeBERTa share. */
export const disentangled = {
  prefix: 'deberta',
  names: (config) =>
    (config as DebertaConfig).legacy
      ? []
      : [
          ['cls.predictions.transform', 'lm_predictions.lm_head'],
          ['cls.predictions', 'lm_predictions.lm_head'],
        ],
  positions: (config) => ((config as DebertaConfig).positionBiasedInput ? columns : null),
  projectsBeforeNorm: ({ embeddingSize, hiddenSize }) => embeddingSize !== hiddenSize,
  pooler: false,
  heads: {
    sequenceClassification: pooled,
    multipleChoice: pooled,
    dropout: { tokenClassification: ({ hiddenDropoutProb }) => hiddenDropoutProb },
  },
} satisfies Partial<Family>;

/** He et al. 2021, arXiv:2006.03654: attention that also weighs content against distance, and distance against content. */
export const deberta: Family = {
  ...disentangled,
  modelType: 'deberta',
  config: {
    defaults: { vocabSize: 50265, layerNormEps: 1e-7 },
    extra: { ...disentangledOptions, talkingHead: ['talking_head', flag, false] },
  },
  attention: (config, encoder) => ({
    relations: new Distances(config as DebertaConfig, encoder),
    layer: (layer) => new DebertaSelfAttention(config as DebertaConfig, layer.scope('attention.self')),
  }),
};

/** Terms that attention has beyond content against content. */
export function termsOf({ posAttType }: Pick<DebertaConfig, 'posAttType'>): string[] {
  if (typeof posAttType === 'string') return posAttType.toLowerCase().split('|').map((term) => term.trim()); // prettier-ignore
  return [...(posAttType ?? [])];
}

/** The vectors of the distances that occur in a batch, from a table that all layers share. */
export class Distances extends Module {
  /** [2 · span, hiddenSize]: the first row is that of distance -span; null for a model without relative attention. */
  readonly table: Parameter | null;
  readonly span: number;

  constructor(config: DebertaConfig, encoder: Weights, span = spanOf(config)) {
    super('');
    const shape = [2 * span, config.hiddenSize];
    this.table = config.relativeAttention ? encoder.get('rel_embeddings.weight', shape, 'normal') : null;
    this.span = span;
  }

  /** What a distance counts as; those beyond the span are the last. */
  bucketOf(distance: number): number {
    return distance;
  }

  forward(batch: PackedBatch): Relations {
    const { table, span } = this;
    if (table === null || batch.totalTokens === 0) return {};
    const rowOf = (distance: number) => Math.max(0, Math.min(2 * span - 1, this.bucketOf(distance) + span));
    const buckets = relativeBuckets(batch, rowOf);
    const first = buckets.reduce((a, b) => Math.min(a, b));
    const last = buckets.reduce((a, b) => Math.max(a, b));
    const rows = Int32Array.from({ length: last - first + 1 }, (_, i) => first + i);
    const vectors = this.normed(selectRows(table, rows));
    return { distances: { vectors, keys: rows, buckets: buckets.map((row) => row - first) } };
  }

  protected normed(vectors: Tensor): Tensor {
    return vectors;
  }
}

/** The longest distance that has a vector of its own. */
export function spanOf({ maxRelativePositions, maxPositionEmbeddings }: DebertaConfig): number {
  return maxRelativePositions < 1 ? maxPositionEmbeddings : maxRelativePositions;
}

/** Self-attention with a bias that each layer makes of the vectors of distances. */
export abstract class DisentangledSelfAttention extends SelfAttention {
  readonly scale: number;
  /** Of the vectors of distances, other ones in each layer. */
  readonly distanceDropout: Dropout;

  constructor(config: DebertaConfig, name: string, terms: number) {
    super(name, config.numAttentionHeads);
    this.distanceDropout = new Dropout(config.hiddenDropoutProb);
    this.scale = 1 / Math.sqrt((config.hiddenSize / config.numAttentionHeads) * (1 + terms));
  }

  /** Query, key and value of each token. */
  protected abstract project(x: Tensor): Tensor[];
  /**
   * Keys and queries of distances; null for a term that the model does not have. They are made at every pass, once for a whole
   * batch: weights are plain numbers that anybody may write at any time, so that a copy could be stale and nothing would
   * tell. In base sizes that is about a quarter of the time of a single text of 16 tokens, and a few percent of 16 texts of 64.
   */
  protected abstract projectDistances(vectors: Tensor): [keys: Tensor | null, queries: Tensor | null];

  forward(x: Tensor, batch: PackedBatch, trace: Trace = {}, { distances }: Relations = {}): Tensor {
    const { scale, heads } = this;
    const run = (): [context: Tensor, probabilities: Tensor[]] => {
      const own: Trace = trace.attentions ? { attentions: [] } : {};
      const projected = this.project(x);
      const options = { ...batchPlaces(batch), buckets: distances?.buckets ?? Int32Array.of(0), heads, scale };
      const vectors = distances && this.distanceDropout.forward(distances.vectors, distances.keys);
      const [keys, queries] = vectors ? this.projectDistances(vectors) : [null, null];
      const bias = keys || queries ? disentangledBias(projected[0], projected[1], keys, queries, options) : null;
      return [this.attend(projected, batch, own, { scale, bias }), own.attentions ?? []];
    };
    const [context, probabilities] = x.engine.scope(run); // the bias is large, and no other layer's
    trace.attentions?.push(...probabilities);
    return context;
  }
}

/** Not by `forward`: whoever observes modules is told of tokens. */
export function projectedBy(
  vectors: Tensor,
  keys: Linear | null,
  queries: Linear | null,
): [keys: Tensor | null, queries: Tensor | null] {
  const through = (layer: Linear | null) => layer && linear(vectors, layer.weight, layer.bias);
  return [through(keys), through(queries)];
}

const batchPlaces = ({ offsets, columns }: PackedBatch) => ({ offsets, columns });

/** DeBERTa's first version: query, key and value of a head side by side in one matrix, without a bias on keys. */
class DebertaSelfAttention extends DisentangledSelfAttention {
  readonly projection: Linear;
  readonly queryBias: Parameter;
  readonly valueBias: Parameter;
  readonly positionKey: Linear | null;
  readonly positionQuery: Linear | null;
  readonly talkingHeads: TalkingHeads | null;

  constructor(config: DebertaConfig, weights: Weights) {
    const terms = termsOf(config);
    super(config, weights.path, terms.length);
    const { hiddenSize, relativeAttention, talkingHead, numAttentionHeads } = config;
    this.talkingHeads = talkingHead ? new TalkingHeads(weights, numAttentionHeads) : null;
    const has = (term: string) => relativeAttention && terms.includes(term);
    this.projection = new Linear(weights.scope('in_proj'), hiddenSize, 3 * hiddenSize, { bias: false });
    this.queryBias = weights.get('q_bias', [hiddenSize], 'zeros');
    this.valueBias = weights.get('v_bias', [hiddenSize], 'zeros');
    this.positionKey = has('c2p')
      ? new Linear(weights.scope('pos_proj'), hiddenSize, hiddenSize, { bias: false })
      : null;
    this.positionQuery = has('p2c') ? new Linear(weights.scope('pos_q_proj'), hiddenSize, hiddenSize) : null;
  }

  protected override project(x: Tensor): Tensor[] {
    const all = this.projection.forward(x);
    const size = x.shape[1] / this.heads;
    const [q, k, v] = [0, 1, 2].map((part) => selectColumns(all, part * size, size, this.heads, 3 * size));
    return [add(q, this.queryBias), k, add(v, this.valueBias)];
  }

  protected override attend(
    projected: readonly Tensor[],
    batch: PackedBatch,
    trace: Trace,
    { scale = this.scale, bias = null }: Pick<AttentionOptions, 'scale' | 'bias'> = {},
  ): Tensor {
    const { talkingHeads } = this;
    if (talkingHeads === null) return super.attend(projected, batch, trace, { scale, bias });
    const own: Trace = trace.attentions ? { attentions: [] } : {};
    const mixed = { scale, bias: bias && matmul(talkingHeads.scores, bias) };
    const context = super.attend(talkingHeads.widened(projected), batch, own, mixed);
    trace.attentions?.push(...(own.attentions ?? []).map((x) => matmul(talkingHeads.probabilities, x)));
    return talkingHeads.mixed(context);
  }

  protected override projectDistances(vectors: Tensor): [keys: Tensor | null, queries: Tensor | null] {
    return projectedBy(vectors, this.positionKey, this.positionQuery);
  }
}

/**
 * Heads that hear each other: of every pair of tokens, the heads' scores are mixed before the softmax, and its probabilities after
 * (Shazeer et al. 2020, arXiv:2003.02436). It is attention by heads that are each as wide as all: a mix of scores is a single
 * product with the queries weighed; a mix of probabilities, of what each head sees of all values.
 */
class TalkingHeads extends Module {
  /** What each head takes of each: [heads, heads] */
  readonly scores: Parameter;
  readonly probabilities: Parameter;

  constructor(weights: Weights, heads: number) {
    super('');
    this.scores = weights.get('head_logits_proj.weight', [heads, heads], 'normal');
    this.probabilities = weights.get('head_weights_proj.weight', [heads, heads], 'normal');
  }

  /** Never called: it is between the two that attention is. */
  forward(): void {}

  /** Queries, keys and values, [totalTokens, width] each → for every head all of them, [totalTokens, heads·width] */
  widened([q, k, v]: readonly Tensor[]): Tensor[] {
    const [heads, width] = [this.scores.shape[0], q.shape[1]];
    const size = width / heads;
    // Column (h, c) is column c, weighed by what head h takes of the head that c belongs to.
    const weighing = indices(width, heads * width, (c, to) =>
      to % width === c ? Math.floor(to / width) * heads + Math.floor(c / size) : -1,
    );
    const repeated = (x: Tensor) =>
      gather(
        x,
        indices(x.shape[0], heads * width, (row, to) => row * width + (to % width)),
        [x.shape[0], heads * width],
      );
    return [matmul(q, gather(this.scores, weighing, [width, heads * width])), repeated(k), repeated(v)];
  }

  /** What head g sees of all values, for each g, [totalTokens, heads·width] → contexts side by side, [totalTokens, width] */
  mixed(context: Tensor): Tensor {
    const heads = this.probabilities.shape[0];
    const width = context.shape[1] / heads;
    const size = width / heads;
    const weighing = indices(heads * width, width, (from, c) =>
      from % width === c ? Math.floor(c / size) * heads + Math.floor(from / width) : -1,
    );
    return matmul(context, gather(this.probabilities, weighing, [heads * width, width]));
  }
}

const indices = (rows: number, columns: number, at: (row: number, column: number) => number) =>
  Int32Array.from({ length: rows * columns }, (_, i) => at(Math.floor(i / columns), i % columns));

export interface DebertaConfigOptions extends BertConfigOptions {
  /** Whether attention weighs distances at all. */
  relativeAttention: boolean;
  /** Longest distance with a vector of its own; below 1 it is `maxPositionEmbeddings`. */
  maxRelativePositions: number;
  /** Whether there is a table of absolute positions as well. */
  positionBiasedInput: boolean;
  /** Terms of attention: "c2p", content to position, and "p2c", position to content. */
  posAttType: string | readonly string[] | null;
  poolerDropout: number;
  poolerHiddenAct: FirstTokenHead['activation'];
  /** Whether the masked-language-model head is BERT's, as transformers had it at first. */
  legacy: boolean;
  /** Columns of the embedding tables, which a linear layer brings to `hiddenSize`. Default: as many. */
  embeddingSize: number;
  /** Whether the heads' scores and probabilities are mixed. Only in the first version. */
  talkingHead: boolean;
}

/* eslint-disable @typescript-eslint/no-unsafe-declaration-merging, @typescript-eslint/no-empty-object-type */
export interface DebertaConfig extends Readonly<DebertaConfigOptions> {}
export class DebertaConfig extends BertConfig {
  /* eslint-enable */
  static override readonly family: Family = deberta;
  constructor(options: Partial<DebertaConfigOptions> = {}, file?: string) {
    super(options, file);
  }
}
export class DebertaModel extends BertModel {
  static override readonly configClass: ConfigClass = DebertaConfig;
}
export class DebertaForMaskedLM extends heads.BertForMaskedLM {
  static override readonly configClass: ConfigClass = DebertaConfig;
}
export class DebertaForSequenceClassification extends heads.BertForSequenceClassification {
  static override readonly configClass: ConfigClass = DebertaConfig;
}
export class DebertaForTokenClassification extends heads.BertForTokenClassification {
  static override readonly configClass: ConfigClass = DebertaConfig;
}
export class DebertaForQuestionAnswering extends heads.BertForQuestionAnswering {
  static override readonly configClass: ConfigClass = DebertaConfig;
}

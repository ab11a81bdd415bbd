import { expectOptions, InputError, show } from '../errors.ts';
import { Linear, Module, PackedBatch, type ModelInputs, type Trace, type Weights } from '../layers/index.ts';
import { poolSequences, selectRows, type Pooling, type Tensor } from '../tensor/index.ts';
import type { BertConfig } from './config.ts';
import { BertEmbeddings } from './embeddings.ts';
import { BertEncoder } from './encoder.ts';
import type { EncoderOutput, ForwardOptions, PooledOutput, TokensOutput } from './outputs.ts';
import { BertPreTrainedModel, randomWeights } from './preTrainedModel.ts';

/** The first token of each sequence, through a linear layer and tanh: what [CLS] says of the whole text. */
export class BertPooler extends Module {
  readonly dense: Linear;

  constructor(config: BertConfig, weights: Weights) {
    super(weights.path);
    this.dense = new Linear(weights.scope('dense'), config.hiddenSize, config.hiddenSize);
  }

  /** x: [sequences, hiddenSize], states of their first tokens → same */
  forward(x: Tensor): Tensor {
    return this.dense.forward(x, 'tanh');
  }
}

/** The bare encoder (Devlin et al. 2019, arXiv:1810.04805), and, with a config of another family, that family's. */
export class BertModel extends BertPreTrainedModel {
  readonly embeddings: BertEmbeddings;
  /** From the embeddings' size to the encoder's, in families that factorize the embeddings. */
  readonly projection: Linear | null;
  readonly encoder: BertEncoder;
  /** null when the checkpoint has none, as those trained for masked words alone. */
  readonly pooler: BertPooler | null;

  /**
   * @param weights where parameters come from; by default they are random, as in an untrained model
   * @param pooler  whether to have one; by default, if there are weights for it
   */
  constructor(
    config: BertConfig,
    weights: Weights = randomWeights(config),
    pooler = weights.store.untrained || weights.has('pooler.dense.weight'),
  ) {
    super(config, weights);
    const { projects, pooler: hasPooler = true } = config.family;
    this.embeddings = new BertEmbeddings(config, weights.scope('embeddings'));
    this.projection = projects?.(config)
      ? new Linear(weights.scope('embeddings_project'), config.embeddingSize, config.hiddenSize)
      : null;
    this.encoder = new BertEncoder(config, weights.scope('encoder'));
    this.pooler = pooler && hasPooler ? new BertPooler(config, weights.scope('pooler')) : null;
  }

  /**
   * @returns `lastHiddenState` [totalTokens, hiddenSize], the sequences end to end as `batch` tells, and
   *          `poolerOutput` [sequences, hiddenSize]; `padded` gives them the shapes that transformers returns
   * @throws InputError if a sequence is too long, or an id is out of its table
   */
  forward(inputs: ModelInputs | PackedBatch, options: ForwardOptions = {}): EncoderOutput {
    const trace = traceOf(options);
    const batch = PackedBatch.from(inputs);
    return this.engine.scope(() => {
      const lastHiddenState = this.encoder.forward(this.embed(batch), batch, trace);
      const first = this.pooler && poolSequences(lastHiddenState, batch.offsets, 'first');
      return { batch, lastHiddenState, poolerOutput: first && this.pooler!.forward(first), ...trace };
    });
  }

  /**
   * The last states of some tokens, for those who read no others: behind its attention, the last layer computes no others.
   *
   * @param tokens counted through the batch as it is packed, rising
   * @returns      `lastHiddenState` [tokens.length, hiddenSize], the same numbers as among all; not for `padded`
   * @throws InputError as `forward`, or if there are no such tokens
   */
  forwardTokens(inputs: ModelInputs | PackedBatch, tokens: Int32Array, options: ForwardOptions = {}): TokensOutput {
    const batch = PackedBatch.from(inputs);
    expectTokens('tokens', tokens, batch);
    const falling = tokens.findIndex((token, i) => i > 0 && token <= tokens[i - 1]);
    if (falling > 0) {
      const got = `${tokens[falling]} after ${tokens[falling - 1]}`;
      throw new InputError({ what: 'tokens', expected: 'rising numbers', got });
    }
    return this.#states(batch, tokens, options);
  }

  /** `pooled` [sequences, hiddenSize]: one vector per sequence, made of its tokens' last states. Errors as of `forward`. */
  forwardPooled(inputs: ModelInputs | PackedBatch, pooling: Pooling, options: ForwardOptions = {}): PooledOutput {
    const batch = PackedBatch.from(inputs);
    const edge = pooling === 'first' || pooling === 'last' ? batch.edgeTokens(pooling) : null;
    return this.engine.scope(() => {
      const { lastHiddenState, poolerOutput, ...rest } = this.#states(batch, edge, options);
      const pooled = poolSequences(lastHiddenState, edge ? batch.offsetsAmong(edge) : batch.offsets, pooling);
      const pooler = pooling === 'first' ? this.pooler : null;
      return { ...rest, pooled, poolerOutput: pooler && (poolerOutput ?? pooler.forward(pooled)) };
    });
  }

  /** Of all tokens, if null, or some: by `forward` when somebody wants to see more than that. */
  #states(batch: PackedBatch, tokens: Int32Array | null, options: ForwardOptions): TokensOutput {
    const trace = traceOf(options);
    return this.engine.scope(() => {
      if (!trace.hiddenStates && !this.#isWatched()) {
        return { batch, lastHiddenState: this.encoder.forward(this.embed(batch), batch, trace, tokens), ...trace };
      }
      const all = this.forward(batch, options);
      return tokens ? { ...all, lastHiddenState: selectRows(all.lastHiddenState, tokens) } : all;
    });
  }

  /** Whether a hook or an observer sees what `forwardTokens` would leave out. */
  #isWatched(): boolean {
    const { pooler, encoder } = this;
    const { layers, finalNorm } = encoder;
    const seen = [this, encoder, finalNorm, ...(pooler?.modules() ?? []), ...layers.at(-1)!.modules()];
    return seen.some((module) => module?.isWatched);
  }

  /** What the encoder is given: [totalTokens, hiddenSize] */
  embed(batch: PackedBatch): Tensor {
    const embedded = this.embeddings.forward(batch);
    return this.projection ? this.projection.forward(embedded) : embedded;
  }
}

/** @throws InputError unless they are tokens of the batch */
export function expectTokens(what: string, tokens: Int32Array, { totalTokens }: PackedBatch): void {
  const given: unknown = tokens;
  const bad = given instanceof Int32Array ? given.find((token) => !(token >= 0 && token < totalTokens)) : given;
  if (bad === undefined && given !== undefined) return;
  throw new InputError({ what, expected: `an Int32Array of 0 to ${totalTokens - 1}`, got: show(bad) });
}

/** @throws ConfigError for an option that no model has */
function traceOf(options: ForwardOptions): Trace {
  const known = ['outputHiddenStates', 'outputAttentions', 'choices', 'predictionTokens'];
  expectOptions('options of forward', options, known);
  return {
    ...(options.outputHiddenStates && { hiddenStates: [] }),
    ...(options.outputAttentions && { attentions: [] }),
  };
}

import { expectOptions, InputError } from '../errors.ts';
import { Linear, Module, PackedBatch, type ModelInputs, type Trace, type Weights } from '../layers/index.ts';
import { poolSequences, selectRows, type Pooling, type Tensor } from '../tensor/index.ts';
import type { BertConfig } from './config.ts';
import { BertEmbeddings } from './embeddings.ts';
import { BertEncoder } from './encoder.ts';
import type { EncoderOutput, ForwardOptions, PooledOutput } from './outputs.ts';
import { BertPreTrainedModel, randomWeights } from './preTrainedModel.ts';

/** The first token of each sequence, through a linear layer and tanh: what [CLS] says of the whole text. */
export class BertPooler extends Module {
  readonly dense: Linear;

  constructor(config: BertConfig, weights: Weights) {
    super(weights.path);
    this.dense = new Linear(weights.scope('dense'), config.hiddenSize, config.hiddenSize);
  }

  /** x: [totalTokens, hiddenSize], or first tokens alone with offsets of theirs → [sequences, hiddenSize] */
  forward(x: Tensor, { offsets }: Pick<PackedBatch, 'offsets'>): Tensor {
    return this.dense.forward(poolSequences(x, offsets, 'first'), 'tanh');
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
      const poolerOutput = this.pooler ? this.pooler.forward(lastHiddenState, batch) : null;
      return { batch, lastHiddenState, poolerOutput, ...trace };
    });
  }

  /**
   * The same for those who read the last states of some tokens alone: behind its attention, the last layer computes no others.
   *
   * @param tokens counted through the batch as it is packed, in any order
   * @returns      `lastHiddenState` [tokens.length, hiddenSize], the same numbers as among all, and what `forward` has besides
   * @throws InputError as `forward`, or if there is no such token
   */
  forwardTokens(inputs: ModelInputs | PackedBatch, tokens: Int32Array, options: ForwardOptions = {}): EncoderOutput {
    const trace = traceOf(options);
    const batch = PackedBatch.from(inputs);
    const bad = tokens.find((token) => !(token >= 0 && token < batch.totalTokens));
    if (bad !== undefined) {
      throw new InputError({ what: 'token asked for', expected: `0 to ${batch.totalTokens - 1}`, got: `${bad}` });
    }
    return this.engine.scope(() => {
      if (trace.hiddenStates !== undefined || this.#isWatched()) {
        const output = this.forward(batch, options); // someone wants to see them all
        return { ...output, lastHiddenState: selectRows(output.lastHiddenState, tokens) };
      }
      const first = this.pooler ? batch.edgeTokens('first') : [];
      const wanted = Int32Array.from(new Set([...first, ...tokens])).sort();
      const states = this.encoder.forward(this.embed(batch), batch, trace, wanted);
      const offsets = batch.offsetsAmong(wanted); // first tokens come first among them too
      const poolerOutput = this.pooler ? this.pooler.forward(states, { offsets }) : null;
      return { batch, lastHiddenState: rowsAmong(states, wanted, tokens), poolerOutput, ...trace };
    });
  }

  /** `pooled` [sequences, hiddenSize]: one vector per sequence, made of its tokens' last states. Errors as of `forward`. */
  forwardPooled(inputs: ModelInputs | PackedBatch, pooling: Pooling, options: ForwardOptions = {}): PooledOutput {
    const batch = PackedBatch.from(inputs);
    const edge = pooling === 'first' || pooling === 'last' ? batch.edgeTokens(pooling) : null;
    return this.engine.scope(() => {
      const { lastHiddenState, ...rest } = edge
        ? this.forwardTokens(batch, edge, options)
        : this.forward(batch, options);
      const offsets = edge ? batch.offsetsAmong(edge) : batch.offsets;
      return { ...rest, pooled: poolSequences(lastHiddenState, offsets, pooling) };
    });
  }

  /** Whether a hook or an observer sees what `forwardTokens` would leave out. */
  #isWatched(): boolean {
    const { layers, finalNorm } = this.encoder;
    return [this, this.encoder, finalNorm, ...(layers.at(-1)?.modules() ?? [])].some((module) => module?.isWatched);
  }

  /** What the encoder is given: [totalTokens, hiddenSize] */
  embed(batch: PackedBatch): Tensor {
    const embedded = this.embeddings.forward(batch);
    return this.projection ? this.projection.forward(embedded) : embedded;
  }
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

/** Rows of x, which has those of `tokens`, for `wanted` ones of them. */
function rowsAmong(x: Tensor, tokens: Int32Array, wanted: Int32Array): Tensor {
  if (tokens.length === wanted.length && tokens.every((token, row) => token === wanted[row])) return x;
  const rows = new Map(Array.from(tokens, (token, row) => [token, row]));
  return selectRows(x, wanted.map((token) => rows.get(token)!)); // prettier-ignore
}

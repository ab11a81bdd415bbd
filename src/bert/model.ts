import { expectOptions } from '../errors.ts';
import { Linear, Module, PackedBatch, type ModelInputs, type Trace, type Weights } from '../layers/index.ts';
import { poolSequences, type Tensor } from '../tensor/index.ts';
import type { BertConfig } from './config.ts';
import { BertEmbeddings } from './embeddings.ts';
import { BertEncoder } from './encoder.ts';
import type { EncoderOutput, ForwardOptions } from './outputs.ts';
import { BertPreTrainedModel, randomWeights } from './preTrainedModel.ts';

/** The first token of each sequence, through a linear layer and tanh: what [CLS] says of the whole text. */
export class BertPooler extends Module {
  readonly dense: Linear;

  constructor(config: BertConfig, weights: Weights) {
    super(weights.path);
    this.dense = new Linear(weights.scope('dense'), config.hiddenSize, config.hiddenSize);
  }

  /** x: [totalTokens, hiddenSize] → [sequences, hiddenSize] */
  forward(x: Tensor, batch: PackedBatch): Tensor {
    return this.dense.forward(poolSequences(x, batch.offsets, 'first'), 'tanh');
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
    expectOptions('options of forward', options, [
      'outputHiddenStates',
      'outputAttentions',
      'choices',
      'predictionTokens',
    ]);
    const batch = PackedBatch.from(inputs);
    const trace: Trace = {
      ...(options.outputHiddenStates && { hiddenStates: [] }),
      ...(options.outputAttentions && { attentions: [] }),
    };
    return this.engine.scope(() => {
      const lastHiddenState = this.encoder.forward(this.embed(batch), batch, trace);
      const poolerOutput = this.pooler ? this.pooler.forward(lastHiddenState, batch) : null;
      return { batch, lastHiddenState, poolerOutput, ...trace };
    });
  }

  /** What the encoder is given: [totalTokens, hiddenSize] */
  embed(batch: PackedBatch): Tensor {
    const embedded = this.embeddings.forward(batch);
    return this.projection ? this.projection.forward(embedded) : embedded;
  }
}

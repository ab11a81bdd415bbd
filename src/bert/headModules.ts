import { Dropout, LayerNorm, Linear, Module, type PackedBatch } from '../layers/index.ts';
import type { MatrixParameter, ModelInputs, Parameter, Weights } from '../layers/index.ts';
import { linear, poolSequences, type ActivationName, type Tensor } from '../tensor/index.ts';
import type { BertConfig } from './config.ts';
import type { FirstTokenHead } from './families/family.ts';
import { BertModel } from './model.ts';
import type { ForwardOptions, LogitsOutput } from './outputs.ts';
import { BertPreTrainedModel } from './preTrainedModel.ts';

export type Inputs = ModelInputs | PackedBatch;

/** An encoder with something on top. */
export abstract class BertWithHead extends BertPreTrainedModel {
  /** The encoder, of whatever family. */
  readonly bert: BertModel;
  /** Before a classifier. */
  readonly dropout: Dropout;

  constructor(config: BertConfig, weights: Weights, pooler: boolean, dropout = config.hiddenDropoutProb) {
    super(config, weights);
    this.bert = new BertModel(config, weights.scope('bert'), pooler);
    this.dropout = new Dropout(dropout);
  }

  /** A head on each token's vector: [totalTokens, hiddenSize] → [totalTokens, …] */
  protected tokenLogits(inputs: Inputs, options: ForwardOptions, head: (x: Tensor) => Tensor): LogitsOutput {
    return this.engine.scope(() => {
      const { lastHiddenState, poolerOutput: _, ...rest } = this.bert.forward(inputs, options);
      return { ...rest, logits: head(this.dropout.forward(lastHiddenState)), logitsPer: 'token' };
    });
  }
}

/** An encoder with a linear layer on each sequence's pooled vector, or on what a head of the family's own makes of it. */
export abstract class BertWithSequenceHead extends BertWithHead {
  /** null where the encoder's pooler does it. */
  readonly firstToken: FirstToken | null;
  readonly classifier: Linear;

  /** @param path of the linear layer, when there is no `head` that says where it is */
  constructor(
    config: BertConfig,
    weights: Weights,
    outputs: number,
    { path = 'classifier', dropout, head }: { path?: string; dropout: number; head?: FirstTokenHead | undefined },
  ) {
    super(config, weights, head === undefined, dropout);
    this.firstToken = head ? new FirstToken(config, weights, head) : null;
    this.classifier = new Linear(weights.scope(head?.classifier ?? path), config.hiddenSize, outputs);
  }

  /** [sequences, outputs] */
  protected sequenceLogits(inputs: Inputs, options: ForwardOptions): LogitsOutput {
    return this.engine.scope(() => {
      const { lastHiddenState, poolerOutput, ...rest } = this.bert.forward(inputs, options);
      const pooled = this.firstToken ? this.firstToken.forward(lastHiddenState, rest.batch) : poolerOutput!;
      return { ...rest, logits: this.classifier.forward(this.dropout.forward(pooled)), logitsPer: 'sequence' };
    });
  }
}

/** The first token of each sequence through a layer of the head's own. */
class FirstToken extends Module {
  readonly dense: Linear;
  readonly activation: ActivationName;
  readonly dropout: Dropout;

  constructor({ hiddenSize }: BertConfig, weights: Weights, { dense, activation, dropoutFirst }: FirstTokenHead) {
    super('');
    this.dense = new Linear(weights.scope(dense), hiddenSize, hiddenSize);
    this.activation = activation;
    this.dropout = new Dropout(dropoutFirst);
  }

  /** x: [totalTokens, hiddenSize] → [sequences, hiddenSize] */
  forward(x: Tensor, batch: PackedBatch): Tensor {
    const first = this.dropout.forward(poolSequences(x, batch.offsets, 'first'));
    return this.dense.forward(first, this.activation);
  }
}

/** Scores every word of the vocabulary for each token (Devlin et al. 2019, §3.1, task 1). */
export class MaskedLanguageModelHead extends Module {
  readonly dense: Linear;
  readonly norm: LayerNorm;
  readonly activation: ActivationName;
  decoderWeight: MatrixParameter;
  readonly decoderBias: Parameter;

  /** @param weights of the model; the head is in `cls.predictions` */
  constructor(config: BertConfig, weights: Weights, wordEmbeddings: MatrixParameter) {
    const own = weights.scope('cls.predictions');
    super(own.path);
    const { hiddenSize, embeddingSize, vocabSize, layerNormEps } = config;
    this.dense = new Linear(own.scope('transform.dense'), hiddenSize, embeddingSize);
    this.norm = new LayerNorm(own.scope('transform.LayerNorm'), embeddingSize, layerNormEps);
    this.activation = config.family.heads?.maskedLanguageModelActivation ?? config.hiddenAct;
    this.decoderWeight =
      config.tieWordEmbeddings && !own.has('decoder.weight')
        ? wordEmbeddings
        : own.getMatrix('decoder.weight', vocabSize, embeddingSize, 'normal');
    const ownBias = own.has('decoder.bias') && !(config.tieWordEmbeddings && own.has('bias'));
    this.decoderBias = own.get(ownBias ? 'decoder.bias' : 'bias', [vocabSize], 'zeros');
  }

  /** A checkpoint may hold the tied matrix twice. One that differs stays its own, as in transformers. */
  tie(wordEmbeddings: MatrixParameter): void {
    const [own, words] = [this.decoderWeight.packed, wordEmbeddings.packed];
    if (own.dtype !== words.dtype) return;
    const [data, scale] = [words.data, words.scale];
    const same = own.data.every((x, i) => x === data[i]) && (own.scale?.every((x, i) => x === scale![i]) ?? true);
    if (same) this.decoderWeight = wordEmbeddings;
  }

  /** x: [totalTokens, hiddenSize] → [totalTokens, vocabSize] */
  forward(x: Tensor): Tensor {
    const transformed = this.norm.forward(this.dense.forward(x, this.activation));
    return linear(transformed, this.decoderWeight, this.decoderBias);
  }
}

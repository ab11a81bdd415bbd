import { Dropout, LayerNorm, Linear, Module, PackedBatch } from '../layers/index.ts';
import type { MatrixParameter, ModelInputs, Parameter, Weights } from '../layers/index.ts';
import {
  activation as activate,
  linear,
  poolSequences,
  selectRows,
  type ActivationName,
  type Tensor,
} from '../tensor/index.ts';
import type { BertConfig } from './config.ts';
import type { FirstTokenHead, HeadLayer } from './families/family.ts';
import { lossOf, type Labels } from './losses.ts';
import { BertModel, expectTokens } from './model.ts';
import type { EncoderOutput, ForwardOptions, LogitsOutput, ModelOutput } from './outputs.ts';
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

  override loss(output: ModelOutput, labels: Labels): Tensor {
    return lossOf(output, labels, this.config.problemType);
  }

  /** States of all tokens, or of those asked for, in their order; and what the pooler says, if there is one. */
  protected statesOf(inputs: Inputs, options: ForwardOptions, tokens: Int32Array | undefined): EncoderOutput {
    const { bert } = this;
    if (!tokens) return bert.forward(inputs, options);
    const batch = PackedBatch.from(inputs);
    expectTokens('predictionTokens', tokens, batch);
    const first = bert.pooler ? batch.edgeTokens('first') : [];
    const wanted = Int32Array.from(new Set([...first, ...tokens])).sort();
    const output = bert.forwardTokens(batch, wanted, options);
    const states = output.lastHiddenState;
    const rows = new Map(Array.from(wanted, (token, row) => [token, row]));
    const lastHiddenState = selectRows(states, tokens.map((token) => rows.get(token)!)); // prettier-ignore
    // The first token of a sequence is the first of those that are wanted, too.
    const pooled = () => poolSequences(states, batch.offsetsAmong(wanted), 'first');
    const poolerOutput = output.poolerOutput ?? (bert.pooler && bert.pooler.forward(pooled()));
    return { ...output, lastHiddenState, poolerOutput };
  }

  /** A head on each token's vector, after a layer of its own if there is one: [totalTokens, hiddenSize] → [totalTokens, …] */
  protected tokenLogits(
    inputs: Inputs,
    options: ForwardOptions,
    head: (x: Tensor) => Tensor,
    layer: DenseHead | null = null,
  ): LogitsOutput {
    return this.engine.scope(() => {
      const { lastHiddenState, poolerOutput: _, ...rest } = this.bert.forward(inputs, options);
      const x = layer ? layer.forward(lastHiddenState) : lastHiddenState;
      return { ...rest, logits: head(this.dropout.forward(x, rest.batch.tokenKeys)), logitsPer: 'token' };
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
    const { bert, firstToken, dropout, classifier } = this;
    const batch = PackedBatch.from(inputs);
    return this.engine.scope(() => {
      const pooling = firstToken?.pooling ?? 'first';
      const { pooled, poolerOutput, ...rest } = bert.forwardPooled(batch, pooling, options);
      const x = firstToken ? firstToken.forward(pooled, batch) : poolerOutput!;
      const logits = classifier.forward(dropout.forward(x, batch.sequenceKeys));
      return { ...rest, logits, logitsPer: 'sequence' };
    });
  }
}

/** A head's own dense layer, with its activation and, where it has one, its norm. */
export class DenseHead extends Module {
  readonly dense: Linear | null;
  readonly activation: ActivationName;
  readonly norm: LayerNorm | null;

  constructor({ hiddenSize, layerNormEps }: BertConfig, weights: Weights, head: HeadLayer) {
    super('');
    const { dense, activation, bias = true, norm } = head;
    this.dense = dense === null ? null : new Linear(weights.scope(dense), hiddenSize, hiddenSize, { bias });
    this.activation = activation;
    this.norm = norm ? new LayerNorm(weights.scope(norm.path), hiddenSize, layerNormEps, { bias: norm.bias }) : null;
  }

  /** x: [rows, hiddenSize] → same */
  forward(x: Tensor): Tensor {
    const y = this.dense ? this.dense.forward(x, this.activation) : activate(x, this.activation);
    return this.norm ? this.norm.forward(y) : y;
  }
}

/** The first or the last token of each sequence, or the mean of all, through a layer of the head's own. */
class FirstToken extends Module {
  readonly layer: DenseHead;
  readonly pooling: 'first' | 'last' | 'mean';
  readonly dropout: Dropout;

  constructor(config: BertConfig, weights: Weights, head: FirstTokenHead) {
    super('');
    this.layer = new DenseHead(config, weights, head);
    this.pooling = head.pooling ?? 'first';
    this.dropout = new Dropout(head.dropoutFirst);
  }

  /** pooled: [sequences, hiddenSize] → same */
  forward(pooled: Tensor, { sequenceKeys }: PackedBatch): Tensor {
    return this.layer.forward(this.dropout.forward(pooled, sequenceKeys));
  }
}

/** Scores every word of the vocabulary for each token (Devlin et al. 2019, §3.1, task 1). */
export class MaskedLanguageModelHead extends Module {
  readonly dense: Linear;
  readonly norm: LayerNorm;
  readonly activation: ActivationName;
  decoderWeight: MatrixParameter;
  readonly decoderBias: Parameter | null;

  /** @param weights of the model; the head is in `cls.predictions` */
  constructor(config: BertConfig, weights: Weights, wordEmbeddings: MatrixParameter) {
    const own = weights.scope('cls.predictions');
    super(own.path);
    const { hiddenSize, embeddingSize, vocabSize, layerNormEps } = config;
    const { maskedLanguageModelActivation: activation = config.hiddenAct, maskedLanguageModelBiases } =
      config.family.heads ?? {};
    const { dense = true, norm = true, decoder = true } = maskedLanguageModelBiases?.(config) ?? {};
    this.dense = new Linear(own.scope('transform.dense'), hiddenSize, embeddingSize, { bias: dense });
    this.norm = new LayerNorm(own.scope('transform.LayerNorm'), embeddingSize, layerNormEps, { bias: norm });
    this.activation = typeof activation === 'function' ? activation(config) : activation;
    this.decoderWeight =
      config.tieWordEmbeddings && !own.has('decoder.weight')
        ? wordEmbeddings
        : own.getMatrix('decoder.weight', vocabSize, embeddingSize, 'normal');
    const ownBias = own.has('decoder.bias') && !(config.tieWordEmbeddings && own.has('bias'));
    this.decoderBias = decoder ? own.get(ownBias ? 'decoder.bias' : 'bias', [vocabSize], 'zeros') : null;
  }

  /** A checkpoint may hold the tied matrix twice. One that differs stays its own, as in transformers. */
  tie(wordEmbeddings: MatrixParameter): void {
    const [own, words] = [this.decoderWeight.packed, wordEmbeddings.packed];
    if (own.dtype !== words.dtype) return;
    const [data, scale] = [words.data, words.scale];
    const same = own.data.every((x, i) => x === data[i]) && (own.scale?.every((x, i) => x === scale![i]) ?? true);
    if (same) this.decoderWeight = wordEmbeddings;
  }

  /** x: [tokens, hiddenSize] → [tokens, vocabSize] */
  forward(x: Tensor): Tensor {
    const transformed = this.norm.forward(this.dense.forward(x, this.activation));
    return linear(transformed, this.decoderWeight, this.decoderBias);
  }
}

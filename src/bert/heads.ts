import { InputError } from '../errors.ts';
import { Dropout, LayerNorm, Linear, Module, PackedBatch, type ModelInputs } from '../layers/index.ts';
import type { MatrixParameter, Parameter, Weights } from '../layers/index.ts';
import { linear, type ActivationName, type Tensor } from '../tensor/index.ts';
import type { BertConfig } from './config.ts';
import { BertModel } from './model.ts';
import type { ForwardOptions, LogitsOutput, PreTrainingOutput, QuestionAnsweringOutput } from './outputs.ts';
import { BertPreTrainedModel, randomWeights } from './preTrainedModel.ts';

type Inputs = ModelInputs | PackedBatch;

/** An encoder with something on top. */
abstract class BertWithHead extends BertPreTrainedModel {
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

  /** A head on each sequence's pooled vector: [sequences, hiddenSize] → [sequences, …] */
  protected sequenceLogits(inputs: Inputs, options: ForwardOptions, head: (x: Tensor) => Tensor): LogitsOutput {
    return this.engine.scope(() => {
      const { lastHiddenState: _, poolerOutput, ...rest } = this.bert.forward(inputs, options);
      return { ...rest, logits: head(this.dropout.forward(poolerOutput!)), logitsPer: 'sequence' };
    });
  }
}

const classifierDropout = (config: BertConfig) => config.classifierDropout ?? config.hiddenDropoutProb;

/** Scores every word of the vocabulary for each token (Devlin et al. 2019, §3.1, task 1). */
class MaskedLanguageModelHead extends Module {
  readonly dense: Linear;
  readonly norm: LayerNorm;
  readonly activation: ActivationName;
  decoderWeight: MatrixParameter;
  readonly decoderBias: Parameter;

  constructor(config: BertConfig, weights: Weights, wordEmbeddings: MatrixParameter) {
    super(weights.path);
    const { hiddenSize, vocabSize, layerNormEps } = config;
    this.dense = new Linear(weights.scope('transform.dense'), hiddenSize, hiddenSize);
    this.norm = new LayerNorm(weights.scope('transform.LayerNorm'), hiddenSize, layerNormEps);
    this.activation = config.hiddenAct;
    this.decoderWeight =
      config.tieWordEmbeddings && !weights.has('decoder.weight')
        ? wordEmbeddings
        : weights.getMatrix('decoder.weight', vocabSize, hiddenSize, 'normal');
    const ownBias = weights.has('decoder.bias') && !(config.tieWordEmbeddings && weights.has('bias'));
    this.decoderBias = weights.get(ownBias ? 'decoder.bias' : 'bias', [vocabSize], 'zeros');
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

/** `logits` [totalTokens, vocabSize]: how well each word would stand in the place of each token. */
export class BertForMaskedLM extends BertWithHead {
  readonly predictions: MaskedLanguageModelHead;

  constructor(config: BertConfig, weights: Weights = randomWeights(config)) {
    super(config, weights, false, 0);
    const words = this.bert.embeddings.wordEmbeddings.weight;
    this.predictions = new MaskedLanguageModelHead(config, weights.scope('cls.predictions'), words);
  }

  override tieWeights(): void {
    if (this.config.tieWordEmbeddings) this.predictions.tie(this.bert.embeddings.wordEmbeddings.weight);
  }

  forward(inputs: Inputs, options: ForwardOptions = {}): LogitsOutput {
    return this.tokenLogits(inputs, options, (x) => this.predictions.forward(x));
  }
}

/** Both heads of BERT's pretraining: masked words and next sentence. */
export class BertForPreTraining extends BertWithHead {
  readonly predictions: MaskedLanguageModelHead;
  readonly seqRelationship: Linear;

  constructor(config: BertConfig, weights: Weights = randomWeights(config)) {
    super(config, weights, true, 0);
    const words = this.bert.embeddings.wordEmbeddings.weight;
    this.predictions = new MaskedLanguageModelHead(config, weights.scope('cls.predictions'), words);
    this.seqRelationship = new Linear(weights.scope('cls.seq_relationship'), config.hiddenSize, 2);
  }

  override tieWeights(): void {
    if (this.config.tieWordEmbeddings) this.predictions.tie(this.bert.embeddings.wordEmbeddings.weight);
  }

  forward(inputs: Inputs, options: ForwardOptions = {}): PreTrainingOutput {
    return this.engine.scope(() => {
      const { lastHiddenState, poolerOutput, ...rest } = this.bert.forward(inputs, options);
      const predictionLogits = this.predictions.forward(lastHiddenState);
      return { ...rest, predictionLogits, seqRelationshipLogits: this.seqRelationship.forward(poolerOutput!) };
    });
  }
}

/** `logits` [sequences, 2]: the second segment follows the first (0), or does not (1). */
export class BertForNextSentencePrediction extends BertWithHead {
  readonly seqRelationship: Linear;

  constructor(config: BertConfig, weights: Weights = randomWeights(config)) {
    super(config, weights, true, 0);
    this.seqRelationship = new Linear(weights.scope('cls.seq_relationship'), config.hiddenSize, 2);
  }

  forward(inputs: Inputs, options: ForwardOptions = {}): LogitsOutput {
    return this.sequenceLogits(inputs, options, (x) => this.seqRelationship.forward(x));
  }
}

/** `logits` [sequences, labels]; a single label means regression. */
export class BertForSequenceClassification extends BertWithHead {
  readonly classifier: Linear;

  constructor(config: BertConfig, weights: Weights = randomWeights(config)) {
    super(config, weights, true, classifierDropout(config));
    this.classifier = new Linear(weights.scope('classifier'), config.hiddenSize, config.numLabels);
  }

  forward(inputs: Inputs, options: ForwardOptions = {}): LogitsOutput {
    return this.sequenceLogits(inputs, options, (x) => this.classifier.forward(x));
  }
}

/** `logits` [totalTokens, labels]. */
export class BertForTokenClassification extends BertWithHead {
  readonly classifier: Linear;

  constructor(config: BertConfig, weights: Weights = randomWeights(config)) {
    super(config, weights, false, classifierDropout(config));
    this.classifier = new Linear(weights.scope('classifier'), config.hiddenSize, config.numLabels);
  }

  forward(inputs: Inputs, options: ForwardOptions = {}): LogitsOutput {
    return this.tokenLogits(inputs, options, (x) => this.classifier.forward(x));
  }
}

/** Where in the text an answer starts and ends: `startLogits` and `endLogits`, [totalTokens] each. */
export class BertForQuestionAnswering extends BertWithHead {
  readonly qaOutputs: Linear;

  constructor(config: BertConfig, weights: Weights = randomWeights(config)) {
    super(config, weights, false, 0);
    this.qaOutputs = new Linear(weights.scope('qa_outputs'), config.hiddenSize, 2);
  }

  forward(inputs: Inputs, options: ForwardOptions = {}): QuestionAnsweringOutput {
    return this.engine.scope(() => {
      const { logits, logitsPer: _, ...rest } = this.tokenLogits(inputs, options, (x) => this.qaOutputs.forward(x));
      const column = (offset: number) => {
        const values = Array.from({ length: logits.shape[0] }, (_, token) => logits.data[2 * token + offset]);
        return this.engine.tensor(values, [values.length]);
      };
      return { ...rest, startLogits: column(0), endLogits: column(1) };
    });
  }
}

/** Which of several continuations fits: `logits` [questions, choices]. The sequences of a question follow each other. */
export class BertForMultipleChoice extends BertWithHead {
  readonly classifier: Linear;

  constructor(config: BertConfig, weights: Weights = randomWeights(config)) {
    super(config, weights, true, classifierDropout(config));
    this.classifier = new Linear(weights.scope('classifier'), config.hiddenSize, 1);
  }

  /** @throws InputError if the number of sequences is not a multiple of `choices` */
  forward(inputs: Inputs, options: ForwardOptions & { choices?: number } = {}): LogitsOutput {
    const choices = options?.choices ?? 1;
    const batch = PackedBatch.from(inputs);
    if (batch.size % choices !== 0) {
      throw new InputError({
        what: 'BertForMultipleChoice: number of sequences',
        expected: `a multiple of ${choices} choices`,
        got: `${batch.size}`,
      });
    }
    const output = this.sequenceLogits(batch, options, (x) => this.classifier.forward(x));
    return { ...output, logits: output.logits.reshape([batch.size / choices, choices]) };
  }
}

import { InputError } from '../errors.ts';
import { Linear, PackedBatch, type Weights } from '../layers/index.ts';
import { gather, type Tensor } from '../tensor/index.ts';
import type { BertConfig } from './config.ts';
import { BertWithHead, BertWithSequenceHead, DenseHead, MaskedLanguageModelHead, type Inputs } from './headModules.ts';
import type {
  ForwardOptions,
  LogitsOutput,
  PredictionOptions,
  PreTrainingOutput,
  QuestionAnsweringOutput,
} from './outputs.ts';
import { randomWeights } from './preTrainedModel.ts';

// The heads of BERT under transformers' names. Those of other families extend them, and are told apart by the config's family.

const tokenHead = (config: BertConfig, weights: Weights) => {
  const layer = config.family.heads?.tokens?.(config);
  return layer ? new DenseHead(config, weights, layer) : null;
};

const classifierDropout = (config: BertConfig) => config.classifierDropout ?? config.hiddenDropoutProb;

/** `logits` [totalTokens, vocabSize]: how well each word would stand in the place of each token. */
export class BertForMaskedLM extends BertWithHead {
  readonly predictions: MaskedLanguageModelHead;

  constructor(config: BertConfig, weights: Weights = randomWeights(config)) {
    super(config, weights, false, 0);
    this.predictions = new MaskedLanguageModelHead(config, weights, this.bert.embeddings.wordEmbeddings.weight);
  }

  override tieWeights(): void {
    if (this.config.tieWordEmbeddings) this.predictions.tie(this.bert.embeddings.wordEmbeddings.weight);
  }

  forward(inputs: Inputs, options: PredictionOptions = {}): LogitsOutput {
    const tokens = options?.predictionTokens;
    return this.engine.scope(() => {
      const { lastHiddenState, poolerOutput: _, ...rest } = this.statesOf(inputs, options, tokens);
      const logits = this.predictions.forward(lastHiddenState);
      return { ...rest, logits, logitsPer: tokens ? 'predictionToken' : 'token' };
    });
  }
}

/** Both heads of BERT's pretraining: masked words and next sentence. */
export class BertForPreTraining extends BertWithHead {
  readonly predictions: MaskedLanguageModelHead;
  readonly seqRelationship: Linear;

  constructor(config: BertConfig, weights: Weights = randomWeights(config)) {
    super(config, weights, true, 0);
    this.predictions = new MaskedLanguageModelHead(config, weights, this.bert.embeddings.wordEmbeddings.weight);
    this.seqRelationship = new Linear(weights.scope('cls.seq_relationship'), config.hiddenSize, 2);
  }

  override tieWeights(): void {
    if (this.config.tieWordEmbeddings) this.predictions.tie(this.bert.embeddings.wordEmbeddings.weight);
  }

  forward(inputs: Inputs, options: PredictionOptions = {}): PreTrainingOutput {
    return this.engine.scope(() => {
      const { lastHiddenState, poolerOutput, ...rest } = this.statesOf(inputs, options, options?.predictionTokens);
      const predictionLogits = this.predictions.forward(lastHiddenState);
      return { ...rest, predictionLogits, seqRelationshipLogits: this.seqRelationship.forward(poolerOutput!) };
    });
  }
}

/** `logits` [sequences, 2]: the second segment follows the first (0), or does not (1). */
export class BertForNextSentencePrediction extends BertWithSequenceHead {
  constructor(config: BertConfig, weights: Weights = randomWeights(config)) {
    super(config, weights, 2, { path: 'cls.seq_relationship', dropout: 0 });
  }

  forward(inputs: Inputs, options: ForwardOptions = {}): LogitsOutput {
    return this.sequenceLogits(inputs, options);
  }
}

/** `logits` [sequences, labels]; a single label means regression. */
export class BertForSequenceClassification extends BertWithSequenceHead {
  constructor(config: BertConfig, weights: Weights = randomWeights(config)) {
    const head = config.family.heads?.sequenceClassification?.(config);
    super(config, weights, config.numLabels, { dropout: classifierDropout(config), head });
  }

  forward(inputs: Inputs, options: ForwardOptions = {}): LogitsOutput {
    return this.sequenceLogits(inputs, options);
  }
}

/** `logits` [totalTokens, labels]. */
export class BertForTokenClassification extends BertWithHead {
  /** In families that have such a layer. */
  readonly head: DenseHead | null;
  readonly classifier: Linear;

  constructor(config: BertConfig, weights: Weights = randomWeights(config)) {
    const { tokenClassification: dropout = classifierDropout } = config.family.heads?.dropout ?? {};
    super(config, weights, false, dropout(config));
    this.head = tokenHead(config, weights);
    this.classifier = new Linear(weights.scope('classifier'), config.hiddenSize, config.numLabels);
  }

  forward(inputs: Inputs, options: ForwardOptions = {}): LogitsOutput {
    return this.tokenLogits(inputs, options, (x) => this.classifier.forward(x), this.head);
  }
}

/** Where in the text an answer starts and ends: `startLogits` and `endLogits`, [totalTokens] each. */
export class BertForQuestionAnswering extends BertWithHead {
  /** In families that have such a layer. */
  readonly head: DenseHead | null;
  readonly qaOutputs: Linear;

  constructor(config: BertConfig, weights: Weights = randomWeights(config)) {
    super(config, weights, false, config.family.heads?.dropout?.questionAnswering?.(config) ?? 0);
    this.head = tokenHead(config, weights);
    this.qaOutputs = new Linear(weights.scope(config.family.heads?.answers ?? 'qa_outputs'), config.hiddenSize, 2);
  }

  forward(inputs: Inputs, options: ForwardOptions = {}): QuestionAnsweringOutput {
    return this.engine.scope(() => {
      const answers = (x: Tensor) => this.qaOutputs.forward(x);
      const { logits, logitsPer: _, ...rest } = this.tokenLogits(inputs, options, answers, this.head);
      return { ...rest, startLogits: column(logits, 0), endLogits: column(logits, 1) };
    });
  }
}

/** x: [rows, columns] → its column, [rows] */
function column(x: Tensor, index: number): Tensor {
  const [rows, columns] = x.shape;
  return gather(
    x,
    Int32Array.from({ length: rows }, (_, row) => row * columns + index),
    [rows],
  );
}

/** Which of several continuations fits: `logits` [questions, choices]. The sequences of a question follow each other. */
export class BertForMultipleChoice extends BertWithSequenceHead {
  constructor(config: BertConfig, weights: Weights = randomWeights(config)) {
    const { multipleChoice, dropout } = config.family.heads ?? {};
    const { multipleChoice: probability = classifierDropout } = dropout ?? {};
    super(config, weights, 1, { dropout: probability(config), head: multipleChoice?.(config) });
  }

  /** @throws InputError if the number of sequences is not a multiple of `choices` */
  forward(inputs: Inputs, options: ForwardOptions & { choices?: number } = {}): LogitsOutput {
    const choices = options?.choices ?? 1;
    const batch = PackedBatch.from(inputs);
    if (!(Number.isSafeInteger(choices) && choices > 0) || batch.size % choices !== 0) {
      throw new InputError({
        what: `${this.constructor.name}: number of sequences`,
        expected: `a multiple of ${choices} choices`,
        got: `${batch.size}`,
      });
    }
    const output = this.sequenceLogits(batch, options);
    return { ...output, logits: output.logits.reshape([batch.size / choices, choices]) };
  }
}

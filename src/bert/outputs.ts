import { ShapeError } from '../errors.ts';
import type { PackedBatch } from '../layers/index.ts';
import type { Tensor } from '../tensor/index.ts';

export interface ForwardOptions {
  /** Return the embeddings and every layer's output. */
  outputHiddenStates?: boolean;
  /** Return every layer's attention probabilities; costs memory in the square of the lengths. */
  outputAttentions?: boolean;
}

/** Of a model that scores the words of its vocabulary. */
export interface PredictionOptions extends ForwardOptions {
  /**
   * Score words for these tokens alone, counted through the batch as it is packed (`batch.offsets`): the logits are [tokens given,
   * vocabSize], the same numbers as among all. A vocabulary costs as much as several layers. Default: all tokens.
   */
  predictionTokens?: Int32Array;
}

/** What every model returns. Outputs per token are packed: [totalTokens, …], the sequences end to end. */
export interface ModelOutput {
  batch: PackedBatch;
  /** Embeddings and each layer's output, [totalTokens, hiddenSize] each. */
  hiddenStates?: Tensor[];
  /** Each layer's probabilities, [heads, Σ length²]: for each head, the [length, length] of each sequence in turn. */
  attentions?: Tensor[];
}

export interface TokensOutput extends ModelOutput {
  /** [totalTokens, hiddenSize], or of the tokens asked for */
  lastHiddenState: Tensor;
  /** [sequences, hiddenSize]; where some tokens were asked for, only if all were computed. */
  poolerOutput?: Tensor | null;
}

export interface EncoderOutput extends TokensOutput {
  /** [sequences, hiddenSize] */
  poolerOutput: Tensor | null;
}

export interface PooledOutput extends ModelOutput {
  /** [sequences, hiddenSize] */
  pooled: Tensor;
  /** [sequences, hiddenSize], of first tokens; null of others, and without a pooler. */
  poolerOutput: Tensor | null;
}

export interface LogitsOutput extends ModelOutput {
  /** Per sequence [sequences, labels], or per token [totalTokens, labels or vocabSize]; or for the `predictionTokens` asked for. */
  logits: Tensor;
  logitsPer: 'sequence' | 'token' | 'predictionToken';
}

export interface PreTrainingOutput extends ModelOutput {
  /** [totalTokens, vocabSize], or for the `predictionTokens` asked for */
  predictionLogits: Tensor;
  /** [sequences, 2]: does the second segment follow the first (0), or not (1)? */
  seqRelationshipLogits: Tensor;
}

export interface SentenceOrderOutput extends ModelOutput {
  /** [totalTokens, vocabSize], or for the `predictionTokens` asked for */
  predictionLogits: Tensor;
  /** [sequences, labels]: are the segments in their order (0), or swapped (1)? */
  sopLogits: Tensor;
}

export interface QuestionAnsweringOutput extends ModelOutput {
  /** [totalTokens] */
  startLogits: Tensor;
  /** [totalTokens] */
  endLogits: Tensor;
}

/** Any of the outputs, for code that serves every model. */
export type AnyOutput = ModelOutput &
  Partial<
    Omit<
      EncoderOutput & PreTrainingOutput & SentenceOrderOutput & QuestionAnsweringOutput & LogitsOutput,
      keyof ModelOutput
    >
  >;

/** The same outputs in the shapes that transformers returns, [sequences, tokens, …], with zeros for padding. */
export function padded<O extends AnyOutput>(output: O): O {
  const { batch, hiddenStates, attentions, logits, logitsPer } = output;
  const perToken = {
    lastHiddenState: output.lastHiddenState,
    predictionLogits: output.predictionLogits,
    startLogits: output.startLogits,
    endLogits: output.endLogits,
    ...(logitsPer === 'token' && { logits }),
  };
  const result = { ...output };
  for (const [name, x] of Object.entries(perToken)) if (x) Object.assign(result, { [name]: padTokens(x, batch) });
  if (hiddenStates) result.hiddenStates = hiddenStates.map((x) => padTokens(x, batch));
  if (attentions) result.attentions = attentions.map((x) => padAttentions(x, batch));
  return result;
}

/**
 * Packed rows back in their columns, zeros elsewhere.
 *
 * @param x [totalTokens, ...rest] → [sequences, paddedLength, ...rest]
 */
export function padTokens(x: Tensor, batch: PackedBatch): Tensor {
  const [rows, ...rest] = x.shape;
  expectSize('padTokens: rows of x', rows, batch.totalTokens);
  const y = x.engine.zeros([batch.size, batch.paddedLength, ...rest]);
  const rowSize = batch.totalTokens > 0 ? x.size / batch.totalTokens : 0;
  for (let sequence = 0; sequence < batch.size; sequence++) {
    for (let token = batch.offsets[sequence]; token < batch.offsets[sequence + 1]; token++) {
      const row = x.data.subarray(token * rowSize, (token + 1) * rowSize);
      y.data.set(row, (sequence * batch.paddedLength + batch.columns[token]) * rowSize);
    }
  }
  return y;
}

/**
 * Packed attention probabilities back in their rows and columns, zeros elsewhere.
 *
 * @param x [heads, Σ length²] → [sequences, heads, paddedLength, paddedLength]
 */
export function padAttentions(x: Tensor, batch: PackedBatch): Tensor {
  const [heads, squares] = x.shape;
  const width = batch.paddedLength;
  const y = x.engine.zeros([batch.size, heads, width, width]);
  let square = 0;
  for (let sequence = 0; sequence < batch.size; sequence++) {
    const columns = batch.columns.subarray(batch.offsets[sequence], batch.offsets[sequence + 1]);
    for (let head = 0; head < heads; head++) {
      columns.forEach((query, i) => {
        const from = head * squares + square + i * columns.length;
        const to = ((sequence * heads + head) * width + query) * width;
        columns.forEach((key, j) => (y.data[to + key] = x.data[from + j]));
      });
    }
    square += columns.length ** 2;
  }
  expectSize('padAttentions: columns of x', squares, square);
  return y;
}

function expectSize(what: string, got: number | undefined, expected: number): void {
  if (got === expected) return;
  throw new ShapeError({ what, expected: `${expected}, of the same batch`, got: `${got}` });
}

import type { AnyOutput, BertForMaskedLM, BertForPreTraining } from '../../bert/index.ts';
import { ConfigError, InputError } from '../../errors.ts';
import { PackedBatch } from '../../layers/index.ts';
import { perplexity } from '../../metrics/index.ts';
import { add, crossEntropy, withoutGradients, type Tensor } from '../../tensor/index.ts';
import type { Tokenizer } from '../../tokenizer/index.ts';
import type { Metrics, Settings } from '../trainer.ts';
import { maskStream, maskTokens, type MaskingOptions, type MaskVocabulary } from './masking.ts';
import type { ExampleBatch, Recipe } from './recipe.ts';
import { longest } from './textClassification.ts';

export interface MaskedLMOptions extends MaskingOptions {
  /** Tokens of an example, special ones included. Default: as many as the model reads. */
  maxLength?: number;
  /** Of the masks. Default 0. */
  seed?: number;
}

/** Tokens as the model reads them, before any are hidden. */
export interface TokenExample {
  inputIds: Int32Array;
  tokenTypeIds: Int32Array;
  /** null for special tokens. */
  wordIds: (number | null)[];
  /** Of a pair: 0 if the second part follows the first, 1 if not. */
  nextSentenceLabel?: number;
  length: number;
}

/** What the model reads, with the rows of the tokens that are to be guessed and what stood there. */
export interface MaskedBatch {
  batch: PackedBatch;
  rows: Int32Array;
  labels: Int32Array;
}

/** Masks of evaluations, which no epoch has. */
const EVALUATION = -1;

/** Words to be guessed from their neighbours, for an encoder with a masked-language-model head. Examples are documents. */
export class MaskedLanguageModelling implements Recipe<readonly string[], TokenExample> {
  readonly model: BertForMaskedLM | BertForPreTraining;
  readonly tokenizer: Tokenizer;
  readonly maxLength: number;
  readonly metric = { name: 'eval_loss', lower: true };
  readonly settings: Settings;
  readonly #masking: MaskingOptions;
  readonly #seed: number;
  readonly #vocabulary: MaskVocabulary;

  constructor(model: BertForMaskedLM | BertForPreTraining, tokenizer: Tokenizer, options: MaskedLMOptions = {}) {
    const { maxLength, seed = 0, probability = 0.15, unit = 'token' } = options;
    this.model = model;
    this.tokenizer = tokenizer;
    this.maxLength = longest(model, tokenizer, maxLength);
    this.#masking = { probability, unit };
    this.settings = { maskProbability: probability, maskUnit: unit, 'seed of masks': seed };
    this.#seed = seed;
    this.#vocabulary = maskVocabulary(tokenizer);
  }

  /** A document's lines end to end, cut into examples of the greatest length. */
  prepare(document: readonly string[]): TokenExample[] {
    const [cls, sep] = boundaries(this.tokenizer);
    const { ids, words } = tokensOf(this.tokenizer, document);
    const room = this.maxLength - 2;
    const examples: TokenExample[] = [];
    for (let start = 0; start < ids.length; start += room) {
      const part = ids.slice(start, start + room);
      const inputIds = Int32Array.of(cls, ...part, sep);
      examples.push({
        inputIds,
        tokenTypeIds: new Int32Array(inputIds.length),
        wordIds: [null, ...words.slice(start, start + room), null],
        length: inputIds.length,
      });
    }
    return examples;
  }

  loss(batch: ExampleBatch<TokenExample>): Tensor {
    const { words, isNext } = this.#losses(batch);
    return isNext ? add(words, isNext) : words;
  }

  /** Hides tokens of a batch, the same ones for the same epoch. */
  mask({ examples, indices, epoch }: ExampleBatch<TokenExample>): MaskedBatch {
    const masked = examples.map(({ inputIds, wordIds }, i) => {
      const stream = maskStream(this.#seed, epoch, indices[i]);
      return maskTokens(inputIds, wordIds, stream, this.#vocabulary, this.#masking);
    });
    const batch = new PackedBatch({
      inputIds: masked.map(({ inputIds }) => inputIds),
      tokenTypeIds: examples.map(({ tokenTypeIds }) => tokenTypeIds),
    });
    const rows = masked.flatMap(({ positions }, s) => Array.from(positions, (p) => batch.offsets[s] + p));
    const labels = masked.flatMap((one) => Array.from(one.labels));
    return { batch, rows: Int32Array.from(rows), labels: Int32Array.from(labels) };
  }

  /** Only the hidden tokens are guessed: a score for every word of the vocabulary costs as much as a few layers. */
  #losses(examples: ExampleBatch<TokenExample>): { words: Tensor; isNext?: Tensor; count: number } {
    const { batch, rows, labels } = this.mask(examples);
    const output: AnyOutput = this.model.forward(batch, { predictionTokens: rows });
    const words = crossEntropy(output.logits ?? output.predictionLogits!, labels);
    if (output.seqRelationshipLogits === undefined) return { words, count: rows.length };
    const next = Int32Array.from(examples.examples, ({ nextSentenceLabel = 0 }) => nextSentenceLabel);
    const isNext = crossEntropy(output.seqRelationshipLogits, next);
    return { words, isNext, count: rows.length };
  }

  checkEvaluation(documents: readonly (readonly string[])[]): void {
    expectSome(documents.flatMap((document) => this.prepare(document)));
  }

  evaluate(documents: readonly (readonly string[])[]): Metrics {
    return this.evaluateExamples(documents.flatMap((document) => this.prepare(document)));
  }

  /** Loss and perplexity of the same hidden tokens each time. */
  evaluateExamples(examples: readonly TokenExample[]): Metrics {
    expectSome(examples);
    let [sum, next, count] = [0, 0, 0];
    for (let start = 0; start < examples.length; start += 16) {
      const part = examples.slice(start, start + 16);
      const indices = Int32Array.from(part, (_, i) => start + i);
      withoutGradients(this.model.engine, () => {
        const { words, isNext, count: hidden } = this.#losses({ examples: part, indices, epoch: EVALUATION });
        sum += words.data[0] * hidden;
        next += (isNext?.data[0] ?? 0) * part.length;
        count += hidden;
      });
    }
    // Means over hidden tokens and over pairs, whatever the batches.
    const wordLoss = sum / count;
    return {
      eval_loss: wordLoss + next / examples.length,
      mlm_loss: wordLoss,
      perplexity: perplexity([wordLoss]),
    };
  }
}

function expectSome(examples: readonly TokenExample[]): void {
  if (examples.length === 0) throw new InputError({ what: 'evaluation', expected: 'some text', got: 'none' });
}

/** Token ids of lines, and which word each belongs to, counted through all lines. */
export function tokensOf(tokenizer: Tokenizer, lines: readonly string[]): { ids: number[]; words: number[] } {
  const [ids, words]: number[][] = [[], []];
  for (const line of lines) {
    const { inputIds, wordIds } = tokenizer.encode(line, { addSpecialTokens: false });
    const before = words.length > 0 ? words[words.length - 1] + 1 : 0;
    inputIds.forEach((id, i) => {
      ids.push(id);
      words.push(before + wordIds[i]!);
    });
  }
  return { ids, words };
}

export function boundaries({ clsTokenId, sepTokenId }: Tokenizer): [cls: number, sep: number] {
  if (clsTokenId !== undefined && sepTokenId !== undefined) return [clsTokenId, sepTokenId];
  throw new ConfigError({ what: 'tokenizer', expected: 'tokens for the beginning and the end of a text', got: 'none' });
}

function maskVocabulary(tokenizer: Tokenizer): MaskVocabulary {
  const { maskTokenId, vocabSize, clsTokenId, sepTokenId, padTokenId, unkTokenId } = tokenizer;
  if (maskTokenId === undefined) {
    throw new ConfigError({
      what: 'tokenizer',
      expected: 'a mask token',
      got: 'none',
      fix: 'use that of a masked language model',
    });
  }
  const special = [maskTokenId, clsTokenId, sepTokenId, padTokenId, unkTokenId].filter((id) => id !== undefined);
  return { maskTokenId, vocabSize, specialIds: new Set(special) };
}

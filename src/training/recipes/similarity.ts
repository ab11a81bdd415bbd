import type { BertModel } from '../../bert/index.ts';
import { ConfigError, InputError } from '../../errors.ts';
import { pearson, spearman } from '../../metrics/index.ts';
import { multiply, normalizeRows, sum, withoutGradients, type Pooling, type Tensor } from '../../tensor/index.ts';
import type { Encoding, Tokenizer } from '../../tokenizer/index.ts';
import type { ScoredText } from '../data/examples.ts';
import { meanSquared, multipleNegativesRanking, tripletLoss } from '../losses.ts';
import type { Metrics, Settings } from '../trainer.ts';
import type { ExampleBatch, Recipe } from './recipe.ts';
import { encode, inputsOf, type TextRecipeOptions } from './textClassification.ts';

/** Two texts and how alike they are; two that belong together; a third one that does not belong; or one alone, for SimCSE. */
export interface SimilarityExample {
  texts: readonly string[];
  /** Of pairs. */
  score?: number;
}

/** What the vectors are trained for. */
export type SimilarityLoss =
  /** The cosine of a pair is to be its score (Reimers & Gurevych 2019, §3). */
  | 'cosine'
  /** The second text is to be nearer to the first than the others of the batch are. */
  | 'ranking'
  /** The second text is to be nearer than the third. */
  | 'triplet'
  /** A text is to be near itself under another dropout, far from others (Gao et al. 2021). */
  | 'simcse';

export interface SimilarityOptions extends TextRecipeOptions {
  loss?: SimilarityLoss;
  /** How tokens become one vector. Default 'mean'. */
  pooling?: Pooling;
  /** What `score` ranges over; it is brought to 0 to 1. Default [0, 1]. */
  scoreRange?: readonly [number, number];
  /** Factor of the cosine in 'ranking' and 'simcse'. Default 20. */
  scale?: number;
}

interface Prepared {
  encodings: Encoding[];
  score: number;
  length: number;
}

/** Sentence embeddings, of a bare encoder. */
export class SentenceSimilarity implements Recipe<SimilarityExample, Prepared> {
  readonly model: BertModel;
  readonly tokenizer: Tokenizer;
  readonly maxLength: number;
  readonly metric = { name: 'spearman' };
  readonly settings: Settings;
  readonly #options: Required<Omit<SimilarityOptions, 'maxLength'>>;

  constructor(model: BertModel, tokenizer: Tokenizer, options: SimilarityOptions = {}) {
    const { loss = 'cosine', pooling = 'mean', scoreRange = [0, 1], scale = 20, maxLength } = options;
    this.model = model;
    this.tokenizer = tokenizer;
    this.maxLength = longestSentence(model, tokenizer, maxLength);
    this.#options = { loss, pooling, scoreRange, scale };
    this.settings = { similarityLoss: loss, pooling, scoreRange: scoreRange.join(), scale };
    if (!(scoreRange[0] < scoreRange[1])) {
      throw new ConfigError({ what: 'scoreRange', expected: 'two rising numbers', got: scoreRange.join(', ') });
    }
  }

  prepare({ texts, score = NaN }: SimilarityExample): Prepared[] {
    const { loss, scoreRange } = this.#options;
    const wanted = { cosine: 2, ranking: 2, triplet: 3, simcse: 1 }[loss];
    if (texts.length < wanted || (loss === 'cosine' && !Number.isFinite(score))) {
      const expected = `${wanted} text${wanted > 1 ? 's' : ''}${loss === 'cosine' ? ' and a score' : ''} for the loss "${loss}"`;
      throw new InputError({ what: 'example', expected, got: `${texts.length}` });
    }
    const encodings = texts.slice(0, Math.max(wanted, 1)).map((text) => encode(this.tokenizer, text, this.maxLength));
    const scaled = (score - scoreRange[0]) / (scoreRange[1] - scoreRange[0]);
    return [{ encodings, score: scaled, length: encodings.reduce((sum, { length }) => sum + length, 0) }];
  }

  /** One vector per text: of all first ones, all second ones, … */
  #vectors(examples: readonly Prepared[], column: number): Tensor {
    const encodings = examples.map((example) => example.encodings[column]);
    return sentenceVectors(this.model, encodings, this.#options.pooling);
  }

  loss({ examples }: ExampleBatch<Prepared>): Tensor {
    const { loss, scale } = this.#options;
    const first = this.#vectors(examples, 0);
    const second = this.#vectors(examples, loss === 'simcse' ? 0 : 1); // a second pass drops other numbers
    if (loss === 'triplet') return tripletLoss(first, second, this.#vectors(examples, 2));
    if (loss !== 'cosine') return multipleNegativesRanking(first, second, { scale });
    const scores = first.engine.tensor(
      examples.map(({ score }) => score),
      [examples.length],
    );
    return meanSquared(cosines(first, second), scores);
  }

  checkEvaluation(examples: readonly SimilarityExample[]): void {
    scoredPairs(examples);
  }

  evaluate(examples: readonly SimilarityExample[]): Metrics {
    return similarityMetrics(examples, (pairs) => this.scores(pairs));
  }

  /** The cosine of each pair. */
  scores(pairs: readonly (readonly string[])[]): number[] {
    const found: number[] = [];
    for (let start = 0; start < pairs.length; start += 32) {
      const batch = pairs.slice(start, start + 32).map((texts): Prepared => {
        const encodings = texts.slice(0, 2).map((text) => encode(this.tokenizer, text, this.maxLength));
        return { encodings, score: 0, length: 0 };
      });
      const y = withoutGradients(this.model.engine, () => cosines(this.#vectors(batch, 0), this.#vectors(batch, 1)));
      found.push(...y.data);
    }
    return found;
  }
}

/** How well the cosines of pairs follow their scores. @param cosinesOf the pairs: whatever makes the vectors */
export function similarityMetrics(
  examples: readonly SimilarityExample[],
  cosinesOf: (pairs: (readonly string[])[]) => number[],
): Metrics {
  const pairs = scoredPairs(examples);
  const found = cosinesOf(pairs.map(({ texts }) => texts));
  const scores = pairs.map(({ score }) => score!);
  return { spearman: spearman(scores, found), pearson: pearson(scores, found) };
}

function scoredPairs(examples: readonly SimilarityExample[]): SimilarityExample[] {
  const pairs = examples.filter(({ texts, score }) => texts.length >= 2 && score !== undefined);
  if (pairs.length > 1) return pairs;
  throw new InputError({ what: 'evaluation', expected: 'at least two pairs with a score', got: `${pairs.length}` });
}

/** Most tokens of a text, as `SentenceEncoder` has it: a wanted length, as max_seq_length, goes before model_max_length. */
export function longestSentence(model: BertModel, tokenizer: Tokenizer, wanted = tokenizer.modelMaxLength): number {
  return Math.min(wanted, model.config.maxSequenceLength);
}

/** [texts, hiddenSize] */
export function sentenceVectors(model: BertModel, encodings: readonly Encoding[], pooling: Pooling): Tensor {
  return model.forwardPooled(inputsOf(encodings), pooling).pooled;
}

export const cosines = (a: Tensor, b: Tensor): Tensor => sum(multiply(normalizeRows(a), normalizeRows(b)));

/** Pairs of texts with a score, as `readScoredTexts` gives them. */
export function similarityExample({ text, score }: ScoredText): SimilarityExample {
  if (typeof text !== 'string') return { texts: text, score };
  throw new InputError({ what: 'example', expected: 'a pair of texts', got: 'one', fix: 'give a field text_pair' });
}

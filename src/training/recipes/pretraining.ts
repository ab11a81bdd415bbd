import type { BertForPreTraining } from '../../bert/index.ts';
import { ConfigError, show } from '../../errors.ts';
import { randomStream, randomUniform, type Tensor } from '../../tensor/index.ts';
import type { Tokenizer } from '../../tokenizer/index.ts';
import type { Metrics, Settings } from '../trainer.ts';
import { boundaries, MaskedLanguageModelling, tokensOf, type MaskedLMOptions, type TokenExample } from './maskedLM.ts';
import type { ExampleBatch, Recipe } from './recipe.ts';

export interface SentencePairOptions {
  /** Tokens of a pair, special ones included. */
  maxLength: number;
  /** How often a pair is made shorter than there is room for, so that short texts are seen too. Default 0.1. */
  shortSequenceProbability?: number;
  /** How often the documents are gone through, each time with other pairs. Default 1. */
  duplicates?: number;
  seed?: number;
}

interface Sentence {
  ids: number[];
  words: number[];
}

/**
 * Pairs of parts of documents for BERT's pretraining (Devlin et al. 2019, appendix A.2): the second part follows the first,
 * or, half of the time, comes from another document. Lines of a document are its sentences; parts are runs of them.
 *
 * @param documents the lines of each
 */
export function sentencePairs(
  documents: readonly (readonly string[])[],
  tokenizer: Tokenizer,
  { maxLength, shortSequenceProbability = 0.1, duplicates = 1, seed = 0 }: SentencePairOptions,
): TokenExample[] {
  if (!Number.isSafeInteger(maxLength) || maxLength < 8) {
    throw new ConfigError({ what: 'maxLength', expected: 'a whole number of at least 8', got: show(maxLength) });
  }
  const [cls, sep] = boundaries(tokenizer);
  const texts = documents.map((lines) =>
    lines.map((line) => tokensOf(tokenizer, [line])).filter(({ ids }) => ids.length > 0),
  );
  const usable = texts.filter((sentences) => sentences.length > 0);
  const room = maxLength - 3;
  const examples: TokenExample[] = [];
  for (let copy = 0; copy < duplicates; copy++) {
    usable.forEach((sentences, d) => {
      const stream = randomStream(seed, `pairs of document ${d}, copy ${copy}`);
      let draws = 0;
      const draw = (below: number) => Math.floor(randomUniform(stream, draws++) * below);
      const chance = () => randomUniform(stream, draws++);
      const target = () => (chance() < shortSequenceProbability ? 2 + draw(room - 1) : room);
      let wanted = target();
      let chunk: Sentence[] = [];
      for (let i = 0; i < sentences.length; i++) {
        chunk.push(sentences[i]);
        const length = chunk.reduce((sum, { ids }) => sum + ids.length, 0);
        if (i < sentences.length - 1 && length < wanted) continue;
        const split = chunk.length > 1 ? 1 + draw(chunk.length - 1) : 1;
        const first = chunk.slice(0, split);
        let second = chunk.slice(split);
        const random = usable.length > 1 && (chunk.length === 1 || chance() < 0.5);
        if (random) {
          const other = usable[(d + 1 + draw(usable.length - 1)) % usable.length];
          const rest = wanted - first.reduce((sum, { ids }) => sum + ids.length, 0);
          second = [];
          for (let j = draw(other.length), taken = 0; j < other.length && (taken === 0 || taken < rest); j++) {
            second.push(other[j]);
            taken += other[j].ids.length;
          }
          i -= chunk.length - split; // what was not used comes again
        }
        if (second.length > 0) examples.push(pairOf(joined(first), joined(second), random));
        chunk = [];
        wanted = target();
      }

      function pairOf(a: Sentence, b: Sentence, random: boolean): TokenExample {
        // The longer part gives up tokens, at its beginning or at its end.
        while (a.ids.length + b.ids.length > room) {
          const longer = a.ids.length > b.ids.length ? a : b;
          const atStart = chance() < 0.5;
          for (const list of [longer.ids, longer.words]) list.splice(atStart ? 0 : -1, 1);
        }
        const inputIds = Int32Array.of(cls, ...a.ids, sep, ...b.ids, sep);
        const tokenTypeIds = new Int32Array(inputIds.length).fill(1, a.ids.length + 2);
        const offset = (a.words.at(-1) ?? 0) + 1;
        const wordIds = [null, ...a.words, null, ...b.words.map((word) => word + offset), null];
        return { inputIds, tokenTypeIds, wordIds, nextSentenceLabel: Number(random), length: inputIds.length };
      }
    });
  }
  return examples;
}

/** Sentences as one, words counted through. */
function joined(sentences: readonly Sentence[]): Sentence {
  const all: Sentence = { ids: [], words: [] };
  for (const { ids, words } of sentences) {
    const before = all.words.length > 0 ? all.words[all.words.length - 1] + 1 : 0;
    all.ids.push(...ids);
    all.words.push(...words.map((word) => word + before));
  }
  return all;
}

/** BERT's pretraining on such pairs: masked words and next sentence. Examples are pairs, as `sentencePairs` makes them. */
export class PreTraining implements Recipe<TokenExample, TokenExample> {
  readonly model: BertForPreTraining;
  readonly metric = { name: 'eval_loss', lower: true };
  readonly settings: Settings;
  readonly #words: MaskedLanguageModelling;

  constructor(model: BertForPreTraining, tokenizer: Tokenizer, options: MaskedLMOptions = {}) {
    this.model = model;
    this.#words = new MaskedLanguageModelling(model, tokenizer, options);
    this.settings = this.#words.settings;
  }

  prepare(pair: TokenExample): TokenExample[] {
    return [pair];
  }

  loss(batch: ExampleBatch<TokenExample>): Tensor {
    return this.#words.loss(batch);
  }

  evaluate(pairs: readonly TokenExample[]): Metrics {
    return this.#words.evaluateExamples(pairs);
  }
}

import type { BertPreTrainedModel, LogitsOutput } from '../../bert/index.ts';
import { InputError, show } from '../../errors.ts';
import { entityScores } from '../../metrics/index.ts';
import type { Tensor } from '../../tensor/index.ts';
import type { Encoding, Tokenizer } from '../../tokenizer/index.ts';
import type { TaggedSentence } from '../data/examples.ts';
import type { Metrics } from '../trainer.ts';
import { forwardAll, type ExampleBatch, type Recipe } from './recipe.ts';
import { encode, inputsOf, longest, type TextRecipeOptions } from './textClassification.ts';

interface Prepared {
  encoding: Encoding;
  /** A class number for the first token of each word, -100 for all others. */
  labels: Int32Array;
  /** Of each word, its first token; -1 for a word beyond the model's length, or of no token. */
  firstTokens: number[];
  length: number;
}

const IGNORED = -100;

/** Words into classes, such as `B-PER`; of the class `…ForTokenClassification`. The first token of a word stands for it. */
export class TokenClassification implements Recipe<TaggedSentence, Prepared> {
  readonly model: BertPreTrainedModel;
  readonly tokenizer: Tokenizer;
  readonly maxLength: number;
  readonly metric = { name: 'f1' };

  constructor(model: BertPreTrainedModel, tokenizer: Tokenizer, { maxLength }: TextRecipeOptions = {}) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.maxLength = longest(model, tokenizer, maxLength);
  }

  /** Nothing of a sentence without a token, of which there is nothing to learn. */
  prepare(sentence: TaggedSentence): Prepared[] {
    const prepared = this.#prepared(sentence);
    return prepared.firstTokens.some((token) => token >= 0) ? [prepared] : [];
  }

  #prepared({ words, tags }: TaggedSentence): Prepared {
    const encoding = encode(this.tokenizer, words.join(' '), this.maxLength);
    const firstTokens = firstTokensOf(words, encoding);
    const labels = new Int32Array(encoding.length).fill(IGNORED);
    firstTokens.forEach((token, word) => {
      if (token >= 0) labels[token] = this.#classOf(tags[word]);
    });
    return { encoding, labels, firstTokens, length: encoding.length };
  }

  #classOf(tag: string): number {
    const { id2label } = this.model.config;
    const id = id2label.indexOf(tag);
    if (id >= 0) return id;
    const expected = `one of ${id2label.map(show).join(', ')}`;
    throw new InputError({ what: `tag ${show(tag)}`, expected, fix: 'give the model the tags of the data' });
  }

  inputs({ examples }: ExampleBatch<Prepared>) {
    return inputsOf(examples.map(({ encoding }) => encoding));
  }

  labels({ examples }: ExampleBatch<Prepared>) {
    return { labels: examples.map(({ labels }) => labels) };
  }

  loss(batch: ExampleBatch<Prepared>): Tensor {
    return this.model.loss(this.model.forward(this.inputs(batch)), this.labels(batch));
  }

  /** @param predicted of these sentences, where that is known already */
  evaluate(sentences: readonly TaggedSentence[], predicted = this.predict(sentences)): Metrics {
    const { predictions, loss } = predicted;
    const labels = sentences.map(({ tags }) => tags);
    const { micro } = entityScores(labels, predictions);
    const words = labels.flat();
    const right = predictions.flat().filter((tag, i) => tag === words[i]).length;
    return {
      eval_loss: loss,
      f1: micro.f1,
      precision: micro.precision,
      recall: micro.recall,
      accuracy: right / words.length,
    };
  }

  /** A tag for every word; `O` for words that the model does not come to. */
  predictions(sentences: readonly TaggedSentence[]): string[][] {
    return this.predict(sentences).predictions;
  }

  /** The same, and the mean loss. */
  predict(sentences: readonly TaggedSentence[]): { predictions: string[][]; loss: number } {
    const { id2label } = this.model.config;
    const prepared = sentences.map((sentence) => this.#prepared(sentence));
    const predictions: string[][] = [];
    let [loss, count] = [0, 0];
    const inputs = (batch: Prepared[]) => inputsOf(batch.map(({ encoding }) => encoding));
    for (const { output, batch } of forwardAll(this.model, prepared, inputs)) {
      const { data, shape } = (output as LogitsOutput).logits;
      const { offsets } = output.batch;
      batch.forEach(({ firstTokens }, s) => {
        const tagAt = (token: number) => {
          const row = data.subarray((offsets[s] + token) * shape[1], (offsets[s] + token + 1) * shape[1]);
          return id2label[row.indexOf(Math.max(...row))];
        };
        predictions.push(firstTokens.map((token) => (token < 0 ? 'O' : tagAt(token))));
      });
      const words = batch.reduce((sum, { firstTokens }) => sum + firstTokens.filter((t) => t >= 0).length, 0);
      if (words === 0) continue;
      loss += words * this.model.loss(output, { labels: batch.map(({ labels }) => labels) }).data[0];
      count += words;
    }
    return { predictions, loss: loss / count };
  }
}

/**
 * Of each word, joined by spaces, its first token. The space before a word is its own, of which some tokenizers make a token
 * (SentencePiece's "▁", "Ġ" of bytes); so it is in transformers' `word_ids`, and the pipeline's first tokens are the same.
 */
function firstTokensOf(words: readonly string[], { starts, ends, sequenceIds }: Encoding): number[] {
  let token = 0;
  let begin = 0;
  return words.map((word) => {
    const end = begin + word.length;
    while (token < starts.length && (sequenceIds[token] === null || ends[token] < begin)) token++;
    begin = end + 1;
    return token < starts.length && starts[token] < end ? token++ : -1;
  });
}

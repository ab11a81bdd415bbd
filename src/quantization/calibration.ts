import { PackedBatch } from '../layers/index.ts';
import { randomStream, randomUniform } from '../tensor/index.ts';
import type { BertConfig } from '../bert/index.ts';

/** Tokens of the rows of each batch. */
const LENGTHS = [6, 10, 14, 20, 30, 50, 80, 120];
/** Batches of each distribution: 2 · 24 · 330 tokens, about four for each input of MiniLM's widest layer. */
const BATCHES = 24;
/** BERT's vocabularies begin with special, unused and single characters: 1996 of 30522 entries in the uncased one. */
const NO_WORDS = 0.0654;
/** Words come in order of frequency, the r-th with p ∝ 1 / (r + SHIFT) (Zipf 1949, Mandelbrot 1953). */
const SHIFT = 100;

/**
 * Texts of random words to calibrate a model on, half of them drawn evenly and half as often as words of their rank are.
 * They need no data, are the same each time, and serve as well as sentences do: what matters is which columns of a
 * layer's input are large and which go together, and that is mostly of the model's own making.
 *
 * @param ends the ids that the tokenizer puts before and after a text, if it does
 */
export function calibrationBatches(config: BertConfig, ends: readonly [number, number] | null): PackedBatch[] {
  const { vocabSize, maxSequenceLength } = config;
  const first = Math.floor(NO_WORDS * vocabSize);
  const words = vocabSize - first;
  const evenly = (u: number) => u * words;
  const zipf = (u: number) => SHIFT * (1 + words / SHIFT) ** u - SHIFT; // the inverse of the distribution function
  const stream = randomStream(0, 'calibration');
  let draws = 0;

  const row = (length: number, rank: (u: number) => number): number[] => {
    const ids = Array.from({ length: Math.min(length, maxSequenceLength) }, () =>
      Math.min(vocabSize - 1, first + Math.floor(rank(randomUniform(stream, draws++)))),
    );
    if (ends) [ids[0], ids[ids.length - 1]] = ends;
    return ids;
  };
  return [evenly, zipf].flatMap((rank) =>
    Array.from({ length: BATCHES }, () => new PackedBatch({ inputIds: LENGTHS.map((length) => row(length, rank)) })),
  );
}

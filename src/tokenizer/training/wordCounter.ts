import { InputError, show } from '../../errors.ts';
import { NormalizedString } from '../normalizedString.ts';
import type { Normalizer } from '../normalizer.ts';
import { type PreTokenizer, Splits } from '../preTokenizer.ts';

/** Texts to train on: of any length together, for only their words are kept. */
export type Texts = Iterable<string> | AsyncIterable<string>;

/** Counts the words of texts, as the first two stages make them. @throws InputError for what is not text */
export async function countWords(
  texts: Texts,
  normalizer: Normalizer | undefined,
  preTokenizer: PreTokenizer,
  onText: (texts: number) => void,
): Promise<Map<string, number>> {
  if (typeof texts === 'string' || typeof texts !== 'object' || texts === null) {
    throw new InputError({ what: 'texts', expected: 'many texts', got: show(texts), fix: 'give an array of texts' });
  }
  const counts = new Map<string, number>();
  const normalized = new NormalizedString();
  let done = 0;
  for await (const text of texts) {
    if (typeof text !== 'string') {
      throw new InputError({ what: `texts[${done}]`, expected: 'a string', got: show(text) });
    }
    normalized.read(text);
    normalizer?.normalize(normalized);
    const all = new Splits();
    all.push(0, normalized.length);
    const words = preTokenizer.preTokenize(normalized, all);
    for (let i = 0; i < words.length; i++) {
      const word = normalized.toString(words.starts[i], words.ends[i]);
      counts.set(word, (counts.get(word) ?? 0) + 1);
    }
    onText(++done);
  }
  return counts;
}

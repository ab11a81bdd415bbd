import { join } from 'node:path';
import { expect, it } from 'vitest';
import { SentenceEncoder } from '../../../src/index.ts';
import { root } from '../../support/paths.ts';

const words = 'the cat of a small town sold 12 naïve Größen 東京 in-between U.S. bonds 🙂 quickly'.split(' ');
/** 200 texts of 1 to 40 words, in an order of their own. */
const texts = Array.from({ length: 200 }, (_, i) =>
  Array.from(
    { length: 1 + ((i * 7) % 11) + (i % 10 === 0 ? 29 : 0) },
    (_, w) => words[(i * 31 + w * w * 17 + w) % 15],
  ).join(' '),
);

it('a text gets the same bits alone, among 200, and among 200 in another order', async () => {
  const encoder = await SentenceEncoder.fromPretrained(join(root, 'weights/all-MiniLM-L6-v2'));
  const together = encoder.encode(texts).map(({ embedding }) => embedding);
  const order = texts.map((_, i) => (i * 73) % 200); // 73 and 200 have no common factor
  const shuffled = encoder.encode(order.map((i) => texts[i])).map(({ embedding }) => embedding);
  texts.forEach((text, i) => {
    const [{ embedding }] = encoder.encode([text]);
    expect(Buffer.from(embedding.buffer).equals(Buffer.from(together[i].buffer))).toBe(true);
    expect(Buffer.from(shuffled[order.indexOf(i)].buffer).equals(Buffer.from(together[i].buffer))).toBe(true);
  });
  expect(together[0]).not.toEqual(together[1]);
});

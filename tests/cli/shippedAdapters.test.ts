import { join } from 'node:path';
import { expect, it } from 'vitest';
import { root, run } from './harness.ts';

// The shipped adapters beside the shipped int8 model.

const world = { folder: root, shippedModel: join(root, 'weights/all-MiniLM-L6-v2') };
const adapter = (name: string) => ['--adapter', join(root, 'weights/adapters', name), '--json'];

it.each([
  ['sentiment', 'What a wonderful film.', 'positive'],
  ['sentiment', 'A dull and lifeless mess.', 'negative'],
  ['question-types', 'Who wrote Hamlet?', 'person'],
])('%s: %s', async (name, text, label) => {
  const [row] = (await run(['classify', text, ...adapter(name)], world)).json<{ labels: { label: string }[] }>();
  expect(row.labels[0].label).toBe(label);
});

it('entities: a person and a place', async () => {
  const args = ['ner', 'Angela Merkel flew to Berlin.', '--aggregation', 'simple', ...adapter('entities')];
  const [row] = (await run(args, world)).json<{ entities: { entity: string; start: number; end: number }[] }>();
  const kinds = new Map(row.entities.map(({ entity, start }) => [start, entity]));
  expect(kinds.get(0)).toBe('person');
  expect(kinds.get(22)).toBe('location');
});

it('masked-words: some words', async () => {
  const args = ['fill-mask', 'Paris is the [MASK] of France.', ...adapter('masked-words')];
  const [row] = (await run(args, world)).json<{ masks: { token: string }[][] }>();
  expect(row.masks[0].map(({ token }) => token)).toContain('city');
});

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { root, run, temporaryFolder } from './harness.ts';

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

it('evaluate takes the one of its task; where there is none, it says what to pass', async () => {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'data.tsv'), 'text\tlabel\nWhat a wonderful film.\tpositive\nA dull mess.\tnegative\n');
  await writeFile(join(folder, 'scores.tsv'), 'text\tlabel\na\t1\nb\t2\n');
  const shipped = { ...world, shippedAdapters: join(root, 'weights/adapters') };
  const evaluate = (task: string, file: string) =>
    run(['evaluate', '--task', task, '--eval', join(folder, file), '--json'], shipped);
  expect((await evaluate('classification', 'data.tsv')).json()[0]).toMatchObject({ examples: 2, accuracy: 1 });
  const refused = expect.stringMatching(/missing tensors.*or an --adapter that has its head\n$/) as string;
  expect(await evaluate('regression', 'scores.tsv')).toMatchObject({ code: 2, stderr: refused });
});

it('entities: a person and a place', async () => {
  const args = ['ner', 'Angela Merkel flew to Berlin.', '--aggregation', 'simple', ...adapter('entities')];
  const [row] = (await run(args, world)).json<{ entities: { entity: string; start: number; end: number }[] }>();
  const kinds = new Map(row.entities.map(({ entity, start }) => [start, entity]));
  expect(kinds.get(0)).toBe('person');
  expect(kinds.get(22)).toBe('location');
});

it('masked-words: the word', async () => {
  const args = ['fill-mask', 'Paris is the [MASK] of France.', ...adapter('masked-words')];
  const [row] = (await run(args, world)).json<{ masks: { token: string }[][] }>();
  expect(row.masks[0].slice(0, 2).map(({ token }) => token)).toContain('capital');
});

it('question-answering: answers in their places', async () => {
  const context = 'Berlin is the capital of Germany. Paris is the capital of France. Hamlet was written around 1600.';
  for (const [question, answer] of [
    ['What is the capital of France?', 'Paris'],
    ['When was Hamlet written?', '1600'],
  ]) {
    const flags = ['--question', question, '--context', context, ...adapter('question-answering')];
    const [row] = (await run(['qa', ...flags], world)).json<{ answer: string; start: number; end: number }>();
    expect(row.answer).toBe(answer);
    expect(context.slice(row.start, row.end)).toBe(answer);
  }
});

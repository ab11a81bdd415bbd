import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BertConfig, BertForSequenceClassification, modelFiles } from '../../src/bert/index.ts';
import { run, temporaryFolder, tinyModel } from './harness.ts';

const folder = await temporaryFolder();
await mkdir(join(folder, 'classifier'));
const options = new BertConfig({
  ...{ vocabSize: 61, hiddenSize: 24, numHiddenLayers: 2, numAttentionHeads: 3, intermediateSize: 37 },
  ...{ maxPositionEmbeddings: 40, initializerRange: 0.1 },
});
const files = modelFiles(new BertForSequenceClassification(options));
const model = await tinyModel(join(folder, 'classifier'), Object.fromEntries(files));
const config = async (name: string) => JSON.parse(await readFile(join(folder, name, 'config.json'), 'utf8')) as Record<string, unknown>; // prettier-ignore
const { id2label } = (await config('classifier')) as { id2label: Record<string, string> };
const lines = Array.from({ length: 12 }, (_, i) => `${i % 2 ? 'a cat sat' : 'hello world'}\t${id2label[i % 2]}\n`);
await writeFile(join(folder, 'data.tsv'), `text\tlabel\n${lines.join('')}`);
const world = { folder, shippedModel: model };

describe('prune', () => {
  test('by importance on data; what it writes can be used', async () => {
    const flags = ['--feed-forward', '0.33', '--heads', '0.5', '--layers', '1', '--json'];
    const data = ['--task', 'classification', '--data', 'data.tsv'];
    const { code, json, stderr } = await run(['prune', '--output', 'pruned', ...flags, ...data], world);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('transformers has no config key') });
    const [report] = json<{ parameters: number; parameters_before: number; before: object; after: object }>();
    expect(report.parameters).toBeLessThan(report.parameters_before);
    expect(Object.keys(report.after)).toEqual(Object.keys(report.before));
    expect(await config('pruned')).toMatchObject({
      num_hidden_layers: 1,
      intermediate_size: 25,
      num_attention_heads: 2,
      attention_head_size: 8,
    });
    expect((await run(['classify', 'hello world', '--model', 'pruned'], world)).code).toBe(0);
  });

  test.each([
    [[], 'at least one of --feed-forward'],
    [['--layers', '1;2'], '--layers: expected numbers with commas between'],
    [['--layers', '7'], 'pruning: layers'],
    [['--heads', '0.5', '--task', 'classification'], '--data beside it'],
  ])('refuses %j', async (flags, message) => {
    const { code, stderr } = await run(['prune', '--output', 'bad', ...flags], world);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toContain(message);
  });
});

test('distill: the student starts as the layers that were asked for and comes nearer to its teacher', async () => {
  const flags = ['--layers', '1', '--task', 'classification', '--train', 'data.tsv', '--eval', 'data.tsv', '--json'];
  const how = ['--alpha', '1', '--cosine', '0.5', '--dropout', '0', '--epochs', '8', '--lr', '0.002', '--threads', '1'];
  const { code, json, stderr } = await run(
    ['distill', '--teacher', 'classifier', '--output', 'student', ...flags, ...how],
    world,
  );
  expect(code, stderr).toBe(0);
  expect(json()[0]).toMatchObject({ steps: 8, output: 'student' });
  expect(await config('student')).toMatchObject({ num_hidden_layers: 1, intermediate_size: 37 });
  const log = await readFile(join(folder, 'student/metrics.jsonl'), 'utf8');
  const losses = log.split('\n').flatMap((line) => (line.includes('"loss"') ? [(JSON.parse(line) as { loss: number }).loss] : [])); // prettier-ignore
  expect(losses).toHaveLength(8);
  expect(losses[7]).toBeLessThan(0.7 * losses[0]);
  // A student with all of the teacher's layers has nothing to learn from it.
  const same = ['--layers', '0,1', ...flags.slice(2), ...how.slice(0, -6), '--max-steps', '1', '--threads', '1'];
  expect((await run(['distill', '--teacher', 'classifier', '--output', 'same', ...same], world)).code).toBe(0);
  const first = JSON.parse((await readFile(join(folder, 'same/metrics.jsonl'), 'utf8')).split('\n')[0]) as {
    loss: number;
  };
  expect(Math.abs(first.loss)).toBeLessThan(1e-5);
});

test('pretrain: from documents to a model with a vocabulary of its own, whose perplexity falls', async () => {
  const document = ['The cat sat on the mat.', 'The dog sat on the log.', 'A cat and a dog ran in the sun.'].join('\n');
  await writeFile(join(folder, 'corpus.txt'), Array(20).fill(document).join('\n\n'));
  const size = ['--vocab-size', '90', '--layers', '1', '--hidden', '32', '--heads', '2', '--held-out', '5'];
  const how = ['--epochs', '6', '--lr', '0.005', '--batch-size', '4', '--max-length', '32', '--threads', '1'];
  const flags = ['--input', 'corpus.txt', '--output', 'new', ...size, ...how, '--json'];
  const { code, json, stderr } = await run(['pretrain', ...flags], world);
  expect(code, stderr).toBe(0);
  const [{ perplexity }] = json<{ perplexity: number }>();
  const log = (await readFile(join(folder, 'new/metrics.jsonl'), 'utf8')).trim().split('\n');
  const all = log.map((line) => JSON.parse(line) as Record<string, number>).filter((record) => 'perplexity' in record);
  expect(all).toHaveLength(6);
  expect(perplexity).toBeLessThan(0.7 * all[0].perplexity);
  expect(await config('new')).toMatchObject({ architectures: ['BertForPreTraining'], hidden_size: 32 });
  const { code: used, stdout } = await run(['fill-mask', 'the [MASK] sat', '--model', 'new'], world);
  expect({ used, stdout }).toEqual({ used: 0, stdout: expect.stringMatching(/\w/) });
});

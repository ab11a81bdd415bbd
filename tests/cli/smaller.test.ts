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

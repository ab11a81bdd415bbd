import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { BertForSequenceClassification, loadWithAdapter, type LogitsOutput } from '../../src/bert/index.ts';
import { FolderFiles } from '../../src/hub/index.ts';
import { parseSafetensors } from '../../src/safetensors/index.ts';
import { pipeline } from '../../src/tasks/index.ts';
import { AutoTokenizer } from '../../src/tokenizer/index.ts';
import { run, temporaryFolder, tinyModel } from './harness.ts';

const folder = await temporaryFolder();
const model = await tinyModel(folder);
const world = { folder, shippedModel: model };
const text = 'the cat sat on the mat';

beforeAll(async () => {
  await writeFile(join(folder, 'data.tsv'), `text\tlabel\n${text}\tcats\nthe dog ran\tdogs\n`.repeat(1));
  const flags = ['--lora-rank', '2', '--lora-targets', 'query,value,output.dense', '--epochs', '6', '--lr', '0.05'];
  const args = ['train', '--task', 'classification', '--train', 'data.tsv', '--output', 'out', ...flags];
  const { code, stderr } = await run(args, world);
  expect({ code, stderr }).toMatchObject({ code: 0 });
});

describe('train --lora-rank', () => {
  const adapter = join(folder, 'out/adapter');

  it('writes an adapter whose effect is that of the merged model', async () => {
    const inputs = (await AutoTokenizer.fromPretrained(model)).encode(text);
    const logits = (m: { forward(x: object): unknown }) =>
      (m.forward({ inputIds: [inputs.inputIds] }) as LogitsOutput).logits.data;
    const merged = await BertForSequenceClassification.fromPretrained(join(folder, 'out'));
    const beside = await loadWithAdapter(model, adapter);
    const plain = await loadWithAdapter(model, adapter);
    for (const module of plain.modules()) if ('adapters' in module) module.adapters = [];
    expect(merged.config.id2label).toEqual(['cats', 'dogs']);
    logits(merged).forEach((x, i) => expect(Math.abs(x - logits(beside)[i])).toBeLessThan(1e-5));
    expect(Math.abs(logits(plain)[0] - logits(beside)[0])).toBeGreaterThan(1e-3);
  });

  it('trains adapters and head alone', async () => {
    const bytes = await readFile(join(adapter, 'adapter_model.safetensors'));
    const names = [...parseSafetensors(new Uint8Array(bytes)).tensors.keys()];
    expect(names.every((name) => /lora_[AB]\.weight$|\.classifier\./.test(name))).toBe(true);
    const merged = parseSafetensors(new Uint8Array(await readFile(join(folder, 'out/model.safetensors')))).tensors;
    const base = parseSafetensors(new Uint8Array(await readFile(join(model, 'model.safetensors')))).tensors;
    const bias = 'encoder.layer.0.attention.self.key.bias';
    const [a, b] = [merged.get(`bert.${bias}`)!, base.get(bias) ?? base.get(`bert.${bias}`)!];
    expect(Array.from(a.bytes)).toEqual(Array.from(b.bytes));
  });

  it('is used by classify and evaluate, and by pipeline', async () => {
    const args = ['--adapter', 'out/adapter', '--json'];
    const { code, json } = await run(['classify', text, ...args], world);
    expect(code).toBe(0);
    const [{ labels }] = json<{ labels: { label: string; score: number }[] }>();
    const classify = await pipeline('text-classification', new FolderFiles(model), { adapter });
    const [best] = await classify(text);
    expect(labels[0].label).toBe(best.label);
    expect(Math.abs(labels[0].score - best.score)).toBeLessThan(1e-6);
    const task = ['evaluate', '--task', 'classification', '--eval', 'data.tsv'];
    const [metrics] = (await run([...task, ...args], world)).json();
    expect(metrics.accuracy).toBe(1);
  });

  it('refuses another task', async () => {
    const { code, stderr } = await run(['ner', text, '--adapter', 'out/adapter'], world);
    expect(code).toBe(2);
    expect(stderr).toMatch(/expected a model …ForTokenClassification, got BertForSequenceClassification/);
  });
});

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  adapterFiles,
  addLora,
  BertForSequenceClassification,
  BertModel,
  loadAdapter,
  loadAnyModel,
  loadWithAdapter,
  mergeAdapters,
  type BertPreTrainedModel,
  type LogitsOutput,
} from '../../src/bert/index.ts';
import { CheckpointError, ConfigError } from '../../src/errors.ts';
import { MemoryFiles } from '../../src/hub/index.ts';
import { parseSafetensors, toFloat32, toInt32 } from '../../src/safetensors/index.ts';
import { Engine, withGradients } from '../../src/tensor/index.ts';
import { modelFiles, readFixture } from '../support/fixtures.ts';

const { tensors } = parseSafetensors(readFixture('adapters/logits.safetensors'));
const ids = toInt32(tensors.get('input_ids')!);
const inputs = { inputIds: [ids.subarray(0, 5), ids.subarray(5)] };
const peft = new URL('../fixtures/adapters/peft/', import.meta.url);
const adapter = (changes: Record<string, unknown> = {}, weights = 'adapter_model.safetensors') => {
  const config = JSON.parse(readFileSync(new URL('adapter_config.json', peft), 'utf8')) as object;
  return new MemoryFiles({
    'adapter_config.json': JSON.stringify({ ...config, ...changes }),
    'adapter_model.safetensors': new Uint8Array(readFileSync(new URL(weights, peft))),
  });
};
const base = () => modelFiles('sequenceClassification');

const logitsOf = (model: BertPreTrainedModel) => (model.forward(inputs) as LogitsOutput).logits.data;
function apart(model: BertPreTrainedModel, expected: string): number {
  const right = toFloat32(tensors.get(expected)!);
  return right.reduce((most, x, i) => Math.max(most, Math.abs(x - logitsOf(model)[i])), 0);
}

describe("PEFT's adapter", () => {
  it.each(['reference', 'simd'] as const)('gives its logits, beside the layers and merged, on %s', async (kernels) => {
    const engine = new Engine({ kernels, threads: 1 });
    const model = await BertForSequenceClassification.fromPretrained(base(), { engine });
    await loadAdapter(model, adapter());
    expect(apart(model, 'logits')).toBeLessThan(1e-5);
    expect(apart(model, 'plain')).toBeGreaterThan(0.1);
    mergeAdapters(model);
    expect(apart(model, 'logits')).toBeLessThan(1e-5);
    expect(model.parameters().some(({ name }) => name.includes('lora'))).toBe(false);
  });

  it('with another alpha does not', async () => {
    const model = await BertForSequenceClassification.fromPretrained(base());
    await loadAdapter(model, adapter({ lora_alpha: 6 }));
    expect(apart(model, 'logits')).toBeGreaterThan(0.01);
  });

  it('adds up with another, and works beside int8 weights', async () => {
    const model = await BertForSequenceClassification.fromPretrained(base());
    await loadAdapter(model, adapter());
    await loadAdapter(model, adapter());
    expect(new Set(model.parameters().map(({ name }) => name)).size).toBe(model.parameters().length);
    const twice = Array.from(logitsOf(model));
    const doubled = await BertForSequenceClassification.fromPretrained(base());
    await loadAdapter(doubled, adapter({ lora_alpha: 14 }));
    logitsOf(doubled).forEach((x, i) => expect(Math.abs(x - twice[i])).toBeLessThan(1e-5));
    const q8 = await BertForSequenceClassification.fromPretrained(base(), { dtype: 'q8' });
    await loadAdapter(q8, adapter());
    expect(apart(q8, 'logits')).toBeLessThan(0.1);
    expect(() => mergeAdapters(q8)).toThrow(ConfigError);
  });

  it('that does not fit is refused', async () => {
    const model = await BertModel.fromPretrained(modelFiles('oneHead'));
    await expect(loadAdapter(model, adapter())).rejects.toThrow(CheckpointError);
    const right = await BertForSequenceClassification.fromPretrained(base());
    for (const changes of [{ peft_type: 'IA3' }, { use_dora: true }, { r: null }, { rank_pattern: { query: 4 } }]) {
      await expect(loadAdapter(right, adapter(changes))).rejects.toThrow(ConfigError);
    }
  });
});

describe('an adapter of our own', () => {
  it('begins without effect, trains alone with the head, and is read back on the bare encoder', async () => {
    const model = await BertForSequenceClassification.fromPretrained(base());
    const before = Array.from(logitsOf(model));
    const trained = addLora(model, { rank: 2, alpha: 4 });
    expect(Array.from(logitsOf(model))).toEqual(before);
    expect(trained.every(({ name }) => name.includes('lora_') || name.startsWith('classifier.'))).toBe(true);
    withGradients(model.parameters(), (backward) => {
      const output = model.forward(inputs);
      backward(model.loss(output, { labels: [0, 1] }));
    });
    expect(model.parameters().filter(({ grad }) => grad !== null).length).toBe(trained.length);
    for (const p of trained) {
      if (p.name.includes('lora_A')) continue; // no gradient yet: B is zero
      expect(p.grad!.data.some((x) => x !== 0)).toBe(true);
    }
    for (const p of trained) if ('packed' in p) p.set(p.toTensor().data.map((x, i) => x + Math.sin(i)));
    const files = adapterFiles(model);
    const again = await loadWithAdapter(base(), new MemoryFiles(Object.fromEntries(files)));
    expect(again).toBeInstanceOf(BertForSequenceClassification);
    logitsOf(again).forEach((x, i) => expect(Math.abs(x - logitsOf(model)[i])).toBeLessThan(1e-6));
    expect(Array.from(logitsOf(again))).not.toEqual(before);
  });

  it('names for PEFT the modules that it holds whole, and the adapted layers and no others', async () => {
    const config = (model: BertPreTrainedModel) =>
      JSON.parse(new TextDecoder().decode(adapterFiles(model).get('adapter_config.json'))) as Record<string, string[]>;
    const words = () => loadAnyModel(modelFiles('maskedLanguageModel'));
    const all = await words();
    addLora(all, { targets: ['query', 'dense'] });
    // Not `cls.predictions`: PEFT would look for the decoder's matrix, which is that of the embeddings.
    expect(config(all).modules_to_save).toEqual([
      'cls.predictions.transform.dense',
      'cls.predictions.transform.LayerNorm',
    ]);
    expect(config(all).target_modules).toEqual(['dense', 'query']);
    const some = await words();
    addLora(some, { targets: ['output.dense'] }); // `dense` alone would mean the intermediate layers too
    expect(config(some).target_modules).toEqual(
      ['attention.output.dense', 'output.dense'].map((name) => `bert.encoder.layer.0.${name}`),
    );
    for (const model of [all, some]) {
      const again = await loadWithAdapter(modelFiles('maskedLanguageModel'), new MemoryFiles(adapterFiles(model)));
      logitsOf(again as never).forEach((x, i) => expect(x).toBeCloseTo(logitsOf(model as never)[i], 5));
    }
  });

  it('needs layers of the names given', async () => {
    const model = await BertForSequenceClassification.fromPretrained(base());
    expect(() => addLora(model, { targets: ['nothing'] })).toThrow(ConfigError);
    expect(() => addLora(model, { targets: ['query', 'valeu'] })).toThrow(/ends of names.*got \["valeu"\]/);
    expect(() => addLora(model, { targets: ['query'], whole: (name) => name.includes('query') })).toThrow(
      'not trained whole',
    );
    expect(() => addLora(model, { rank: 0 })).toThrow(ConfigError);
    expect(() => adapterFiles(model)).toThrow(ConfigError);
  });
});

import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  AutoModel,
  BertForMaskedLM,
  BertForPreTraining,
  BertModel,
  loadAnyModel,
  openModelFiles,
} from '../../src/bert/index.ts';
import { CheckpointError, FileError } from '../../src/errors.ts';
import { MemoryFiles } from '../../src/hub/index.ts';
import { compareWithReference, parseReference, runReference } from '../../src/parity/index.ts';
import { loadTensors } from '../../src/safetensors/index.ts';
import { Engine } from '../../src/tensor/index.ts';
import { BertTokenizer } from '../../src/tokenizer/index.ts';
import { run } from '../cli/harness.ts';
import { readFixture } from '../support/fixtures.ts';

// Google's TensorFlow checkpoints. The reference is what PyTorch computes from the arrays that TensorFlow saved.

const folder = new URL('../fixtures/tensorflow/', import.meta.url);
const reference = parseReference(readFixture('tensorflow/reference.safetensors'));
const data = 'bert_model.ckpt.data-00000-of-00001';
const contents = () =>
  Object.fromEntries(
    readdirSync(folder)
      .filter((name) => !name.startsWith('reference'))
      .map((name) => [name, readFixture(`tensorflow/${name}`)]),
  );
const filesWith = (changes: Record<string, Uint8Array | string | undefined>) =>
  new MemoryFiles(
    Object.fromEntries(
      Object.entries({ ...contents(), ...changes }).filter(
        (entry): entry is [string, Uint8Array | string] => !!entry[1],
      ),
    ),
  );
const everything = { hiddenStates: true, attentions: true };

describe.each(['reference', 'simd'] as const)('a TensorFlow checkpoint, %s', (kernels) => {
  const engine = new Engine({ kernels });

  it('is loaded as it is, and computes what PyTorch does from its numbers', async () => {
    const model = await loadAnyModel(folder, { engine });
    expect(model).toBeInstanceOf(BertForPreTraining);
    expect(model.loadReport).toEqual({ dtype: 'f32', unused: [], initialized: [] });
    const report = compareWithReference(reference, runReference(model, reference, everything));
    expect(report.comparisons.filter(({ ok }) => !ok)).toEqual([]);
    expect([report.ok, report.comparisons.length]).toEqual([true, 7]);
  });

  it('with a kernel that was not transposed does not', async () => {
    const model = (await loadAnyModel(folder, { engine })) as BertForPreTraining;
    const { weight } = model.bert.encoder.layers[0].attentionOutput;
    const { data, shape } = weight.toTensor();
    weight.set(data.map((_, i) => data[(i % shape[1]) * shape[1] + Math.floor(i / shape[1])]));
    expect(compareWithReference(reference, runReference(model, reference, everything)).ok).toBe(false);
  });
});

describe('a TensorFlow checkpoint', () => {
  it('serves every class, and the tokenizer', async () => {
    expect((await BertModel.fromPretrained(folder)).pooler).not.toBeNull();
    expect(await AutoModel.fromPretrained(folder)).toBeInstanceOf(BertModel);
    expect((await BertForMaskedLM.fromPretrained(folder, { dtype: 'q8' })).loadReport!.dtype).toBe('q8');
    expect([...(await BertTokenizer.fromPretrained(folder)).encode('word3').inputIds]).toEqual([2, 8, 3]);
  });

  it('may have another name, which the file checkpoint gives', async () => {
    const { 'bert_model.ckpt.index': index, [data]: numbers, ...rest } = contents();
    const files = new MemoryFiles({
      ...rest,
      checkpoint:
        'model_checkpoint_path: "/tmp/run/model.ckpt-7"\nall_model_checkpoint_paths: "/tmp/run/model.ckpt-7"\n',
      'model.ckpt-7.index': index,
      'model.ckpt-7.data-00000-of-00001': numbers,
    });
    expect(await loadAnyModel(files)).toBeInstanceOf(BertForPreTraining);
  });

  it('gives way to safetensors and to config.json', async () => {
    const files = openModelFiles(filesWith({ 'config.json': '{"model_type": "bert"}' }));
    expect(new TextDecoder().decode(await files.read('config.json'))).toBe('{"model_type": "bert"}');
    const { metadata, tensors } = await loadTensors(files);
    expect(metadata.get('source')).toBe('bert_model.ckpt.index');
    expect(tensors.get('bert.encoder.layer.0.intermediate.dense.weight')!.shape).toEqual([37, 24]);
    expect([...tensors.keys()].some((name) => /adam|step|\//.test(name))).toBe(false);
  });

  it('without its data, with too little of it, or without a config is refused', async () => {
    const load = (changes: Record<string, Uint8Array | string | undefined>) => loadAnyModel(filesWith(changes));
    await expect(load({ [data]: undefined })).rejects.toThrow(CheckpointError);
    await expect(load({ [data]: undefined })).rejects.toThrow(
      `memory/${data}: expected the data of the checkpoint's index, got no such file; put it beside the index`,
    );
    await expect(load({ [data]: contents()[data].subarray(0, 5000) })).rejects.toThrow(
      /^memory\/bert_model\.ckpt\.index: tensor bert\/.*: expected \d+ bytes of data at byte \d+, got \d+; download it again/,
    );
    await expect(load({ 'bert_config.json': undefined })).rejects.toThrow(FileError);
    await expect(load({ 'bert_model.ckpt.index': undefined })).rejects.toThrow(
      'memory: expected model.safetensors or model.safetensors.index.json, got neither',
    );
    await expect(load({ 'bert_config.json': '{"hidden_size": 48}' })).rejects.toThrow(/shape \[.*\] from config\.json/);
  });

  it('serves the command line', async () => {
    const path = decodeURIComponent(folder.pathname);
    const parity = await run(['parity', '--model', path, '--reference', `${path}reference.safetensors`], {
      folder: path,
    });
    expect(parity.stdout).toContain('all 7 tensors are within 1e-5');
    const inspect = await run(['inspect', '--model', path], { folder: path });
    expect(inspect.stdout).toMatch(/bert\.pooler\.dense\.weight +F32 +\[24, 24\]/);
  });
});

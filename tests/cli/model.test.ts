import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { parseSafetensors, writeSafetensors } from '../../src/safetensors/index.ts';
import { cosineSimilarity } from '../../src/tasks/index.ts';
import { fixtures, run, temporaryFolder, tinyModel } from './harness.ts';

const folder = await temporaryFolder();
const model = await tinyModel(folder);
const world = { folder, shippedModel: model };

describe('inspect', () => {
  test('--json is one object', async () => {
    const { json } = await run(['inspect', '--json'], world);
    expect(json()).toHaveLength(1);
    const [report] = json<{ tensors: { name: string }[] }>();
    expect(report).toMatchObject({
      model,
      config: { hidden_size: 24, model_type: 'bert' },
      parameters: 11786,
      bytes: 47144,
      memory: { weights: 47144, tokens: 40 },
    });
    expect(report.tensors.find(({ name }) => name.endsWith('word_embeddings.weight'))).toEqual({
      name: 'embeddings.word_embeddings.weight',
      dtype: 'F32',
      shape: [61, 24],
      bytes: 5856,
    });
  });

  test('else tables', async () => {
    const { stdout } = await run(['inspect', '--model', join(fixtures, 'sharded')], world);
    expect(stdout).toMatch(/\nhidden_size +24\n/);
    expect(stdout).toMatch(/\nembeddings.word_embeddings.weight +F32 +\[61, 24\] +5856\n/);
    expect(stdout).toContain('11,786 parameters');
  });
});

describe('quantize', () => {
  beforeAll(async () => {
    const { code, stdout } = await run(['quantize', '--output', 'made/q8', '--json'], world);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ output: 'made/q8', tensors: 39, quantized: 14, bytes_before: 47144 });
  });

  test('writes a model that loads as int8 and says nearly the same', async () => {
    const embed = async (...flags: string[]) => (await run(['embed', 'a cat', ...flags], world)).json()[0];
    const [full, q8] = [await embed(), await embed('--model', 'made/q8')];
    expect(q8.dtype).toBe('q8');
    expect(cosineSimilarity(full.embedding as number[], q8.embedding as number[])).toBeGreaterThan(0.999);
    expect(await embed('--model', 'made/q8', '--dtype', 'f32')).toMatchObject({ dtype: 'f32' });
  });

  test('takes the tokenizer along and leaves nothing else behind', async () => {
    expect((await readdir(join(folder, 'made/q8'))).sort()).toEqual([
      'config.json',
      'model.safetensors',
      'sentence_bert_config.json',
      'vocab.txt',
    ]);
  });

  test('says where it comes from', async () => {
    const { metadata } = parseSafetensors(await readFile(join(folder, 'made/q8/model.safetensors')));
    const source = createHash('sha256').update(await readFile(join(model, 'model.safetensors'))).digest('hex'); // prettier-ignore
    expect(metadata.get('source_sha256')).toBe(source);
    expect(metadata.get('producer')).toBe('bertscript 1.2.3 quantize');
    const config = JSON.parse(await readFile(join(folder, 'made/q8/config.json'), 'utf8')) as Record<string, unknown>;
    expect(config).toMatchObject({ hidden_size: 24, quantization_config: { quant_method: 'compressed-tensors' } });
  });

  test('reports sizes and rounding', async () => {
    const { stdout } = await run(['quantize', '--output', 'made/q8', '--force'], world);
    expect(stdout).toMatch(
      /^made\/q8: 14 of 39 tensors in int8\n47.1 kB before, \d+.\d kB after\nrounding error: .*\n/,
    );
  });

  test('a link to the model is the model', async () => {
    await symlink(model, join(folder, 'link'));
    const before = await readFile(join(model, 'model.safetensors'));
    const { code, stderr } = await run(['quantize', '--output', 'link', '--force'], world);
    expect([code, stderr]).toEqual([2, expect.stringContaining('--output link: expected another folder than --model')]);
    expect((await readFile(join(model, 'model.safetensors'))).equals(before)).toBe(true);
  });

  test('takes along the modules that modules.json names', async () => {
    const source = join(folder, 'modules');
    await mkdir(join(source, '1_Pooling'), { recursive: true });
    await mkdir(join(source, '3_Dense'));
    await tinyModel(source, {
      'modules.json': JSON.stringify([
        { type: 'sentence_transformers.models.Transformer', path: '' },
        { type: 'sentence_transformers.models.Pooling', path: '1_Pooling' },
        { type: 'sentence_transformers.models.Dense', path: '3_Dense' },
      ]),
      '1_Pooling/config.json': '{"pooling_mode_mean_tokens": true}',
      '3_Dense/config.json': '{"in_features": 24, "out_features": 2, "activation_function": "torch.nn.modules.linear.Identity"}', // prettier-ignore
      '3_Dense/model.safetensors': writeSafetensors({
        'linear.weight': { data: Float32Array.from({ length: 48 }, (_, i) => Math.sin(i)), shape: [2, 24] },
        'linear.bias': { data: Float32Array.of(1, 2), shape: [2] },
      }),
    });
    expect((await run(['quantize', '--model', source, '--output', 'made/modules'], world)).code).toBe(0);
    const embedding = async (at: string) => (await run(['embed', 'a cat', '--model', at], world)).json()[0].embedding;
    const [full, q8] = [await embedding(source), await embedding('made/modules')];
    expect(q8).toHaveLength(2);
    expect(cosineSimilarity(full as number[], q8 as number[])).toBeGreaterThan(0.99);
  });

  test('an encoder in a folder inside the model stays there', async () => {
    const source = join(folder, 'old');
    for (const inside of ['0_Transformer', '1_Pooling']) await mkdir(join(source, inside), { recursive: true });
    await tinyModel(join(source, '0_Transformer'));
    await writeFile(join(source, '1_Pooling/config.json'), '{"pooling_mode_mean_tokens": true}');
    const modules = ['0_Transformer', '1_Pooling'].map((path) => ({
      type: `sentence_transformers.models.${path.slice(2)}`,
      path,
    }));
    await writeFile(join(source, 'modules.json'), JSON.stringify(modules));
    const args = ['--model', source, '--output', 'made/old', '--method', 'plain'];
    expect((await run(['quantize', ...args], world)).code).toBe(0);
    const files = (await readdir(join(folder, 'made/old'), { recursive: true })).filter((name) => name.includes('.'));
    expect(files.sort()).toEqual([
      '0_Transformer/config.json',
      '0_Transformer/model.safetensors',
      '0_Transformer/sentence_bert_config.json',
      '0_Transformer/vocab.txt',
      '1_Pooling/config.json',
      'modules.json',
    ]);
    const { json } = await run(['inspect', '--model', 'made/old/0_Transformer', '--json'], world);
    expect(json()[0]).toMatchObject({ config: { quantization_config: {} }, parameters: 11786 });
    expect((await run(['quantize', ...args], world)).stderr).toMatch(/a folder that holds modules\.json; .*--force/);
  });

  test('leaves nothing when it fails on the way', async () => {
    await mkdir(join(folder, 'broken'));
    await tinyModel(join(folder, 'broken'), { 'vocab.txt': 'none' });
    const before = await readdir(folder);
    expect((await run(['quantize', '--model', 'broken', '--output', 'failed'], world)).code).toBe(2);
    expect(await readdir(folder)).toEqual(before);
    await mkdir(join(folder, 'there'));
    await writeFile(join(folder, 'there/notes.txt'), 'mine');
    expect((await run(['quantize', '--model', 'broken', '--output', 'there'], world)).code).toBe(2);
    expect(await readdir(join(folder, 'there'))).toEqual(['notes.txt']);
  });

  test('a folder with other things will do', async () => {
    await mkdir(join(folder, 'other/1_Pooling'), { recursive: true });
    expect((await run(['quantize', '--output', 'other'], world)).code).toBe(0);
    expect((await readdir(join(folder, 'other'))).sort()).toEqual([
      '1_Pooling',
      'config.json',
      'model.safetensors',
      'sentence_bert_config.json',
      'vocab.txt',
    ]);
  });

  test('shards become one file, whose source is all of them', async () => {
    const { json } = await run(
      ['quantize', '--model', join(fixtures, 'sharded'), '--output', 'made/shards', '--json'],
      world,
    );
    expect(json()[0].source_sha256).toMatch(/^(model-0000\d-of-00005.safetensors:[0-9a-f]{64} ?){5}$/);
  });
});

describe('info', () => {
  test('--json is one object', async () => {
    const { json } = await run(['info', '--json'], world);
    const facts = { version: '1.2.3', node: 'v20.0.0', platform: 'linux x64', model };
    expect(json()).toMatchObject([{ ...facts, kernels: 'simd', dtype: 'float32', turbo: false }]);
    const plain = await run(['info', '--json', '--kernels', 'reference', '--threads', '1'], world);
    expect(plain.json()).toMatchObject([{ kernels: 'reference', arithmetic: 'float64 sums', threads: 1, memory: 0 }]);
  });
  test('of the model that is named', async () => {
    const { json } = await run(['info', '--json', '--model', join(fixtures, 'base')], world);
    expect(json()).toMatchObject([{ model: join(fixtures, 'base') }]);
  });
  test('else lines', async () => {
    const { stdout } = await run(['info'], { folder });
    expect(stdout).toMatch(/^version +1.2.3\n[^]*\nmodel +none\n[^]*\nnote +turbo/);
    expect(stdout).toContain('turbo: not asked for (--turbo)\n'); // a flag, not the option of the library
  });
});

describe('demo', () => {
  test('shows the built-in sentences, their neighbours and what computed them', async () => {
    const { code, stdout } = await run(['demo'], world);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^bertscript: how alike are these 8 sentences\?/);
    expect(stdout.match(/██1.0/g)!.length).toBeGreaterThanOrEqual(8);
    expect(stdout).toContain('nearest neighbours\n1 ');
    expect(stdout).toMatch(/\n8 sentences, \d+ tokens in [\d.]+ s: [\d,]+ tokens per second\n/);
    expect(stdout).toContain('model: vectors of 24 numbers, float32 weights\nengine: simd kernels, float32 ');
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  test("the user's own, with a single one added to the built-in ones", async () => {
    expect((await run(['demo', 'one', 'two'], world)).stdout).toMatch(/these 2 sentences[^]*\n2 two /);
    expect((await run(['demo', 'hello'], world)).stdout).toMatch(/these 9 sentences[^]*\n1 hello /);
  });

  test('colours on a terminal only, unless NO_COLOR is set', async () => {
    const terminal = { ...world, terminal: true };
    expect((await run(['demo'], terminal)).stdout).toContain('\x1b[48;5;227;38;5;16m  1.0 \x1b[0m');
    expect((await run(['demo'], { ...terminal, env: { NO_COLOR: '1' } })).stdout).not.toContain('\x1b');
    expect((await run(['demo'], world)).stdout).not.toContain('\x1b');
  });

  test('--json gives the nearest of each', async () => {
    const { stdout, json } = await run(['demo', 'hello world', 'a cat', 'hello', '--json'], world);
    const rows = json<{ index: number; text: string; nearest: number; score: number }>();
    expect(rows.map(({ index, text }) => [index, text])).toEqual([
      [0, 'hello world'],
      [1, 'a cat'],
      [2, 'hello'],
    ]);
    expect(rows.map(({ nearest }) => nearest)).toEqual([2, expect.any(Number), 0]);
    expect(rows[0].score).toBe(rows[2].score);
    expect(stdout).not.toContain('neighbours');
  });

  test('many sentences: no matrix, still the neighbours', async () => {
    const many = Array.from({ length: 20 }, (_, i) => `cat ${i}`);
    const { stdout } = await run(['demo', ...many], world);
    expect(stdout).not.toContain('█');
    expect(stdout).toMatch(/\n20 cat 19 /);
  });
});

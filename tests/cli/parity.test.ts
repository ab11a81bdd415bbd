import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseSafetensors, toFloat32, writeSafetensors, type TensorInput } from '../../src/safetensors/index.ts';
import { fixtures, root, run, temporaryFolder } from './harness.ts';

const folder = await temporaryFolder();
const world = { folder };
const at = (name: string, reference = 'reference.safetensors') => [
  '--model',
  join(fixtures, name),
  '--reference',
  join(fixtures, name, reference),
];

describe('parity', () => {
  test.each([
    'base',
    'maskedLanguageModel',
    'multipleChoice',
    'questionAnswering',
    'oldKeyNames',
    'sharded',
    'float16',
  ])('%s is what PyTorch computed', async (name) => {
    const { code, json } = await run(['parity', ...at(name), '--json'], world);
    expect(code).toBe(0);
    expect(Object.keys(json()[0])).toEqual(['tensor', 'max_abs', 'rms', 'max_rel', 'cosine', 'where', 'ok']);
    expect(json().every(({ ok }) => ok === true)).toBe(true);
    expect(json().map(({ tensor }) => tensor)).toContain('hidden_states.1');
  });

  test('in float64', async () => {
    const args = [...at('base', 'reference.f64.safetensors'), '--tolerance', '1e-12'];
    expect((await run(['parity', ...args, '--float64'], world)).code).toBe(0);
    expect((await run(['parity', ...args], world)).code).toBe(1);
  });

  test('a difference gives exit code 1 and the module where it begins', async () => {
    const args = at('layerNormEps', 'reference.eps1e-5.safetensors');
    const { code, stdout, stderr, json } = await run(['parity', ...args, '--json'], world);
    expect(code).toBe(1);
    expect(json().some(({ ok }) => ok === false)).toBe(true);
    expect(stderr).toBe(
      'bertscript parity: 7 of 7 tensors are over 1e-5 of the largest value; first diverging module: embeddings\n',
    );
    const readable = await run(['parity', ...args], world);
    expect(readable.stdout).toMatch(/^tensor +max abs +rms +max rel +cosine +where +ok\n/);
    expect(readable.stdout).toContain('first diverging module: embeddings\n');
    expect(stdout).not.toContain('diverging');
  });

  test('the tolerance, relative or absolute', async () => {
    const code = async (...flags: string[]) =>
      (await run(['parity', ...at('layerNormEps', 'reference.eps1e-5.safetensors'), ...flags], world)).code;
    expect(await code('--tolerance', '5')).toBe(0);
    expect(await code('--tolerance', '5e-3', '--absolute')).toBe(0);
    expect(await code('--tolerance', '1e-3', '--absolute')).toBe(1);
  });

  test('another activation is named as PyTorch names the module', async () => {
    const model = join(folder, 'gelu_new');
    await cp(join(fixtures, 'base'), model, { recursive: true });
    const config = JSON.parse(await readFile(join(model, 'config.json'), 'utf8')) as object;
    await writeFile(join(model, 'config.json'), JSON.stringify({ ...config, hidden_act: 'gelu_new' }));
    const args = ['--model', model, '--reference', join(fixtures, 'base/reference.safetensors')];
    const { code, stderr } = await run(['parity', ...args], world);
    expect(code).toBe(1);
    expect(stderr).toMatch(/; first diverging module: encoder\.layer\.0\.intermediate\n$/);
  });

  test('sentence_embedding, where the folder says how to make it', async () => {
    const args = ['--reference', join(root, 'tests/fixtures/minilm/reference.safetensors'), '--tolerance', '0.1'];
    const shipped = await run(['parity', '--model', join(root, 'weights/all-MiniLM-L6-v2'), ...args, '--json'], world);
    expect(shipped).toMatchObject({ code: 0, stderr: '' });
    const row = shipped.json<{ tensor: string; cosine: number }>().at(-1)!; // int8 weights, hence the tolerance
    expect(row.tensor).toBe('sentence_embedding');
    expect(row.cosine).toBeGreaterThan(0.999);

    const withEmbedding = 'withEmbedding.safetensors';
    const { tensors } = parseSafetensors(await readFile(join(fixtures, 'sharded/reference.safetensors')));
    const embedding = { data: new Float32Array(72), shape: [3, 24] };
    await writeFile(
      join(folder, withEmbedding),
      writeSafetensors({ ...Object.fromEntries(tensors), sentence_embedding: embedding }),
    );
    const plain = await run(['parity', '--model', join(fixtures, 'sharded'), '--reference', withEmbedding], world);
    expect(plain.code).toBe(0);
    expect(plain.stdout).not.toContain('sentence_embedding');
    expect(plain.stderr).toBe('bertscript: note: not compared: sentence_embedding\n');
  });

  test('an output that the model lacks is a failure', async () => {
    const reference = join(fixtures, 'noPooler/reference.safetensors');
    const { tensors } = parseSafetensors(await readFile(reference));
    const pooler = { data: new Float32Array(48), shape: [2, 24] };
    const withPooler = { ...Object.fromEntries(tensors), pooler_output: pooler };
    await writeFile(join(folder, 'pooler.safetensors'), writeSafetensors(withPooler));
    const args = ['--model', join(fixtures, 'noPooler'), '--reference', 'pooler.safetensors', '--json'];
    const { code, json, stderr } = await run(['parity', ...args], world);
    expect(code).toBe(1);
    expect(json().at(-1)).toMatchObject({ tensor: 'pooler_output', max_abs: null, ok: false });
    expect(stderr).toBe('bertscript parity: the model does not give pooler_output\n');
  });
});

describe('forward', () => {
  const forward = async (name: string, ...flags: string[]) => {
    const input = join(fixtures, name, 'reference.safetensors');
    const args = ['--model', join(fixtures, name), '--input', input, '--output', 'out.safetensors', ...flags];
    const outcome = await run(['forward', ...args], world);
    expect(outcome.code).toBe(0);
    const reference = parseSafetensors(await readFile(input)).tensors;
    return { ...outcome, reference, ...parseSafetensors(await readFile(join(folder, 'out.safetensors'))) };
  };

  test('writes the inputs as they were, and the outputs in float32', async () => {
    const { tensors, reference, json } = await forward('base', '--json');
    const inputs = ['attention_mask', 'input_ids', 'token_type_ids'];
    expect([...tensors.keys()].sort()).toEqual([...inputs, 'last_hidden_state', 'pooler_output'].sort());
    for (const name of inputs) expect(tensors.get(name)!.bytes).toEqual(reference.get(name)!.bytes);
    expect(json()).toEqual([
      { tensor: 'last_hidden_state', dtype: 'F32', shape: [3, 11, 24] },
      { tensor: 'pooler_output', dtype: 'F32', shape: [3, 24] },
    ]);
    const ours = toFloat32(tensors.get('pooler_output')!);
    toFloat32(reference.get('pooler_output')!).forEach((x, i) => expect(ours[i]).toBeCloseTo(x, 4));
  });

  test('says what it makes nothing of', async () => {
    expect((await forward('questionAnswering')).stderr).toBe('');
    expect((await forward('base')).stderr).toBe('');

    const ids = { data: BigInt64Array.of(2n, 7n, 3n), shape: [1, 3] };
    await writeFile(
      join(folder, 'odd.safetensors'),
      writeSafetensors({ input_ids: ids, segment_ids: ids, logits: ids }),
    );
    const args = ['--model', join(fixtures, 'base'), '--input', 'odd.safetensors', '--output', 'out.safetensors'];
    expect((await run(['forward', ...args], world)).stderr).toBe(
      'bertscript: note: odd.safetensors: neither inputs nor outputs, so left out: segment_ids\n',
    );
    expect([...parseSafetensors(await readFile(join(folder, 'out.safetensors'))).tensors.keys()].sort()).toEqual(
      ['input_ids', 'last_hidden_state', 'pooler_output'], // prettier-ignore
    );
  });

  test('an empty batch keeps its columns', async () => {
    const ids = { data: new BigInt64Array(0), shape: [0, 4] };
    await writeFile(join(folder, 'empty.safetensors'), writeSafetensors({ input_ids: ids }));
    const args = ['--model', join(fixtures, 'base'), '--input', 'empty.safetensors', '--output', 'out.safetensors'];
    const { json } = await run(['forward', ...args, '--json'], world);
    expect(json().map(({ shape }) => shape)).toEqual([[0, 4, 24], [0, 24]]); // prettier-ignore
  });

  test('zeros at padding', async () => {
    const { tensors } = await forward('base');
    const [B, S, H] = tensors.get('last_hidden_state')!.shape;
    const values = toFloat32(tensors.get('last_hidden_state')!);
    const mask = new BigInt64Array(new Uint8Array(tensors.get('attention_mask')!.bytes).buffer);
    expect(mask).toContain(0n);
    for (let i = 0; i < B * S; i++) {
      expect(values.subarray(i * H, (i + 1) * H).every((x) => x === 0)).toBe(mask[i] === 0n);
    }
  });

  test('all traces on request, under the names of reference files', async () => {
    const { tensors, reference, stdout } = await forward('multipleChoice', '--hidden-states', '--attentions');
    for (const [name, { shape }] of reference) {
      if (!name.startsWith('grad.')) expect(tensors.get(name)!.shape, name).toEqual(shape);
    }
    expect(stdout).toMatch(
      /^tensor +dtype +shape\n[^]*logits +F32 +\[2, 4\]\nloss +F32 +\[\]\n\n\d+ tensors, .* kB, in out.safetensors\n$/,
    );
  });

  test('what it writes is a reference that the model matches', async () => {
    await forward('questionAnswering', '--hidden-states', '--attentions');
    const args = ['--model', join(fixtures, 'questionAnswering'), '--reference', 'out.safetensors'];
    expect((await run(['parity', ...args, '--tolerance', '0'], world)).code).toBe(0);
  });
});

describe('tensors of the checkpoint that nobody reads', () => {
  const withTensors = async (name: string, more: Record<string, TensorInput>): Promise<string> => {
    const model = join(folder, name);
    await mkdir(model);
    await cp(join(fixtures, 'base/config.json'), join(model, 'config.json'));
    const { tensors } = parseSafetensors(await readFile(join(fixtures, 'base/model.safetensors')));
    await writeFile(join(model, 'model.safetensors'), writeSafetensors({ ...Object.fromEntries(tensors), ...more }));
    return model;
  };
  const parity = (model: string) =>
    run(['parity', '--model', model, '--reference', join(fixtures, 'base/reference.safetensors')], world);
  const one = { data: new Float32Array(1), shape: [1] };

  test('are named on stderr', async () => {
    const model = await withTensors('more', {
      'encoder.layer.2.output.dense.bias': one,
      'encoder.layer.2.output.LayerNorm.bias': one,
      'x.y': one,
      'x.z': one,
    });
    expect((await parity(model)).stderr).toContain(
      `bertscript: note: ${model}: 4 tensors that the model does not read: encoder.layer.2.output.LayerNorm.bias, ` +
        'encoder.layer.2.output.dense.bias, x.y and 1 more\n',
    );
  });

  test('are not, when they are buffers, or heads that another class has', async () => {
    const model = await withTensors('usual', {
      'embeddings.position_ids': { data: new BigInt64Array(1), shape: [1, 1] },
      'cls.predictions.bias': one,
      'classifier.weight': one,
    });
    expect((await parity(model)).stderr).not.toContain('does not read');
  });
});

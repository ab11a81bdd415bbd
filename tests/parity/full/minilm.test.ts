import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { BertModel, Engine, SentenceEncoder, type EngineOptions, type TextInput } from '../../../src/index.ts';
import {
  compareTensors,
  compareWithReference,
  parseReference,
  runReference,
  type Reference,
} from '../../../src/parity/index.ts';
import { toFloat64 } from '../../../src/safetensors/index.ts';
import { root } from '../../support/paths.ts';

// The full-precision all-MiniLM-L6-v2 against what PyTorch made of it, in float32 and float64, on whole tensors.
const original = join(root, 'weights/original/all-MiniLM-L6-v2');
if (!existsSync(join(original, 'model.safetensors'))) {
  throw new Error('the full-precision model is not here: run node tools/fetch-original.mjs');
}

const read = (name: string) =>
  parseReference(readFileSync(join(root, 'tests/fixtures/minilm', `${name}.safetensors`)), name);
const run = (model: BertModel, reference: Reference) =>
  runReference(model, reference, { hiddenStates: true, attentions: true });

const load = (options: EngineOptions) => BertModel.fromPretrained(original, { engine: new Engine(options) });
let reference: BertModel;
let simd: BertModel;
let float64: BertModel;
beforeAll(async () => {
  reference = await load({ kernels: 'reference' });
  simd = await load({ kernels: 'simd' });
  float64 = await load({ dtype: 'float64' });
});

describe.each(['reference', 'reference.long'])('all-MiniLM-L6-v2, %s', (name) => {
  const torch32 = read(name);
  const torch64 = read(`${name}.f64`);

  /** Each tensor's distance from PyTorch float64, ours as a multiple of PyTorch float32's. */
  function distances(model: BertModel): { tensor: string; rms: number; max: number }[] {
    const ours = compareWithReference(torch64, run(model, torch32));
    const theirOutputs = [...torch32.tensors]
      .filter(([, { dtype }]) => dtype === 'F32')
      .map(([tensor, view]) => [tensor, { data: toFloat64(view), shape: view.shape }] as const);
    const theirs = compareWithReference(torch64, new Map(theirOutputs));
    expect(ours.comparisons.length).toBeGreaterThanOrEqual(8);
    return ours.comparisons.map(({ tensor, rms, max_abs }) => {
      const torch = theirs.comparisons.find((comparison) => comparison.tensor === tensor)!;
      return { tensor, rms: rms / torch.rms, max: max_abs / torch.max_abs };
    });
  }

  it.each(['reference', 'simd'])(
    'is within 1e-5 of PyTorch float32, every hidden state and attention: %s',
    (kernels) => {
      const outputs = run(kernels === 'simd' ? simd : reference, torch32);
      const report = compareWithReference(torch32, outputs, { tolerance: 1e-5, absolute: true });
      expect(report).toMatchObject({ ok: true, missing: [] });
      expect(report.comparisons.length).toBeGreaterThanOrEqual(name === 'reference' ? 15 : 8);
    },
  );

  it('reference kernels: nearer to PyTorch float64 than PyTorch float32 is, tensor by tensor', () => {
    expect(distances(reference).filter(({ rms, max }) => rms > 1 || max > 1)).toEqual([]);
  });

  it('SIMD kernels: at most twice as far from PyTorch float64 as PyTorch float32, and three times at worst', () => {
    expect(distances(simd).filter(({ rms, max }) => rms > 2 || max > 3)).toEqual([]);
  });

  it('is within 1e-12 of PyTorch float64 on a float64 engine', () => {
    const report = compareWithReference(torch64, run(float64, torch64), { tolerance: 1e-12 });
    expect(report).toMatchObject({ ok: true, missing: [] });
  });
});

describe('sentence embeddings of all-MiniLM-L6-v2', () => {
  const reference = read('reference.embeddings');
  const view = reference.tensors.get('sentence_embedding')!;
  const expected = { data: toFloat64(view), shape: view.shape };

  it('are within 1e-6 of sentence-transformers, from the text on', async () => {
    const encoder = await SentenceEncoder.fromPretrained(original);
    const texts = JSON.parse(reference.metadata.get('texts')!) as TextInput[];
    const vectors = encoder.encode(texts).map(({ embedding }) => [...embedding]);
    const actual = { data: vectors.flat(), shape: [texts.length, 384] };
    const { ok, max_abs } = compareTensors('sentence_embedding', actual, expected, { tolerance: 1e-6, absolute: true });
    expect({ ok, max_abs }).toMatchObject({ ok: true });

    const unlike = encoder.encode(texts, { pooling: 'cls' }).map(({ embedding }) => [...embedding]);
    expect(compareTensors('cls', { ...actual, data: unlike.flat() }, expected).ok).toBe(false); // the test can fail
  });
});

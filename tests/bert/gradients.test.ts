import { describe, expect, it } from 'vitest';
import { loadAnyModel, type BertPreTrainedModel } from '../../src/bert/index.ts';
import { compareWithReference, runReference, type Reference } from '../../src/parity/index.ts';
import { toFloat64 } from '../../src/safetensors/index.ts';
import { Engine, withGradients, zeroGradients } from '../../src/tensor/index.ts';
import { checkpoints, loadReference, modelFiles, referenceLabels } from '../support/fixtures.ts';

// The loss of every head, and its gradient by every parameter, against PyTorch autograd in float64; whole tensors.

const engines = {
  'float64 reference': { engine: new Engine({ dtype: 'float64' }), tolerance: 1e-9 },
  'float32 reference': { engine: new Engine({ kernels: 'reference' }), tolerance: 1e-6 },
  simd: { engine: new Engine({ kernels: 'simd', threads: 1 }), tolerance: 1e-5 },
};
const cases = checkpoints.flatMap((checkpoint) =>
  referenceLabels(checkpoint)
    .filter((label) => loadReference(checkpoint, 'f64', label).tensors.has('loss') && label !== 'BertModel')
    .map((label) => ({ checkpoint, label })),
);
const load = (checkpoint: string, engine: Engine, changes = {}) =>
  loadAnyModel(modelFiles(checkpoint, { changes }), { engine });

/**
 * What adds the same to all scores that a softmax compares (a key's bias, the bias of an answer's or a choice's score) changes
 * nothing: its gradient is zero but for rounding, and no part of its size means anything.
 */
const isZero = (reference: Reference, tensor: string) =>
  toFloat64(reference.tensors.get(tensor)!).every((x) => Math.abs(x) < 1e-12);

function gradientsOf(model: BertPreTrainedModel, reference: Reference, tolerance: number) {
  const outputs = runReference(model, reference, { gradients: true });
  const { comparisons, skipped } = compareWithReference(reference, outputs, { tolerance });
  const compared = comparisons.filter(({ tensor }) => /^(grad\.|loss$)/.test(tensor));
  const off = compared.filter(({ tensor, ok, max_abs }) => (isZero(reference, tensor) ? max_abs > tolerance : !ok));
  return { count: compared.length, off: off.map(({ tensor, max_rel }) => `${tensor} ${max_rel}`), skipped };
}

describe.each(cases)('$checkpoint $label', ({ checkpoint, label }) => {
  it.each(Object.entries(engines))('loss and gradients equal PyTorch: %s', async (_, { engine, tolerance }) => {
    const reference = loadReference(checkpoint, 'f64', label);
    const model = await load(checkpoint, engine);
    const { count, off, skipped } = gradientsOf(model, reference, tolerance);
    expect({ off, skipped }).toEqual({ off: [], skipped: [] });
    expect(count).toBe([...reference.tensors.keys()].filter((name) => /^(grad\.|loss$)/.test(name)).length);
  });

  it('checkpointing the layers changes no gradient', async () => {
    const reference = loadReference(checkpoint, 'f64', label);
    const model = await load(checkpoint, engines.simd.engine);
    model.gradientCheckpointingEnable();
    expect(gradientsOf(model, reference, 1e-5)).toMatchObject({ off: [], skipped: [] });
  });
});

describe('the comparison notices', () => {
  const checkpoint = 'sequenceClassification';
  const reference = loadReference(checkpoint, 'f64');

  it.each([
    ['the tanh form of GELU', { hidden_act: 'gelu_new' }],
    ['another eps of the layer norms', { layer_norm_eps: 1e-3 }],
  ])('%s', async (_, changes) => {
    const model = await load(checkpoint, engines['float64 reference'].engine, changes);
    expect(gradientsOf(model, reference, 1e-6).off.length).toBeGreaterThan(10);
  });

  it('a gradient that was not cleared', async () => {
    const { engine } = engines['float64 reference'];
    const model = await load(checkpoint, engine);
    const run = () =>
      withGradients(model.parameters(), (backward) =>
        backward(model.loss(model.forward(reference.inputs), reference.labels!)),
      );
    run();
    const once = model.parameters().map(({ grad }) => grad!.data.slice());
    run();
    model.parameters().forEach(({ grad }, i) => {
      once[i].forEach((x, n) => expect(grad!.data[n]).toBeCloseTo(2 * x, 12));
    });
    zeroGradients(model.parameters());
    expect(model.parameters().every(({ grad }) => grad!.data.every((x) => x === 0))).toBe(true);
  });

  it('token types, or a mask, that are left out', async () => {
    const model = await load(checkpoint, engines['float64 reference'].engine);
    for (const name of ['tokenTypeIds', 'attentionMask'] as const) {
      const changed = { ...reference, inputs: { ...reference.inputs, [name]: undefined } };
      const outputs = runReference(model, changed, { gradients: true });
      expect(
        compareWithReference(reference, outputs, { tolerance: 1e-3 }).comparisons.filter(({ ok }) => !ok).length,
      ).toBeGreaterThan(10);
    }
  });
});

import { describe, expect, it } from 'vitest';
import { loadAnyModel, type BertPreTrainedModel, type LogitsOutput } from '../../src/bert/index.ts';
import { PackedBatch } from '../../src/layers/index.ts';
import { compareWithReference, runReference, type Reference } from '../../src/parity/index.ts';
import { toFloat64 } from '../../src/safetensors/index.ts';
import { Engine, withGradients, zeroGradients } from '../../src/tensor/index.ts';
import { checkpoints, familyGradients, loadReference, modelFiles, referenceLabels } from '../support/fixtures.ts';

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
cases.push(...familyGradients.map((checkpoint) => ({ checkpoint, label: '' })));
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

describe('dropout of a whole model', () => {
  const inputIds = [
    [2, 9, 4, 30, 7],
    [5, 6, 8],
    [11, 3, 3, 40, 12, 50, 1],
    [33, 21],
  ];
  const attentionMask = [[1, 1, 0, 1, 1], [1, 1, 1], [1, 0, 0, 1, 1, 1, 1], [1, 1]]; // prettier-ignore
  const logitsOf = (model: BertPreTrainedModel, sequences: number[], step = 0) => {
    const pick = (rows: number[][]) => sequences.map((sequence) => rows[sequence]);
    const batch = new PackedBatch({ inputIds: pick(inputIds), attentionMask: pick(attentionMask) });
    batch.ordinals.set(sequences);
    return withGradients(
      model.parameters(),
      () => {
        const output = model.forward(batch) as LogitsOutput;
        const labels = output.logits.shape[1];
        return sequences.map((_, i) => [...output.logits.data.slice(i * labels, (i + 1) * labels)]);
      },
      { step },
    );
  };

  it('is the same alone and in a batch, in another order, on two threads; and within rounding on the reference', async () => {
    const [model, other, slow] = await Promise.all(
      [engines.simd.engine, new Engine({ kernels: 'simd', threads: 2 }), engines['float32 reference'].engine].map(
        async (engine) => (await load('sequenceClassification', engine)).train(),
      ),
    );
    const together = logitsOf(model, [0, 1, 2, 3]);
    expect([0, 1, 2, 3].map((sequence) => logitsOf(model, [sequence])[0])).toEqual(together);
    expect(logitsOf(model, [3, 1, 0, 2])).toEqual([3, 1, 0, 2].map((sequence) => together[sequence]));
    expect(logitsOf(other, [0, 1, 2, 3])).toEqual(together);
    logitsOf(slow, [0, 1, 2, 3]).forEach((row, i) => row.forEach((x, n) => expect(x).toBeCloseTo(together[i][n], 4)));
    expect(logitsOf(model, [0, 1, 2, 3], 1)).not.toEqual(together);
    expect(logitsOf(model.eval(), [0, 1, 2, 3])).not.toEqual(together);
  });
});

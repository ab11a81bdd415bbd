import { describe, expect, it } from 'vitest';
import { BertForSequenceClassification } from '../../src/bert/index.ts';
import { ConfigError } from '../../src/errors.ts';
import { MatrixParameter, Parameter } from '../../src/layers/index.ts';
import { parseSafetensors, toFloat64, toInt32 } from '../../src/safetensors/index.ts';
import { Engine, withGradients, zeroGradients } from '../../src/tensor/index.ts';
import {
  Adam,
  AdamW,
  clipFactor,
  gradientNorm,
  isBiasOrNorm,
  schedule,
  SGD,
  type Optimizer,
  type Trainable,
} from '../../src/training/index.ts';
import { modelFiles, readFixture } from '../support/fixtures.ts';

const { tensors } = parseSafetensors(readFixture('training/optimizers.safetensors'));
const numbers = (name: string) => toFloat64(tensors.get(name)!);

/** A matrix and a vector, as a model has them. */
function parameters(engine: Engine): Trainable[] {
  const a = engine.keepMatrix(3, 5, 'f32');
  a.set(numbers('a.0'));
  const b = engine.keep([4]);
  b.data.set(numbers('b.0'));
  const list = [new MatrixParameter('a', a), new Parameter('b', b)];
  withGradients(list, () => {}); // makes their gradients
  return list;
}

const rows = (p: Trainable) => (p instanceof MatrixParameter ? p.toTensor().data : p.data);

function setGrad(p: Trainable, values: Float64Array): void {
  if (!(p instanceof MatrixParameter)) return void p.grad!.data.set(values);
  const matrix = p.engine.keepMatrix(p.shape[0], p.shape[1], 'f32'); // packs them
  matrix.set(values);
  p.grad!.data.set(matrix.data);
}

const cases: Record<string, (p: Trainable[]) => Optimizer> = {
  sgd: (p) => new SGD(p, { lr: 0.1 }),
  momentum: (p) => new SGD(p, { lr: 0.1, momentum: 0.9, weightDecay: 0.05 }),
  nesterov: (p) => new SGD(p, { lr: 0.1, momentum: 0.9, nesterov: true }),
  adam: (p) => new Adam(p, { lr: 0.1, weightDecay: 0.05 }),
  adamw: (p) => new AdamW(p, { lr: 0.1, weightDecay: 0.05 }),
  'adamw.excluded': (p) => new AdamW(p, { lr: 0.1, weightDecay: 0.05, decayExclude: (name) => name === 'b' }),
  'adamw.betas': (p) => new AdamW(p, { lr: 0.1, betas: [0.8, 0.95], eps: 1e-3, weightDecay: 0.01 }),
};
const engines: [string, () => Engine, number][] = [
  ['float64', () => new Engine({ dtype: 'float64' }), 1e-13],
  ['reference', () => new Engine({ kernels: 'reference' }), 1e-5],
  ['simd', () => new Engine({ kernels: 'simd', threads: 1 }), 1e-5],
];

/** The largest difference from PyTorch over six steps. */
function distance(engine: Engine, make: (p: Trainable[]) => Optimizer, expected: string): number {
  const list = parameters(engine);
  const optimizer = make(list);
  let worst = 0;
  for (let step = 1; step <= 6; step++) {
    for (const p of list) setGrad(p, numbers(`grad.${step}.${p.name}`));
    optimizer.step();
    for (const p of list) {
      const right = numbers(`${expected}.${step}.${p.name}`);
      rows(p).forEach((x, i) => (worst = Math.max(worst, Math.abs(x - right[i]))));
    }
  }
  return worst;
}

describe.each(engines)('optimizers on %s, as PyTorch', (_, engine, tolerance) => {
  it.each(Object.keys(cases))('%s', (name) => {
    expect(distance(engine(), cases[name], name)).toBeLessThan(tolerance);
  });

  it('a mistake shows: decoupled decay for the other, a bias decayed', () => {
    expect(distance(engine(), cases.adam, 'adamw')).toBeGreaterThan(0.01);
    expect(distance(engine(), cases.adamw, 'adamw.excluded')).toBeGreaterThan(0.005);
  });
});

describe('an optimizer', () => {
  it('goes on from its state as if it had never stopped', () => {
    const engine = new Engine({ kernels: 'simd', threads: 1 });
    const [one, two] = [parameters(engine), parameters(engine)];
    const first = cases.adamw(one);
    const stepBoth = (optimizer: Optimizer, list: Trainable[], step: number) => {
      for (const p of list) setGrad(p, numbers(`grad.${step}.${p.name}`));
      optimizer.step();
    };
    for (let step = 1; step <= 3; step++) stepBoth(first, one, step);
    const state = new Map([...first.stateDict()].map(([key, x]) => [key, x.data.slice()]));
    two.forEach((p, i) => p.data.set(one[i].data));
    const second = cases.adamw(two);
    second.loadState(3, (key) => state.get(key)!);
    for (let step = 4; step <= 6; step++) {
      stepBoth(first, one, step);
      stepBoth(second, two, step);
    }
    two.forEach((p, i) => expect(p.data).toEqual(one[i].data));
  });

  it('refuses options without sense', () => {
    const list = parameters(new Engine());
    expect(() => new AdamW(list, { lr: -1 })).toThrow(ConfigError);
    expect(() => new AdamW(list, { betas: [0.9, 1] })).toThrow(ConfigError);
    expect(() => new AdamW(list, { learningRate: 1 } as object)).toThrow(ConfigError);
    expect(() => new SGD([])).toThrow(ConfigError);
  });

  it('biases and norms are known by name', () => {
    const names = [
      'encoder.layer.0.attention.output.LayerNorm.weight',
      'encoder.layer.0.output.dense.bias',
      'norm.weight',
      'deberta.encoder.layer.0.attention.self.q_bias', // DeBERTa's first version
      'deberta.encoder.layer.0.attention.self.v_bias',
    ];
    expect(names.filter((name) => !isBiasOrNorm(name))).toEqual([]);
    expect(isBiasOrNorm('encoder.layer.0.output.dense.weight')).toBe(false);
  });
});

describe('fifty steps of AdamW', () => {
  const { tensors } = parseSafetensors(readFixture('training/run.safetensors'));
  const integers = (name: string) => toInt32(tensors.get(name)!);
  const [steps, batch, width] = tensors.get('input_ids')!.shape;

  async function train(engine: Engine, decay = 0.01) {
    const model = await BertForSequenceClassification.fromPretrained(modelFiles('sequenceClassification'), { engine });
    const list = model.parameters();
    const optimizer = new AdamW(list, { lr: 1e-3, weightDecay: decay });
    const share = schedule('linear', { totalSteps: steps, warmupSteps: 5 });
    const [losses, norms]: number[][] = [[], []];
    const rowsOf = (name: string, step: number) =>
      Array.from({ length: batch }, (_, s) =>
        integers(name)
          .subarray((step * batch + s) * width)
          .subarray(0, width),
      );
    for (let step = 0; step < steps; step++) {
      zeroGradients(list);
      const labels = integers('labels').subarray(step * batch, (step + 1) * batch);
      losses.push(
        withGradients(list, (backward) => {
          const inputs = { inputIds: rowsOf('input_ids', step), attentionMask: rowsOf('attention_mask', step) };
          const loss = model.loss(model.forward(inputs), { labels });
          backward(loss);
          return loss.data[0];
        }),
      );
      norms.push(gradientNorm(list));
      optimizer.step(share(step), clipFactor(norms[step], 1));
    }
    const expected = toFloat64(tensors.get('losses')!);
    const apart = Math.max(...losses.map((loss, i) => Math.abs(loss - expected[i])));
    let weights = 0;
    for (const p of list) {
      // The gradient of a key's bias is zero: Adam makes steps of its rounding.
      if (p.name.endsWith('key.bias')) continue;
      const right = toFloat64(tensors.get(`final.${p.name}`)!);
      rows(p).forEach((x, i) => (weights = Math.max(weights, Math.abs(x - right[i]))));
    }
    const [norm] = toFloat64(tensors.get('norms')!);
    expect(Math.abs(norms[0] / norm - 1)).toBeLessThan(1e-5);
    return { apart, weights };
  }

  it.each(engines)('on %s follow PyTorch', async (_, engine) => {
    const { apart, weights } = await train(engine());
    expect(apart).toBeLessThan(1e-4);
    expect(weights).toBeLessThan(1e-4);
  });

  it('do not with another weight decay', async () => {
    expect((await train(new Engine(), 0)).weights).toBeGreaterThan(1e-4);
  });
});

import { describe, expect, it } from 'vitest';
import { AutoModel, loadAnyModel } from '../../src/bert/index.ts';
import { ConfigError, InputError } from '../../src/errors.ts';
import { integratedGradients, type TaskModel } from '../../src/tasks/index.ts';
import { gaussLegendre } from '../../src/tasks/integratedGradients.ts';
import { Engine } from '../../src/tensor/index.ts';
import { AutoTokenizer, type TextInput } from '../../src/tokenizer/index.ts';
import {
  expectedOf,
  otherFamilies,
  pipelineModel,
  type Checkpoint,
  type PipelineFamily,
} from '../support/pipelines.ts';

// Against gradients of PyTorch in float64, integrated as captum does; see integrated_gradients in tools/reference/pipelines.py.

const engines = {
  float64: [new Engine({ dtype: 'float64' }), 1e-11],
  reference: [new Engine({ kernels: 'reference' }), 1e-5],
  simd: [new Engine({ kernels: 'simd' }), 1e-5],
} as const;

async function load(
  name: Checkpoint,
  family: PipelineFamily,
  engine: Engine,
  dtype: 'auto' | 'q8' = 'auto',
): Promise<TaskModel> {
  const files = pipelineModel(name, {}, family);
  return { model: await loadAnyModel(files, { engine, dtype }), tokenizer: await AutoTokenizer.fromPretrained(files) };
}

const cases = (['bert', ...otherFamilies] as const).flatMap((family) =>
  expectedOf[family]['integrated-gradients'].map((row) => ({ family, row })),
);

describe.each(cases)('$family $row.model: $row.text $row.pair', ({ family, row }) => {
  const { model = 'sentiment', text, pair, target, token } = row;
  const input: TextInput = pair === null ? text : [text, pair];
  const options = { target, ...(token !== null && { token }) };

  it.each(Object.entries(engines))('equals PyTorch and adds up: %s', async (_, [engine, tolerance]) => {
    const ours = integratedGradients(await load(model, family, engine), input, options);
    const scale = Math.max(...[...row.scores, row.logit, row.baseline_logit].map(Math.abs));
    const off = (scores: ArrayLike<number>) => Math.max(...row.scores.map((x, i) => Math.abs(x - scores[i]))) / scale;
    expect(ours.scores).toHaveLength(row.scores.length);
    expect(off(ours.scores)).toBeLessThan(tolerance);
    expect(Math.abs(ours.logit - row.logit) / scale).toBeLessThan(tolerance);
    expect(Math.abs(ours.baselineLogit - row.baseline_logit) / scale).toBeLessThan(tolerance);
    const total = ours.scores.reduce((a, b) => a + b, 0);
    expect(ours.error).toBeCloseTo(total - (ours.logit - ours.baselineLogit), 12);
    expect(Math.abs(ours.error) / scale).toBeLessThan(Math.max(tolerance, 1e-9)); // of the integral
    // Mistakes show: the gradient at the text alone, another target, another baseline.
    const loaded = await load(model, family, engine);
    expect(off(integratedGradients(loaded, input, { ...options, steps: 1 }).scores)).toBeGreaterThan(1e-3);
    expect(off(integratedGradients(loaded, input, { ...options, target: 0 === target ? 1 : 0 }).scores)).toBeGreaterThan(1e-3); // prettier-ignore
    expect(off(integratedGradients(loaded, input, { ...options, baseline: 'zeros' }).scores)).toBeGreaterThan(1e-3);
  });
});

describe('integrated gradients', () => {
  const [engine] = engines.simd;

  it('of the highest logit by default, under its name, and add up from zeros too', async () => {
    const loaded = await load('sentiment', 'bert', engine);
    const ours = integratedGradients(loaded, 'Great music.', { baseline: 'zeros', steps: 200 });
    expect(['negative', 'neutral', 'positive']).toContain(ours.target);
    expect(Math.abs(ours.error)).toBeLessThan(1e-3 * Math.abs(ours.logit - ours.baselineLogit) + 1e-4);
    expect(integratedGradients(loaded, 'Great music.', { target: ours.target, baseline: 'zeros', steps: 200 })).toEqual(ours); // prettier-ignore
    expect(ours.tokens[0]).toBe('[CLS]');
  });

  it('of where answers start and end', async () => {
    const loaded = await load('qa', 'roberta', engine);
    const pair = ['Who?', 'Paul sailed to Iceland.'] as const;
    const [start, end] = (['start', 'end'] as const).map((target) =>
      integratedGradients(loaded, [...pair], { target }),
    );
    for (const { error } of [start, end]) expect(Math.abs(error)).toBeLessThan(1e-3);
    expect(start.scores).not.toEqual(end.scores);
    expect(integratedGradients(loaded, [...pair])).toEqual(start);
  });

  it('leave no gradient, hook or memory behind', async () => {
    const loaded = await load('sentiment', 'bert', engine);
    const before = loaded.model.forward({ inputIds: [[2, 9, 3]] });
    integratedGradients(loaded, 'Great music.');
    const { memory } = engine.info();
    for (let i = 0; i < 5; i++) integratedGradients(loaded, 'Great music.');
    expect(engine.info().memory).toBe(memory);
    expect(loaded.model.parameters().every(({ grad }) => grad === null)).toBe(true);
    expect(loaded.model.forward({ inputIds: [[2, 9, 3]] })).toEqual(before);
  });

  it('refuse what cannot be explained, by name', async () => {
    const [sentiment, ner, q8] = await Promise.all([
      load('sentiment', 'bert', engine),
      load('ner', 'bert', engine),
      load('sentiment', 'bert', engine, 'q8'),
    ]);
    const explain = (loaded: TaskModel, options: object, text = 'Great music.') => () => integratedGradients(loaded, text, options); // prettier-ignore
    expect(explain(sentiment, { target: 'happy' })).toThrow('target: expected a number below 3, or one of negative, neutral, positive, got "happy"'); // prettier-ignore
    expect(explain(sentiment, { target: 3 })).toThrow(ConfigError);
    expect(explain(sentiment, { token: 1 })).toThrow('token: expected none');
    expect(explain(ner, {})).toThrow('token: expected a place from 0 to 6, got undefined');
    expect(explain(ner, { token: 7 })).toThrow(InputError);
    expect(explain(sentiment, { steps: 0 })).toThrow('steps');
    expect(explain(sentiment, { baseline: 'mask' })).toThrow('baseline');
    expect(explain(sentiment, {}, 'word '.repeat(100))).toThrow('text: expected at most 64 tokens');
    expect(explain(q8, {})).toThrow('dtype "f32"');
    const files = pipelineModel('sentiment');
    const encoder = { ...sentiment, model: await AutoModel.fromPretrained(files, { engine }) };
    expect(explain(encoder, {})).toThrow('expected one with logits, got an encoder');
  });

  it('take points where Gauss and Legendre do', () => {
    for (const n of [1, 2, 5, 50]) {
      const rule = gaussLegendre(n);
      for (let degree = 0; degree < 2 * n; degree += 3) {
        const integral = rule.reduce((total, { place, weight }) => total + weight * place ** degree, 0);
        expect(integral).toBeCloseTo(1 / (degree + 1), 13);
      }
    }
    expect(gaussLegendre(2).reduce((total, { place, weight }) => total + weight * place ** 4, 0)).not.toBeCloseTo(
      1 / 5,
      3,
    );
  });
});

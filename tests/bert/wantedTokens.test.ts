import { describe, expect, it } from 'vitest';
import {
  BertModel,
  loadAnyModel,
  type BertForMaskedLM,
  type BertPreTrainedModel,
  type LogitsOutput,
} from '../../src/bert/index.ts';
import { InputError } from '../../src/errors.ts';
import { LayerNorm, PackedBatch } from '../../src/layers/index.ts';
import {
  Engine,
  mean,
  multiply,
  withGradients,
  zeroGradients,
  type Kernels,
  type Tensor,
} from '../../src/tensor/index.ts';
import { modelFiles } from '../support/fixtures.ts';

// Who reads the last states of some tokens alone gets the bits that it would get among all, for less work.

const batch = new PackedBatch({
  inputIds: [[5, 6, 7, 8, 9, 4, 3], [6], [6, 12, 3], [9, 8, 7, 6, 5, 4, 3, 2, 11, 12, 9]],
  attentionMask: [[1, 1, 0, 1, 1, 1, 0], [0], [1, 1, 1], Array.from({ length: 11 }, () => 1)],
});
const tokens = Int32Array.of(0, 3, 6, 13, 18);
const families: [checkpoint: string, changes: Record<string, unknown>][] = [
  ['gradients/AlbertForPreTraining', {}],
  ['gradients/DebertaForMaskedLM', {}],
  ['gradients/DebertaV2ForMaskedLM', {}],
  ['gradients/DebertaV2ForMaskedLM', { num_hidden_layers: 1 }], // whose only layer a convolution follows
  ['gradients/DistilBertForTokenClassification', {}],
  ['gradients/ElectraForSequenceClassification', {}],
  ['gradients/MPNetForMaskedLM', {}],
  ['gradients/ModernBertForMaskedLM', {}],
  ['gradients/NomicBertForMaskedLM', {}],
  ['gradients/RobertaForSequenceClassification', {}],
  ['maskedLanguageModel', {}],
  ['sequenceClassification', {}],
];
const engines = {
  simd: () => new Engine({ kernels: 'simd', threads: 1 }),
  'two threads': () => new Engine({ kernels: 'simd', threads: 2 }),
  reference: () => new Engine({ kernels: 'reference' }),
};
const encoderOf = (model: BertPreTrainedModel) => model.modules().find((module) => module instanceof BertModel)!;
const load = (checkpoint: string, engine: Engine, changes = {}, dtype: 'f32' | 'q8' = 'f32') =>
  loadAnyModel(modelFiles(checkpoint, { changes }), { engine, dtype });
const rowsOf = (x: Tensor, rows: Int32Array) =>
  Array.from(rows, (row) => Array.from(x.data.slice(row * x.shape[1], (row + 1) * x.shape[1])));
const allRows = (x: Tensor) =>
  rowsOf(
    x,
    Int32Array.from({ length: x.shape[0] }, (_, row) => row),
  );
/** `body` while somebody looks at the last layer, which then computes all tokens. */
function watched<T>(model: BertPreTrainedModel, body: () => T): T {
  const forget = model.observe(() => {});
  try {
    return body();
  } finally {
    forget();
  }
}

describe.each(families)('%s %o: the states of some tokens', (checkpoint, changes) => {
  it.each(Object.entries(engines))('are those among all, bit for bit: %s', async (_, engine) => {
    for (const dtype of ['f32', 'q8'] as const) {
      const model = encoderOf(await load(checkpoint, engine(), changes, dtype));
      const all = model.forward(batch);
      const some = model.forwardTokens(batch, tokens, { outputAttentions: true });
      expect(some.lastHiddenState.shape).toEqual([tokens.length, all.lastHiddenState.shape[1]]);
      expect(allRows(some.lastHiddenState)).toEqual(rowsOf(all.lastHiddenState, tokens));
      expect(allRows(model.forwardTokens(batch, tokens).lastHiddenState)).toEqual(allRows(some.lastHiddenState));
      expect(model.forwardTokens(batch, new Int32Array(0)).lastHiddenState.shape[0]).toBe(0);
      for (const pooling of ['first', 'last', 'mean', 'max'] as const) {
        const pooled = () => allRows(model.forwardPooled(batch, pooling).pooled);
        expect(pooled()).toEqual(watched(model, pooled));
        expect(pooled()[1].every((x) => x === 0)).toBe(true); // of the sequence without tokens
      }
    }
  });

  it('have the gradients that they have among all, dropout and checkpointed layers too', async () => {
    const model = encoderOf(await load(checkpoint, engines.simd(), { ...changes, hidden_dropout_prob: 0.3, attention_probs_dropout_prob: 0.2 })).train(); // prettier-ignore
    const run = () => {
      zeroGradients(model.parameters());
      const states = withGradients(model.parameters(), (backward) => {
        const { lastHiddenState } = model.forwardTokens(batch, tokens);
        const { size, engine } = lastHiddenState;
        const factors = engine.tensor(
          Float32Array.from({ length: size }, (_, i) => Math.sin(i)),
          lastHiddenState.shape,
        );
        backward(mean(multiply(lastHiddenState, factors).reshape([size])));
        return allRows(lastHiddenState);
      });
      return { states, gradients: model.parameters().map(({ grad }) => Array.from(grad!.data)) };
    };
    const all = watched(model, run);
    const some = run();
    expect(some.states).toEqual(all.states); // the same dropout
    const largest = Math.max(...all.gradients.flat().map(Math.abs));
    expect(largest).toBeGreaterThan(0);
    some.gradients.forEach((gradient, p) =>
      gradient.forEach((x, i) => expect(Math.abs(x - all.gradients[p][i])).toBeLessThan(3e-6 * largest)),
    );
    model.gradientCheckpointingEnable();
    expect(run()).toEqual(some);
  });
});

describe('the last layer', () => {
  /** Rows of each linear layer of a forward pass. */
  async function rowsComputed(checkpoint: string, run: (model: BertPreTrainedModel) => void): Promise<number[]> {
    const rows: number[] = [];
    const { kernels } = engines.simd();
    const counting = new Proxy(kernels, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: Parameters<Kernels['linear']>) => {
          if (name === 'linear') rows.push(args[5]);
          return (value as (...args: unknown[]) => unknown).apply(target, args);
        };
      },
    });
    const model = await load(checkpoint, new Engine({ kernels: counting }));
    rows.length = 0;
    run(model);
    return rows;
  }
  const all = batch.totalTokens;

  it('computes keys and values of all tokens, and the rest of those that its readers want', async () => {
    const rows = await rowsComputed('sequenceClassification', (model) => void model.forward(batch));
    const layers = (rows.length - 2) / 6; // and the pooler and the classifier
    expect(rows.slice(0, 6 * (layers - 1))).toEqual(Array.from({ length: 6 * (layers - 1) }, () => all));
    expect(rows.slice(6 * (layers - 1), -2)).toEqual([3, all, all, 3, 3, 3]); // of three sequences that have tokens
    expect(rows.slice(-2)).toEqual([4, 4]);
  });

  it('computes all for whoever asks for hidden states, or looks at one of its modules', async () => {
    const asked = (run: (model: BertPreTrainedModel) => void) => rowsComputed('sequenceClassification', run);
    const everything = await asked((model) => void model.forward(batch, { outputHiddenStates: true }));
    expect(new Set(everything.slice(0, -2))).toEqual(new Set([all]));
    const looks: ((model: BertPreTrainedModel) => () => void)[] = [
      (model) => model.observe(() => {}),
      (model) => model.hook('output.LayerNorm', () => {}),
      (model) => model.hook('pooler.dense', () => {}),
      (model) =>
        encoderOf(model)
          .encoder.layers.at(-1)!
          .observe(() => {}),
    ];
    for (const look of looks) {
      const rows = await asked((model) => {
        const forget = look(model);
        model.forward(batch);
        forget();
        model.forward(batch);
      });
      expect(rows.filter((n) => n !== 3 && n !== 4).length).toBeLessThan(rows.length); // the second time
      expect(new Set(rows.slice(0, rows.length / 2 - 2)).has(3)).toBe(false);
    }
  });

  it('shows a hook on it every token', async () => {
    const model = await load('sequenceClassification', engines.simd());
    const norm = encoderOf(model).encoder.layers.at(-1)!.outputNorm;
    expect(norm).toBeInstanceOf(LayerNorm);
    const shapes: unknown[] = [];
    model.hook(norm.name, ({ shape }) => void shapes.push(shape[0]));
    model.forward(batch);
    expect(shapes).toEqual([all]);
  });
});

describe('heads', () => {
  it.each([
    'sequenceClassification',
    'gradients/RobertaForSequenceClassification',
    'gradients/RobertaForMultipleChoice',
    'gradients/ElectraForSequenceClassification',
  ])('on the first token give the same bits as after all were computed: %s', async (checkpoint) => {
    // prettier-ignore
    const model = await load(checkpoint, engines.simd());
    const logits = () => Array.from((model.forward(batch) as LogitsOutput).logits.data);
    expect(logits()).toEqual(watched(model, logits));
  });

  it('score words of some tokens with the same bits', async () => {
    const model = (await load('maskedLanguageModel', engines.simd())) as BertForMaskedLM;
    const all = model.forward(batch).logits;
    const some = Int32Array.of(13, 0, 6, 13, 18, 3); // in no order, one twice
    expect(allRows(model.forward(batch, { predictionTokens: some }).logits)).toEqual(rowsOf(all, some));
  });

  it('refuse tokens that are not there, or not in order', async () => {
    const model = encoderOf(await load('maskedLanguageModel', engines.simd()));
    const run = (tokens: unknown) => () => model.forwardTokens(batch, tokens as Int32Array);
    for (const [bad, got] of [
      [Int32Array.of(0, 99, 100), 'an Int32Array of 0 to 18, got 99'],
      [Int32Array.of(-1), 'an Int32Array of 0 to 18, got -1'],
      [[0], 'an Int32Array of 0 to 18, got [0]'],
      [null, 'an Int32Array of 0 to 18, got null'],
      [undefined, 'an Int32Array of 0 to 18, got undefined'],
      [Int32Array.of(3, 3), 'rising numbers, got 3 after 3'],
      [Int32Array.of(1, 4, 2), 'rising numbers, got 2 after 4'],
    ] as const) {
      expect(run(bad)).toThrow(InputError);
      expect(run(bad)).toThrow(`tokens: expected ${got}`);
    }
    expect(() => model.forwardPooled(batch, 'cls' as 'first')).toThrow('pooling: expected first, last, mean');
  });
});

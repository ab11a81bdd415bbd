import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/errors.ts';
import {
  Dropout,
  Embedding,
  FeedForward,
  LayerNorm,
  Linear,
  Module,
  MultiHeadSelfAttention,
  PackedBatch,
  RandomStore,
  Weights,
  type MatrixParameter,
  type Parameter,
} from '../../src/layers/index.ts';
import { Engine, linear, type Tensor } from '../../src/tensor/index.ts';

const engine = new Engine();
const weights = (seed = 0) => new Weights(new RandomStore(engine, 0.02, seed));

/** A table, a stack of layers, and an output that shares the table's matrix. */
class Tied extends Module {
  readonly table: Embedding;
  readonly layers: Linear[];
  readonly dropout = new Dropout(0.1);
  readonly output: MatrixParameter;

  constructor(root: Weights) {
    super(root.path);
    this.table = new Embedding(root.scope('words'), 7, 3);
    this.layers = [0, 1].map((i) => new Linear(root.scope(`layer.${i}`), 3, 3));
    this.output = this.table.weight;
  }

  forward(ids: Int32Array): Tensor {
    let x = this.table.forward(ids);
    for (const layer of this.layers) x = this.dropout.forward(layer.forward(x, 'tanh'));
    return linear(x, this.output);
  }
}

describe('Module', () => {
  const model = new Tied(weights().scope('model'));

  it('finds its modules, in fields and in lists, each once, parents first', () => {
    const [first, second] = model.layers;
    expect(model.modules()).toEqual([model, model.table, first, second, model.dropout]);
    expect(model.modules().map(({ name }) => name)).toEqual([
      'model',
      'model.words',
      'model.layer.0',
      'model.layer.1',
      '',
    ]);
  });

  it('has every parameter once, under its key in the checkpoint', () => {
    expect([...model.stateDict().keys()]).toEqual([
      'model.words.weight',
      'model.layer.0.weight',
      'model.layer.0.bias',
      'model.layer.1.weight',
      'model.layer.1.bias',
    ]);
    expect(model.stateDict().get('model.words.weight')!.data).toEqual(model.output.toTensor().data);
    expect(model.parameters().length).toBe(5);
    expect(model.parameters()[0]).toBe(model.output);
  });

  it('is in evaluation mode, until train()', () => {
    const modes = () => new Set(model.modules().map(({ training }) => training));
    expect(modes()).toEqual(new Set([false]));
    expect(model.train()).toBe(model);
    expect(modes()).toEqual(new Set([true]));
    expect(() => model.forward(Int32Array.of(1))).toThrow(
      new ConfigError({
        what: 'dropout',
        expected: 'an open tape, whose seed it draws by',
        got: 'none',
        fix: 'call model.eval() for inference, or train inside withGradients',
      }),
    );
    expect(model.eval()).toBe(model);
    expect(modes()).toEqual(new Set([false]));
  });
});

describe('Module.observe', () => {
  const model = new Tied(weights());
  const ids = Int32Array.of(5, 0);

  it('tells of every forward, with its inputs, in the order of their ends', () => {
    const seen: [string, unknown, number][] = [];
    const stop = model.observe((module, output, inputs) => seen.push([module.name, output, inputs.length]));
    const y = model.forward(ids);
    stop();
    expect(seen.map(([name]) => name)).toEqual(['words', 'layer.0', '', 'layer.1', '', '']);
    expect(seen.at(-1)![1]).toBe(y);
    expect(seen[1][2]).toBe(2); // a layer is given x and the activation
  });

  it('leaves the numbers, and afterwards the methods, as they were', () => {
    const before = model.forward(ids);
    const stop = model.observe(() => {});
    expect(model.forward(ids).data).toEqual(before.data);
    expect(Object.hasOwn(model, 'forward')).toBe(true);
    stop();
    for (const module of model.modules()) expect(Object.hasOwn(module, 'forward')).toBe(false);
    stop(); // again, which changes nothing
    expect(model.forward(ids).data).toEqual(before.data);
  });

  it.each(['first', 'last'])('lets several observe, whichever goes %s', (who) => {
    const counts = [0, 0];
    const stops = counts.map((_, i) => model.observe(() => counts[i]++));
    const [early, late] = who === 'first' ? [0, 1] : [1, 0];
    model.forward(ids);
    stops[early]();
    model.forward(ids);
    stops[late]();
    model.forward(ids);
    expect([counts[early], counts[late]]).toEqual([6, 12]);
  });

  it('stops in a finally, when forward throws', () => {
    const stop = model.observe(() => {});
    expect(() => model.forward(Int32Array.of(99))).toThrow('embedding of words: id 0: expected 0 to 6, got 99');
    stop();
    expect(Object.hasOwn(model, 'forward')).toBe(false);
  });
});

describe('Module.hook', () => {
  const model = new Tied(weights().scope('model'));
  const ids = Int32Array.of(1, 2);

  it('reads the output of the module that has the name, and leaves the rest alone', () => {
    const before = model.forward(ids).toArray();
    const seen: [string, readonly number[], number][] = [];
    const stop = model.hook('model.layer.0', (output, module, inputs) => {
      seen.push([module.name, output.shape, inputs.length]);
    });
    expect(model.forward(ids).toArray()).toEqual(before);
    expect(seen).toEqual([['model.layer.0', [2, 3], 2]]);
    stop();
    stop(); // again, which changes nothing
    model.forward(ids);
    expect(seen).toHaveLength(1);
    for (const module of model.modules()) expect(Object.hasOwn(module, 'forward')).toBe(false);
  });

  it('replaces it, also by a name without its beginning; several act one after another, before observers', () => {
    const first = model.layers[0].forward(model.table.forward(ids), 'tanh');
    const doubled = Array.from(first.data, (x) => 2 * x + 1);
    const stops = [
      model.hook('layer.0', (output) =>
        output.engine.tensor(
          Array.from(output.data, (x) => 2 * x),
          output.shape,
        ),
      ),
      model.hook('layer.0', (output) =>
        output.engine.tensor(
          Array.from(output.data, (x) => x + 1),
          output.shape,
        ),
      ),
    ];
    const observed: number[][] = [];
    stops.push(
      model.observe((module, output) => {
        if (module.name === 'model.layer.0') observed.push(Array.from((output as Tensor).data));
      }),
    );
    const second = model.layers[1].forward(engine.tensor(doubled, [2, 3]), 'tanh');
    expect(model.forward(ids).toArray()).toEqual(linear(second, model.output).toArray());
    expect(observed[0].every((x, i) => Math.abs(x - doubled[i]) < 1e-6)).toBe(true);
    stops.forEach((stop) => stop());
    expect(model.forward(ids).toArray()).not.toEqual(linear(second, model.output).toArray());
  });

  it('refuses what it cannot hook, and what does not fit', () => {
    expect(() => model.hook('layer.7', () => {})).toThrow('hook: module "layer.7": expected the name of a module');
    expect(() => model.hook('model.layer.7', () => {})).toThrow('got none of its 4; the nearest is model.layer.0');
    expect(() => model.hook('layer.0', 'x' as never)).toThrow(ConfigError);
    const stop = model.hook('layer.1', (output) => output.engine.zeros([1, 3]));
    expect(() => model.forward(ids)).toThrow('hook of model.layer.1: expected nothing, or a tensor [2, 3], got [1, 3]');
    stop();
  });
});

describe('Dropout', () => {
  const x = engine.tensor([1, 2], [1, 2]);

  it('is the identity in evaluation, and at probability 0', () => {
    expect(new Dropout(0.5).forward(x)).toBe(x);
    expect(new Dropout(0).train().forward(x)).toBe(x);
  });
});

describe('layers', () => {
  const set = (parameter: Parameter | MatrixParameter, values: number[]) =>
    'packed' in parameter ? parameter.set(values) : parameter.data.set(values);

  it('Linear: with and without a bias', () => {
    const layer = new Linear(weights(), 2, 1);
    set(layer.weight, [3, 4]);
    set(layer.bias!, [-12]);
    const x = engine.tensor([1, 2, 0, 1], [2, 2]);
    expect(layer.forward(x).toArray()).toEqual([[-1], [-8]]);
    expect(layer.forward(x, 'relu').toArray()).toEqual([[0], [0]]);
    const plain = new Linear(weights().scope('plain'), 2, 1, { bias: false });
    expect([...plain.stateDict().keys()]).toEqual(['plain.weight']);
    set(plain.weight, [3, 4]);
    expect(plain.forward(x).toArray()).toEqual([[11], [4]]);
  });

  it('LayerNorm: starts as plain normalization', () => {
    const layer = new LayerNorm(weights(), 2, 1e-12);
    expect(layer.forward(engine.tensor([1, 3], [1, 2])).toArray()).toEqual([[-1, 1]]);
    expect(layer.forward(engine.tensor([1, 3], [1, 2]), engine.tensor([4, 0], [1, 2])).toArray()).toEqual([[1, -1]]);
  });

  it('FeedForward: down(activation(up(x)))', () => {
    const [up, down] = [new Linear(weights().scope('up'), 1, 2), new Linear(weights().scope('down'), 2, 1)];
    set(up.weight, [1, -1]);
    set(down.weight, [10, 100]);
    set(down.bias!, [1]);
    const layer = new FeedForward(up, down, 'relu');
    expect(layer.forward(engine.tensor([2, -3], [2, 1])).toArray()).toEqual([[21], [301]]);
  });

  it('MultiHeadSelfAttention: keeps to its sequence, and gives its probabilities when a list asks for them', () => {
    const layer = new MultiHeadSelfAttention(weights(), 2, 2);
    set(layer.value.weight, [1, 0, 0, 1]); // values are x itself,
    set(layer.query.weight, [0, 0, 0, 0]); // and all scores are 0, so that every token of a sequence counts the same
    const batch = new PackedBatch({ inputIds: [[1, 1], [1]] });
    const x = engine.tensor([1, 2, 3, 4, 100, 200], [3, 2]);
    const attentions: Tensor[] = [];
    const y = layer.forward(x, batch, { attentions });
    expect(y.toArray()).toEqual([
      [2, 3],
      [2, 3],
      [100, 200],
    ]);
    expect(attentions.map(({ shape }) => shape)).toEqual([[2, 5]]);
    expect(() => layer.forward(x, batch)).not.toThrow();
  });
});

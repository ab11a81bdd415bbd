import { describe, expect, it } from 'vitest';
import { BertModel } from '../../src/bert/index.ts';
import { MemoryError, ScopeError } from '../../src/errors.ts';
import { add, Engine, linear, randomStream, randomUniform, type Tensor } from '../../src/tensor/index.ts';
import { WasmMemory } from '../../src/tensor/simd/wasmMemory.ts';
import { modelFiles } from '../support/fixtures.ts';

const newEngine = (threads = 1) => new Engine({ kernels: 'simd', threads });

/** A tensor whose numbers tell which it is: start, start + 1, … */
const count = (engine: Engine, start: number, length: number): Tensor =>
  engine.tensor(
    Array.from({ length }, (_, i) => start + i),
    [length],
  );
const counted = (start: number, length: number) => Float32Array.from({ length }, (_, i) => start + i);

describe("an engine's scopes over one memory", () => {
  it('nest: numbers move outward through every level, whatever is made around them', () => {
    const engine = newEngine();
    const result = engine.scope(() => {
      const outer = count(engine, 100, 33);
      const { inner, innermost } = engine.scope(() => {
        engine.zeros([50]);
        const innermost = engine.scope(() => {
          engine.zeros([7]);
          const x = count(engine, 300, 129);
          engine.zeros([1000]);
          return x;
        });
        const inner = count(engine, 200, 17);
        engine.zeros([3]);
        return { inner, innermost };
      });
      const after = count(engine, 400, 50); // where the inner scopes' memory was
      expect([outer, inner, innermost, after].map(({ data }) => data)).toEqual([
        counted(100, 33),
        counted(200, 17),
        counted(300, 129),
        counted(400, 50),
      ]);
      return [innermost, after, inner, outer];
    });
    expect(result.map(({ data }) => data)).toEqual([
      counted(300, 129),
      counted(400, 50),
      counted(200, 17),
      counted(100, 33),
    ]);
  });

  it('leave numbers behind, and what is kept afterwards begins with zeros', () => {
    const engine = newEngine();
    engine.scope(() => void engine.zeros([5000]).data.fill(-1));
    const kept = [engine.keep([900]), engine.keep([9000])]; // on what the scope had, and beyond it
    const matrices = [engine.keepMatrix(70, 90, 'f32'), engine.keepMatrix(70, 90, 'q8')];
    for (const data of [...kept, ...matrices.map(({ packed }) => packed)].map((one) => one.data)) {
      expect(data.every((number) => number === 0)).toBe(true);
    }
    const memory = new WasmMemory(new WebAssembly.Memory({ initial: 1, maximum: 100 }));
    memory.openScope();
    memory.floats(3000).data.fill(-1);
    memory.closeScope([]);
    expect(
      [memory.keepBytes(5000), memory.keepBytes(20000)].map(({ data }) => data.some((byte) => byte !== 0)),
    ).toEqual([false, false]);
  });

  it('let several tensors out, in any order, large over small and small over large', () => {
    const lengths = [3, 500, 1, 0, 64, 16, 129, 2000];
    for (let seed = 0; seed < 50; seed++) {
      const engine = newEngine();
      const stream = randomStream(seed, 'order');
      const draw = (n: number, limit: number) => Math.floor(limit * randomUniform(stream, n));
      engine.scope(() => {
        const leaving = engine.scope(() => {
          const made = lengths.map((length, i) => count(engine, 1000 * i, length));
          return made
            .map((tensor, i) => ({ tensor, start: 1000 * i, place: draw(i, 100), goes: draw(100 + i, 2) === 0 }))
            .filter(({ goes }) => goes)
            .sort((a, b) => a.place - b.place);
        });
        engine.zeros([4000]).data.fill(-1); // over all that was given back
        for (const { tensor, start } of leaving) expect(tensor.data).toEqual(counted(start, tensor.size));
      });
    }
  });

  it('let out tensors that share numbers, by reshape or twice, which then still share them', () => {
    const engine = newEngine();
    engine.scope(() => {
      const { a, b, again } = engine.scope(() => {
        engine.zeros([100]);
        const x = count(engine, 0, 6);
        return { a: x.reshape([2, 3]), b: x.reshape([3, 2]), again: [x, x] };
      });
      engine.zeros([200]).data.fill(-1);
      a.data[4] = 99;
      for (const tensor of [a, b, ...again]) expect([...tensor.data]).toEqual([0, 1, 2, 3, 99, 5]);
      expect(again[0]).toBe(again[1]);
    });
    const [a, b] = engine.scope(() => {
      const x = count(engine, 0, 4);
      return [x, x.reshape([2, 2])];
    });
    a.data[1] = 7; // outside of every scope too
    expect(b.toArray()).toEqual([
      [0, 7],
      [2, 3],
    ]);
  });

  it('let a reshaped tensor out without the one that it was made of, which is then gone', () => {
    const engine = newEngine();
    let lost: Tensor | undefined;
    const view = engine.scope(() => {
      lost = count(engine, 5, 4);
      return lost.reshape([2, 2]);
    });
    expect([...view.data]).toEqual([5, 6, 7, 8]);
    expect(() => lost!.data).toThrow(ScopeError);
    expect(() => lost!.reshape([4])).toThrow(ScopeError);
  });

  it('leave tensors of an enclosing scope where they are, when an inner scope returns them', () => {
    const engine = newEngine();
    engine.scope(() => {
      const x = count(engine, 0, 5);
      const same = engine.scope(() => {
        engine.zeros([100]);
        return { x, view: x.reshape([5]) };
      });
      engine.zeros([100]).data.fill(-1);
      expect([...same.x.data, ...same.view.data]).toEqual([0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
    });
  });

  it('let out arrays that were taken over, which are not in the memory', () => {
    const engine = newEngine();
    const array = Float32Array.of(1, 2);
    const x = engine.scope(() => engine.scope(() => engine.tensor(array, [2])));
    expect(x.data).toBe(array);
    expect(x.scope).toBeNull();
  });

  it("copy another tensor's numbers, so that a tensor of them outlives that one", () => {
    const engine = newEngine();
    const kept = engine.scope(() => {
      const inner = engine.scope(() => {
        const x = count(engine, 10, 8);
        return engine.tensor(x.data.subarray(2, 6), [4]);
      });
      engine.zeros([100]).data.fill(-1);
      expect([...inner.data]).toEqual([12, 13, 14, 15]);
      return engine.tensor(inner.data, [2, 2]);
    });
    engine.scope(() => engine.zeros([100]).data.fill(-1));
    expect([...kept.data]).toEqual([12, 13, 14, 15]);
  });

  it('give memory back when their body throws', () => {
    const engine = newEngine();
    const fill = (length: number, then: () => void) => () => {
      engine.zeros([length]);
      then();
    };
    const fail = () => {
      throw new Error('on purpose');
    };
    const size = 2 ** 20;
    expect(() => engine.scope(fill(size, fail))).toThrow('on purpose');
    const before = engine.info().memory;
    for (let i = 0; i < 100; i++) expect(() => engine.scope(fill(size, fail))).toThrow('on purpose');
    engine.scope(() => {
      const outer = count(engine, 0, 100);
      expect(() => engine.scope(() => engine.scope(fill(size / 2, fail)))).toThrow('on purpose');
      engine.zeros([size / 2]);
      expect(outer.data).toEqual(counted(0, 100));
    });
    expect(engine.info().memory).toBe(before);
  });

  it.each([1, 2])('hold tensors through growth of the memory, with views taken before: %d thread(s)', (threads) => {
    const engine = newEngine(threads);
    const parameter = engine.keep([100]);
    parameter.data.set(counted(500, 100));
    engine.scope(() => {
      const x = count(engine, 0, 100);
      const y = count(engine, 1000, 100);
      const before = engine.info().memory;
      expect(x.data.length).toBe(100);
      engine.zeros([2 * before]); // more bytes than there were: the memory grows
      expect(engine.info().memory).toBeGreaterThan(before);
      expect([x, y, parameter].map(({ data }) => data)).toEqual([
        counted(0, 100),
        counted(1000, 100),
        counted(500, 100),
      ]);
      expect(add(x, y).data).toEqual(counted(0, 100).map((value, i) => value + 1000 + i));
      // A view of a buffer that is no longer the memory's own would be copied in and out by every kernel.
      const [{ buffer }] = [engine.zeros([1]).data];
      for (const tensor of [x, y, parameter]) expect(tensor.data.buffer).toBe(buffer);
    });
    engine.close();
  });

  it('cannot take parameters, whichever the kernels: they would go with the scope', () => {
    for (const engine of [newEngine(), new Engine({ kernels: 'reference' })]) {
      expect(() => engine.scope(() => engine.keep([2]))).toThrow(ScopeError);
      expect(() => engine.scope(() => engine.keep([2]))).toThrow(
        'Engine.keep: expected no open scope, since parameters outlive every scope, got a call inside one; ' +
          'make or load the model before Engine.scope',
      );
      expect(() => engine.scope(() => engine.keepMatrix(2, 2, 'q8'))).toThrow('Engine.keepMatrix: expected no open');
      expect([...engine.keep([2]).data]).toEqual([0, 0]); // afterwards they are made as before
    }
  });

  it('refuse an int8 matrix whose sums could leave 32 bits', () => {
    const engine = newEngine();
    expect(2047 * 128 * 8192).toBeLessThan(2 ** 31);
    expect(engine.keepMatrix(1, 8192, 'q8').size).toBe(8192);
    expect(engine.keepMatrix(1, 8193, 'f32').size).toBe(8193);
    expect(() => engine.keepMatrix(1, 8193, 'q8')).toThrow(
      'Engine.keepMatrix: columns of an int8 matrix: expected at most 8192, whose sums fit into 32 bits, got 8193; ' +
        'load with dtype "f32"',
    );
  });

  it('start what stays at zero, also where scopes have been', () => {
    const engine = newEngine();
    engine.scope(() => engine.zeros([1000]).data.fill(7));
    expect(engine.keep([100]).data.every((x) => x === 0)).toBe(true);
    const matrix = engine.keepMatrix(9, 5, 'q8');
    expect(matrix.packed.data.every((x) => x === 0)).toBe(true);
    expect(matrix.toTensor().data.every((x) => x === 0)).toBe(true);
  });

  it('leave tensors outside of every scope to the garbage collector', () => {
    const engine = newEngine();
    const [x, weight] = [engine.zeros([100, 64]), engine.zeros([64, 64])];
    linear(x, weight);
    const { memory } = engine.info();
    const tensors = Array.from({ length: 200 }, () => linear(x, weight)); // each copied in and out of scratch memory
    expect(engine.info().memory).toBe(memory);
    expect(tensors.every(({ scope }) => scope === null)).toBe(true);
  });
});

describe('models', () => {
  const inputs = (n: number) => {
    const stream = randomStream(n, 'inputs');
    const lengths = Array.from({ length: 1 + (n % 4) }, (_, s) => 1 + Math.floor(40 * randomUniform(stream, s)));
    return {
      inputIds: lengths.map((length, s) =>
        Array.from({ length }, (_, i) => Math.floor(61 * randomUniform(stream, 50 * s + i))),
      ),
    };
  };

  it('share an engine, each with its own weights', async () => {
    const [alone, other] = await Promise.all(
      [1, 2].map(() => BertModel.fromPretrained(modelFiles('base'), { engine: newEngine() })),
    );
    const engine = newEngine();
    const first = await BertModel.fromPretrained(modelFiles('base'), { engine });
    const before = [...first.forward(inputs(3)).lastHiddenState.data];
    const second = await BertModel.fromPretrained(modelFiles('sevenHeads'), { engine }); // loaded after a forward pass
    const int8 = await BertModel.fromPretrained(modelFiles('base'), { engine, dtype: 'q8' });
    second.forward(inputs(4));
    int8.forward(inputs(5));
    expect([...first.forward(inputs(3)).lastHiddenState.data]).toEqual(before);
    expect(before).toEqual([...alone.forward(inputs(3)).lastHiddenState.data]);
    const [here, there] = [second, await BertModel.fromPretrained(modelFiles('sevenHeads'), { engine: other.engine })];
    expect(here.forward(inputs(4)).lastHiddenState.data).toEqual(there.forward(inputs(4)).lastHiddenState.data);
  });

  it.each(['f32', 'q8'] as const)('keep their memory through 3000 passes of random lengths: %s', async (dtype) => {
    const model = await BertModel.fromPretrained(modelFiles('base'), { engine: newEngine(), dtype });
    const { engine } = model;
    for (let n = 0; n < 100; n++) model.forward(inputs(n));
    const { memory } = engine.info();
    for (let n = 100; n < 3000; n++) model.forward(inputs(n), n % 50 === 0 ? { outputAttentions: true } : {});
    expect(engine.info().memory).toBe(memory);
  });
});

describe('a memory that cannot grow', () => {
  it('says so by a typed error, and goes on with what it has', () => {
    const memory = new WasmMemory(new WebAssembly.Memory({ initial: 1, maximum: 2 }));
    expect(() => memory.take(2 ** 20)).toThrow(MemoryError);
    expect(() => memory.take(2 ** 20)).toThrow(
      /^memory of the engine: expected at most 4096 MiB.*got 1 MiB asked for; compute/,
    );
    expect(memory.take(1000)).toBe(64); // nothing was taken by what failed
    expect(memory.bytes).toBe(65536);
  });

  it('takes the last page there is', () => {
    const memory = new WasmMemory(new WebAssembly.Memory({ initial: 65_000, maximum: 65_536 }));
    memory.take(65_100 * 65_536);
    expect(memory.bytes).toBeGreaterThan(65_100 * 65_536);
  });
});

import { spawnSync } from 'node:child_process';
import { afterEach, describe, expect, it } from 'vitest';
import { ConfigError, ScopeError, ShapeError } from '../../src/errors.ts';
import { add, Engine, linear, referenceKernels, scale, type EngineInfo, type Tensor } from '../../src/tensor/index.ts';
import { hasRelaxedFma } from '../support/kernelSets.ts';

const engine = new Engine({ kernels: 'simd', threads: 1 });

describe('Tensor', () => {
  it('has a shape, a size, a rank and nested numbers', () => {
    const x = engine.tensor([1, 2, 3, 4, 5, 6], [1, 2, 3]);
    expect({ shape: x.shape, size: x.size, rank: x.rank }).toEqual({ shape: [1, 2, 3], size: 6, rank: 3 });
    expect(x.toArray()).toEqual([
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
    ]);
    expect(engine.tensor([7], []).toArray()).toBe(7);
    expect(engine.zeros([2, 0]).toArray()).toEqual([[], []]);
    expect(engine.zeros([0, 2]).toArray()).toEqual([]);
  });

  it('is reshaped without a copy', () => {
    const x = engine.tensor([1, 2, 3, 4, 5, 6], [2, 3]);
    const y = x.reshape([3, 2]);
    expect(y.toArray()).toEqual([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    expect(y.data).toBe(x.data);
    expect(() => x.reshape([4])).toThrow('Tensor: expected 4 numbers for shape [4], got 6');
  });

  it('refuses numbers that do not fill its shape', () => {
    expect(() => engine.tensor([1, 2, 3], [2, 2])).toThrow(
      new ShapeError({ what: 'Tensor', expected: '4 numbers for shape [2, 2]', got: '3' }),
    );
  });
});

describe('Engine', () => {
  it('stores numbers in its own precision', () => {
    expect(engine.tensor([0.1], [1]).data).toEqual(Float32Array.of(0.1));
    expect(new Engine({ dtype: 'float64' }).tensor([0.1], [1]).data).toEqual(Float64Array.of(0.1));
    expect(engine.tensor(Float64Array.of(0.1), [1]).data).toEqual(Float32Array.of(0.1));
  });

  it('takes over an array of its dtype as it is', () => {
    const data = Float32Array.of(1, 2);
    expect(engine.tensor(data, [2]).data).toBe(data);
  });

  it('has SIMD kernels unless told otherwise, and says which', () => {
    for (const kernels of [undefined, 'auto', 'simd'] as const) {
      const engine = new Engine({ ...(kernels && { kernels }), threads: 1 });
      const { notes, memory, ...info } = engine.info();
      expect(info).toEqual({
        kernels: 'simd',
        dtype: 'float32',
        arithmetic: hasRelaxedFma ? 'float32 relaxed fma' : 'float32 mul+add',
        tile: hasRelaxedFma ? '6x8' : '4x8',
        turbo: false,
        threads: 1,
      });
      expect(memory).toBeGreaterThan(0);
      expect(notes.map((note) => note.split(':')[0])).toEqual([
        ...(hasRelaxedFma ? [] : ['fused multiply-add']),
        'turbo',
        'threads',
      ]);
    }
  });

  it(
    'asks V8 for what turbo is in this version, and says so; results stay within rounding',
    { timeout: 60_000 },
    () => {
      // In a process of its own, whose flags those are.
      const script = `
      const { Engine, linear } = await import(${JSON.stringify(new URL('../../src/tensor/index.ts', import.meta.url).href)});
      const run = (engine) => {
        const [x, w] = [40, 24].map((rows) => engine.tensor(Float32Array.from({ length: 64 * rows }, (_, i) => Math.sin(i)), [rows, 64]));
        return [...linear(x, w).data];
      };
      const plain = run(new Engine({ threads: 1 }));
      const engine = new Engine({ threads: 1, turbo: true });
      const largest = Math.max(...run(engine).map((y, i) => Math.abs(y - plain[i])));
      console.log(JSON.stringify({ info: engine.info(), largest }));`;
      const { stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], { encoding: 'utf8' }); // prettier-ignore
      expect(stderr).toBe('');
      const { info, largest } = JSON.parse(stdout) as { info: EngineInfo; largest: number };
      const version = parseInt(process.versions.v8);
      const [turbo, tile] = version === 11 ? [true, '4x8'] : version >= 13 ? [true, '6x16'] : [false, '6x8'];
      expect(info).toMatchObject({ kernels: 'simd', arithmetic: 'float32 relaxed fma', turbo, tile });
      expect(info.notes.some((note) => note.startsWith('turbo'))).toBe(!turbo);
      expect(largest).toBeLessThan(1e-4);
    },
  );

  it('has reference kernels when asked to', () => {
    const { notes, ...info } = new Engine({ kernels: 'reference' }).info();
    expect(info).toEqual({
      kernels: 'reference',
      dtype: 'float32',
      arithmetic: 'float64 sums',
      tile: null,
      turbo: false,
      threads: 1,
      memory: 0,
    });
    expect(notes).toEqual(['SIMD: not asked for']);
  });

  it('has reference kernels in float64, and says why', () => {
    for (const kernels of ['auto', 'reference'] as const) {
      const { notes, ...info } = new Engine({ dtype: 'float64', kernels }).info();
      expect(info).toMatchObject({ kernels: 'reference', dtype: 'float64', arithmetic: 'float64 sums', memory: 0 });
      expect(notes).toEqual([kernels === 'auto' ? 'SIMD: float64 has reference kernels only' : 'SIMD: not asked for']);
    }
    expect(() => new Engine({ dtype: 'float64', kernels: 'simd' })).toThrow(
      'Engine: kernels: expected simd, got float64 has reference kernels only; use "auto" or "reference"',
    );
  });

  it('takes kernels of your own', () => {
    const engine = new Engine({ kernels: { ...referenceKernels, name: 'mine' } });
    expect(engine.info()).toMatchObject({ kernels: 'mine', notes: ['SIMD: not asked for'] });
  });

  const withoutWebAssembly: [what: string, change: () => void, reason: string][] = [
    [
      'there is no WebAssembly',
      () => Reflect.deleteProperty(globalThis, 'WebAssembly'),
      'there is no WebAssembly here',
    ],
    [
      'WebAssembly knows no SIMD',
      () => Object.assign(globalThis, { WebAssembly: { ...saved, validate: () => false } }),
      'this WebAssembly has no SIMD',
    ],
    [
      "a page's policy forbids it",
      () => {
        const { validate, Module, Memory } = WebAssembly;
        const Instance = function () {
          throw new EvalError('blocked by policy');
        };
        Object.assign(globalThis, { WebAssembly: { validate, Module, Memory, Instance } });
      },
      'WebAssembly cannot be used here (blocked by policy)',
    ],
    [
      'there is no room for a memory',
      () => {
        const { validate, Module, Instance } = WebAssembly;
        const Memory = function () {
          throw new RangeError('could not allocate memory');
        };
        Object.assign(globalThis, { WebAssembly: { validate, Module, Instance, Memory } });
      },
      'WebAssembly cannot be used here (could not allocate memory)',
    ],
  ];
  const saved = globalThis.WebAssembly;
  afterEach(() => void Object.assign(globalThis, { WebAssembly: saved }));

  it.each(withoutWebAssembly)('falls back on reference kernels, and says why, when %s', (_, change, reason) => {
    change();
    const fallback = new Engine({ threads: 1 });
    const { kernels, notes } = fallback.info();
    expect(kernels).toBe('reference');
    expect(notes).toEqual([expect.stringContaining(`SIMD: ${reason}`)]);
    expect([...scale(fallback.tensor([1, 2], [2]), 2).data]).toEqual([2, 4]);
    expect(() => new Engine({ kernels: 'simd', threads: 1 })).toThrow(ConfigError);
    expect(() => new Engine({ kernels: 'simd', threads: 1 })).toThrow(`Engine: kernels: expected simd, got ${reason}`);
  });

  it('takes 1 to 64 threads, or as many as there are cores', () => {
    for (const threads of [0, -1, 1.5, NaN, 65]) {
      expect(() => new Engine({ threads })).toThrow(
        `Engine: threads: expected "auto", or 1 to 64, got ${String(threads)}`,
      );
    }
    expect(new Engine({ threads: 1 }).info().notes.at(-1)).toMatch(/^threads: one was asked for/);
  });

  it('does not compute with the tensors of another', () => {
    const elsewhere = new Engine({ dtype: 'float64' }).zeros([2, 2]);
    const here = engine.zeros([2, 2]);
    for (const op of [() => add(here, elsewhere), () => linear(here, here, elsewhere.reshape([2, 2]))]) {
      expect(op).toThrow(ShapeError);
    }
    expect(() => add(here, elsewhere)).toThrow(
      'add: expected all operands on one engine, got float32 simd and float64 reference; ' +
        'make every tensor and model with the same engine',
    );
  });
});

describe.each(['reference', 'simd'] as const)('Engine.scope, %s', (kernels) => {
  const engine = new Engine({ kernels, threads: 1 });

  const usable = (x: Tensor): boolean => {
    try {
      return x.data.length >= 0;
    } catch (error) {
      if (error instanceof ScopeError) return false;
      throw error;
    }
  };

  it('takes back what was made inside, except what is returned', () => {
    const made: Tensor[] = [];
    const kept = engine.scope(() => {
      made.push(engine.zeros([1]));
      return scale(made[0], 2);
    });
    expect(usable(kept)).toBe(true);
    expect(usable(made[0])).toBe(false);
  });

  it('lets out tensors inside arrays and plain objects', () => {
    const result = engine.scope(() => ({ a: [engine.zeros([1]), { b: engine.zeros([2]) }], c: null, d: 5 }));
    const [first, second] = result.a as [Tensor, { b: Tensor }];
    expect([usable(first), usable(second.b), result.d]).toEqual([true, true, 5]);
  });

  it('hands tensors from an inner scope to the outer one, which takes them back in turn', () => {
    let inner: Tensor | undefined;
    const outer = engine.scope(() => {
      inner = engine.scope(() => engine.tensor([4], [1]));
      expect(usable(inner)).toBe(true);
      return engine.zeros([1]);
    });
    expect([usable(inner!), usable(outer)]).toEqual([false, true]);
  });

  it('leaves alone what was made before it', () => {
    const before = engine.zeros([1]);
    engine.scope(() => before);
    engine.scope(() => undefined);
    expect(usable(before)).toBe(true);
  });

  it('never shows stale numbers: use after the end is an error, also through a reshape', () => {
    let lost: Tensor | undefined;
    let view: Tensor | undefined;
    engine.scope(() => {
      lost = engine.zeros([2, 3]);
      view = lost.reshape([6]);
    });
    const message =
      'Tensor [2, 3]: expected use inside the scope it was made in, got use after that scope closed; ' +
      'return the tensor from the scope, or copy its data before the end';
    expect(() => lost!.data).toThrow(message);
    expect(() => lost!.toArray()).toThrow(ScopeError);
    expect(() => lost!.reshape([6])).toThrow(ScopeError);
    expect(() => scale(lost!, 2)).toThrow(ScopeError);
    expect(() => view!.data).toThrow(ScopeError);
  });

  it('closes when its body throws, and the enclosing scope goes on', () => {
    let lost: Tensor | undefined;
    const kept = engine.scope(() => {
      const failing = () =>
        engine.scope(() => {
          lost = engine.zeros([1]);
          throw new Error('inside');
        });
      expect(failing).toThrow('inside');
      return engine.zeros([1]);
    });
    expect([usable(lost!), usable(kept), engine.zeros([1]).scope]).toEqual([false, true, null]);
  });

  it('refuses an async body, whose later failure is not left unhandled', async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', note);
    const body = async () => {
      const x = engine.zeros([1]);
      await Promise.resolve();
      return x.data; // by now the scope has closed
    };
    expect(() => engine.scope(body)).toThrow('Engine.scope: expected a synchronous body, got an async one');
    await new Promise((resolve) => setTimeout(resolve, 5));
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
    expect(engine.zeros([1]).scope).toBeNull();
  });
});

import { describe, expect, it } from 'vitest';
import { call, ModuleBuilder, sumLanes, type FunctionBuilder } from '../../../src/tensor/simd/assembler.ts';
import type { Local, Store, Value } from '../../../src/tensor/simd/instructions/encoding.ts';
import * as f32 from '../../../src/tensor/simd/instructions/f32.ts';
import * as f32x4 from '../../../src/tensor/simd/instructions/f32x4.ts';
import * as f64 from '../../../src/tensor/simd/instructions/f64.ts';
import * as i16x8 from '../../../src/tensor/simd/instructions/i16x8.ts';
import * as i32 from '../../../src/tensor/simd/instructions/i32.ts';
import * as i32x4 from '../../../src/tensor/simd/instructions/i32x4.ts';
import * as i8x16 from '../../../src/tensor/simd/instructions/i8x16.ts';
import * as v128 from '../../../src/tensor/simd/instructions/v128.ts';
import { hasRelaxedFma } from '../../support/kernelSets.ts';

const pages = { initial: 1, maximum: 1, shared: false };

/** A module's functions and the memory they work on. */
function run(module: ModuleBuilder, tag?: string) {
  const memory = new WebAssembly.Memory(pages);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.assemble(pages, tag)), {
    env: { memory },
  });
  return { call: exports as Record<string, (...args: number[]) => number>, memory };
}

/** What one i32 or f32 expression of two arguments comes to. */
function evaluate<T extends 'i32' | 'f32', R extends 'i32' | 'f32'>(
  type: T,
  expression: (fn: FunctionBuilder, a: Local<T>, b: Local<T>) => Value<R>,
): (a: number, b: number) => number {
  const module = new ModuleBuilder();
  module.define('f', type === 'i32' ? 'ii' : 'ff', (fn, ...args): Value => {
    const [a, b] = args as Local[] as Local<T>[];
    return expression(fn, a, b) as Value;
  });
  return run(module).call.f;
}

/** A function of two i32 that sums in a local what its body adds. */
const counting = (body: (fn: FunctionBuilder, sum: Local<'i32'>, a: Local<'i32'>, b: Local<'i32'>) => void) =>
  evaluate('i32', (fn, a, b) => {
    const sum = fn.local('i32');
    body(fn, sum, a, b);
    return sum;
  });

describe('control', () => {
  it('repeat: as often as it says, not at all for 0 and below', () => {
    const f = counting((fn, sum, a, b) => fn.repeat(a, () => fn.advance(sum, b)));
    expect([5, 1, 0, -1, -(2 ** 31)].map((count) => f(count, 3))).toEqual([15, 3, 0, 0, 0]);
  });

  it('repeat: the count is taken at the start, and nests', () => {
    const f = counting((fn, sum, a, b) => {
      fn.repeat(a, () => {
        fn.set(a, i32.const(100));
        fn.repeat(b, () => fn.advance(sum, 1));
      });
    });
    expect(f(3, 4)).toBe(12);
    expect(f(3, 0)).toBe(0);
  });

  it('repeatAtLeastOnce: as often as it says', () => {
    const f = counting((fn, sum, a, b) => fn.repeatAtLeastOnce(a, () => fn.advance(sum, b)));
    expect([1, 2, 1000].map((count) => f(count, 2))).toEqual([2, 4, 2000]);
  });

  it('while: tests before each round', () => {
    const f = counting((fn, sum, a, b) => {
      fn.while(i32.gt_s(a, i32.const(0)), () => {
        fn.set(a, i32.sub(a, b));
        fn.advance(sum, 1);
      });
    });
    expect([f(10, 3), f(0, 3), f(-5, 1), f(1, 1)]).toEqual([4, 0, 0, 1]);
  });

  it('if and else, nested, with any number but 0 as true', () => {
    const f = counting((fn, sum, a, b) => {
      fn.if(
        a,
        () => fn.set(sum, i32.const(1)),
        () => fn.if(b, () => fn.set(sum, i32.const(2))),
      );
    });
    expect([f(7, 0), f(-1, 5), f(0, 1), f(0, 0)]).toEqual([1, 1, 2, 0]);
  });

  it('return leaves at once, from inside of loops', () => {
    const f = counting((fn, sum, a, b) => {
      fn.repeat(a, () => {
        fn.advance(sum, 1);
        fn.if(i32.eq(sum, b), () => fn.return(i32.const(-1)));
      });
    });
    expect([f(5, 3), f(5, 9)]).toEqual([-1, 5]);
  });

  it('let holds a value from there on; a local starts at zero', () => {
    const f = evaluate('i32', (fn, a, b) => {
      const kept = fn.let(i32.add(a, b));
      fn.set(a, i32.const(1000));
      return i32.add(kept, fn.local('i32'));
    });
    expect(f(2, 3)).toBe(5);
  });

  it('functions call others, with and without a result', () => {
    const module = new ModuleBuilder();
    const square = module.define('square', 'i', (_, a) => i32.mul(a, a));
    const keep = module.define('keep', 'ii', (fn, at, a) => fn.store(i32.store(at, a)));
    module.define('f', 'i', (fn, a) => {
      fn.call(keep, i32.const(8), call(square, [i32.add(a, i32.const(1))]));
      return i32.load(i32.const(4), 4);
    });
    expect([square.result, keep.result]).toEqual(['i32', null]);
    expect(run(module).call.f(6)).toBe(49);
  });

  it('locals of several types, many of them, keep apart', () => {
    const f = evaluate('i32', (fn, a, b) => {
      const locals = Array.from({ length: 150 }, (_, i) => {
        fn.let(f32x4.const(i));
        return fn.let(f32.convert_i32_s(i32.add(a, i32.const(i))));
      });
      fn.set(a, b);
      return locals.reduce<Value<'f32'>>((sum, local) => f32.add(sum, local), f32.const(0));
    });
    expect(f(1, 0)).toBe((150 * 151) / 2);
  });
});

describe('numbers', () => {
  const edges = [0, 1, -1, 63, 64, -64, -65, 127, 128, 8191, 8192, -8192, -8193, 2 ** 20, 2 ** 31 - 1, -(2 ** 31)];

  it('i32.const: at every length of its encoding', () => {
    for (const value of edges) expect(evaluate('i32', () => i32.const(value))(0, 0)).toBe(value);
    expect(evaluate('i32', () => i32.const(2 ** 32 - 1))(0, 0)).toBe(-1);
  });

  it('f32.const, f32x4.const and fn.constant: every bit, -0 and NaN too', () => {
    for (const value of [0, -0, 1.5, -1e-40, 3.4e38, Infinity, -Infinity, NaN]) {
      const lane = (v: Value<'v128'>) => f32x4.extract_lane(v, 2);
      expect(evaluate('f32', () => f32.const(value))(0, 0)).toBe(Math.fround(value));
      expect(evaluate('f32', () => lane(f32x4.const(value)))(0, 0)).toBe(Math.fround(value));
      expect(evaluate('f32', (fn) => lane(fn.constant(value)))(0, 0)).toBe(Math.fround(value));
    }
    const both = evaluate('f32', (fn) => f32.div(f32.const(1), f32x4.extract_lane(fn.constant(-0), 0)));
    expect(both(0, 0)).toBe(-Infinity);
    const zeros = evaluate('f32', (fn) => {
      fn.let(fn.constant(0));
      return f32x4.extract_lane(fn.constant(-0), 0);
    });
    expect(zeros(0, 0)).toBe(-0); // and not the constant 0 that was there before
  });

  it('constants are set before the code, wherever they are first asked for', () => {
    const f = evaluate('i32', (fn, a) => {
      const sum = fn.let(f32x4.const(0));
      fn.repeat(a, () => fn.if(i32.const(0), () => fn.set(sum, fn.constant(9))));
      fn.set(sum, f32x4.add(sum, fn.constant(9)));
      return f32x4.extract_lane(sum, 3);
    });
    expect([f(0, 0), f(3, 0)]).toEqual([9, 9]);
  });

  it('offsets of loads and stores: at every length of their encoding', () => {
    for (const offset of [0, 4, 127, 128, 16383, 16384, 60000]) {
      const module = new ModuleBuilder();
      module.define('f', 'i', (fn, at) => {
        fn.store(i32.store(at, i32.const(77), offset));
        return i32.load(i32.add(at, i32.const(offset)));
      });
      const { call, memory } = run(module);
      expect(call.f(12)).toBe(77);
      expect(new DataView(memory.buffer).getInt32(12 + offset, true)).toBe(77);
    }
  });

  const integers: Record<string, [op: (a: Value<'i32'>, b: Value<'i32'>) => Value<'i32'>, f: typeof Math.imul]> = {
    eq: [i32.eq, (a, b) => Number(a === b)],
    ne: [i32.ne, (a, b) => Number(a !== b)],
    lt_s: [i32.lt_s, (a, b) => Number(a < b)],
    gt_s: [i32.gt_s, (a, b) => Number(a > b)],
    ge_s: [i32.ge_s, (a, b) => Number(a >= b)],
    add: [i32.add, (a, b) => (a + b) | 0],
    sub: [i32.sub, (a, b) => (a - b) | 0],
    mul: [i32.mul, Math.imul],
    div_u: [(a, b) => i32.div_u(a, i32.add(b, i32.eq(b, i32.const(0)))), (a, b) => ((a >>> 0) / (b >>> 0 || 1)) | 0],
    and: [i32.and, (a, b) => a & b],
    shl: [i32.shl, (a, b) => a << b],
    shr_u: [i32.shr_u, (a, b) => (a >>> b) | 0],
    min: [i32.min, Math.min],
  };

  it.each(Object.entries(integers))('i32.%s', (_, [op, f]) => {
    const compiled = evaluate('i32', (_fn, a, b) => op(a, b));
    for (const a of edges) for (const b of edges) expect([a, b, compiled(a, b)]).toEqual([a, b, f(a, b)]);
  });

  const floatEdges = [0, -0, 1, -1, 0.1, -3.7, 1e-40, 16777217, 3e38, -3e38, Infinity, -Infinity, NaN].map(Math.fround);
  const floats: Record<string, [op: (a: Value<'f32'>, b: Value<'f32'>) => Value<'f32'>, f: typeof Math.atan2]> = {
    add: [f32.add, (a, b) => Math.fround(a + b)],
    sub: [f32.sub, (a, b) => Math.fround(a - b)],
    mul: [f32.mul, (a, b) => Math.fround(a * b)],
    div: [f32.div, (a, b) => Math.fround(a / b)],
    max: [f32.max, (a, b) => Math.max(a, b)], // NaN if either is
    sqrt: [f32.sqrt, (a) => Math.fround(Math.sqrt(a))],
    abs: [f32.abs, (a) => Math.abs(a)],
  };

  it.each(Object.entries(floats))('f32.%s', (_, [op, f]) => {
    const compiled = evaluate('f32', (_fn, a, b) => op(a, b));
    for (const a of floatEdges) for (const b of floatEdges) expect([a, b, compiled(a, b)]).toEqual([a, b, f(a, b)]);
  });

  it('f64: add, div, sqrt, one, from float32 and back with one rounding', () => {
    const [wide, narrow] = [f64.promote_f32, f32.demote_f64];
    const add = evaluate('f32', (_, a, b) => narrow(f64.div(f64.one, f64.add(wide(a), wide(b)))));
    const sqrt = evaluate('f32', (_, a, b) => narrow(f64.div(f64.sqrt(wide(a)), wide(b))));
    for (const a of floatEdges)
      for (const b of floatEdges) {
        expect([a, b, add(a, b)]).toEqual([a, b, Math.fround(1 / (a + b))]);
        expect([a, b, sqrt(a, b)]).toEqual([a, b, Math.fround(Math.sqrt(a) / b)]);
      }
  });

  it('f32.ge, f32.convert_i32_s, i32.reinterpret_f32', () => {
    const ge = evaluate('f32', (_, a, b) => f32.ge(a, b));
    for (const a of floatEdges) for (const b of floatEdges) expect(ge(a, b)).toBe(Number(a >= b));
    const convert = evaluate('i32', (_, a) => f32.convert_i32_s(a));
    for (const a of edges) expect(convert(a, 0)).toBe(Math.fround(a));
    const bits = evaluate('f32', (_, a) => i32.reinterpret_f32(a));
    for (const a of floatEdges) expect(bits(a, 0)).toBe(new Int32Array(Float32Array.of(a).buffer)[0]);
  });
});

// Vectors: arguments lie at 0, 16 and 32, the result at 48.

function vectors(statement: (a: Value<'i32'>) => Store): (...args: ArrayBufferView[]) => ArrayBuffer {
  const module = new ModuleBuilder();
  module.define('f', 'i', (fn, a) => fn.store(statement(a)));
  const { call, memory } = run(module);
  return (...args) => {
    args.forEach(({ buffer, byteOffset }, i) =>
      new Uint8Array(memory.buffer, 16 * i, 16).set(new Uint8Array(buffer, byteOffset, 16)),
    );
    call.f(0);
    return memory.buffer.slice(48, 64);
  };
}

const of = (op: (...v: Value<'v128'>[]) => Value<'v128'>, count: number) =>
  vectors((a) => v128.store(a, op(...Array.from({ length: count }, (_, i) => v128.load(a, 16 * i))), 48));

describe('vectors of float32', () => {
  const values = [0, -0, 1, -1, 0.1, -3.75, 1e-40, 3e38, -3e38, Infinity, -Infinity, NaN, 127.5, -86.9, 2 ** 23, 5e-7];
  const a = Float32Array.from(values);
  /** Each of the numbers with each of the others, four pairs at a time. */
  const pairs: [Float32Array, Float32Array][] = [];
  for (let shift = 0; shift < 16; shift++) {
    const b = a.map((_, i) => a[(i + shift) % 16]);
    for (let i = 0; i < 16; i += 4) pairs.push([a.slice(i, i + 4), b.slice(i, i + 4)]);
  }

  const binary: Record<string, [op: typeof f32x4.add, f: (a: number, b: number) => number]> = {
    add: [f32x4.add, (x, y) => x + y],
    sub: [f32x4.sub, (x, y) => x - y],
    mul: [f32x4.mul, (x, y) => x * y],
    div: [f32x4.div, (x, y) => x / y],
    pmin: [f32x4.pmin, (x, y) => (y < x ? y : x)], // so pmin(NaN, y) is NaN and pmin(x, NaN) is x
    pmax: [f32x4.pmax, (x, y) => (x < y ? y : x)],
  };
  it.each(Object.entries(binary))('f32x4.%s', (_, [op, f]) => {
    const compiled = of((x, y) => op(x, y), 2);
    for (const [x, y] of pairs) {
      expect([...new Float32Array(compiled(x, y))]).toEqual([...x].map((value, i) => Math.fround(f(value, y[i]))));
    }
  });

  it('f32x4.abs, f32x4.neg, f32x4.lt', () => {
    const [abs, neg, lt] = [of(f32x4.abs, 1), of(f32x4.neg, 1), of(f32x4.lt, 2)];
    for (const [x, y] of pairs) {
      expect([...new Float32Array(abs(x))]).toEqual([...x].map(Math.abs));
      expect([...new Float32Array(neg(x))]).toEqual([...x].map((value) => -value));
      expect([...new Int32Array(lt(x, y))]).toEqual([...x].map((value, i) => (value < y[i] ? -1 : 0)));
    }
  });

  it('f32x4.splat, loadSplat, extract_lane, sumLanes', () => {
    const x = Float32Array.of(1, 20, 300, 4000);
    const splat = vectors((at) => f32x4.store(at, f32x4.splat(f32.load(at, 4)), 48));
    expect([...new Float32Array(splat(x))]).toEqual([20, 20, 20, 20]);
    const loadSplat = vectors((at) => f32x4.store(at, f32x4.loadSplat(at, 8), 48));
    expect([...new Float32Array(loadSplat(x))]).toEqual([300, 300, 300, 300]);
    for (const lane of [0, 1, 2, 3]) {
      const extract = vectors((at) => f32.store(at, f32x4.extract_lane(f32x4.load(at), lane), 48));
      expect(new Float32Array(extract(x))[0]).toBe(x[lane]);
    }
    const module = new ModuleBuilder();
    module.define('f', 'i', (fn, at) => sumLanes(fn.let(f32x4.load(at))));
    const { call, memory } = run(module);
    new Float32Array(memory.buffer).set([1e8, 1, -1e8, 1]);
    expect(call.f(0)).toBe(2); // (0 + 2) + (1 + 3): in order it would be 1
  });

  it('f32x4.convert_i32x4_s', () => {
    const x = Int32Array.of(-(2 ** 31), 2 ** 31 - 1, -5, 16777219);
    expect([...new Float32Array(of(f32x4.convert_i32x4_s, 1)(x))]).toEqual([...x].map(Math.fround));
  });

  if (hasRelaxedFma) {
    it('f32x4.relaxed_madd: a · b + c, rounded once or twice', () => {
      const compiled = of(f32x4.relaxed_madd, 3);
      const [x, y, z] = [
        Float32Array.of(1 + 2 ** -12, 3, -0.1, 1e20),
        Float32Array.of(1 + 2 ** -12, -7, 0.3, 1e20),
        Float32Array.of(-1, 0.5, 0.03, -1),
      ];
      new Float32Array(compiled(x, y, z)).forEach((value, i) => {
        const [once, twice] = [Math.fround(x[i] * y[i] + z[i]), Math.fround(Math.fround(x[i] * y[i]) + z[i])];
        expect([once, twice]).toContain(value);
      });
    });
  }
});

describe('vectors of integers', () => {
  const a = Int32Array.of(5, -7, 2 ** 31 - 1, -(2 ** 31));
  const b = Int32Array.of(-5, 100, 1, -1);

  it('v128.and, or, bitselect, const', () => {
    const each = (f: (x: number, y: number) => number) => [...a].map((x, i) => f(x, b[i]));
    expect([...new Int32Array(of(v128.and, 2)(a, b))]).toEqual(each((x, y) => x & y));
    expect([...new Int32Array(of(v128.or, 2)(a, b))]).toEqual(each((x, y) => x | y));
    const mask = Int32Array.of(-1, 0, 0xff, 1);
    const selected = [...a].map((x, i) => (x & mask[i]) | (b[i] & ~mask[i]));
    expect([...new Int32Array(of(v128.bitselect, 3)(a, b, mask))]).toEqual(selected);
    for (const bits of [0, -1, 0x80000000 | 0, 12345678]) {
      const compiled = vectors((at) => v128.store(at, v128.const(bits), 48));
      expect([...new Int32Array(compiled())]).toEqual([bits, bits, bits, bits]);
    }
  });

  it('i32x4.add, sub, max_s, shl, loadSplat', () => {
    expect([...new Int32Array(of(i32x4.add, 2)(a, b))]).toEqual([...a].map((x, i) => (x + b[i]) | 0));
    expect([...new Int32Array(of(i32x4.sub, 2)(a, b))]).toEqual([...a].map((x, i) => (x - b[i]) | 0));
    expect([...new Int32Array(of(i32x4.max_s, 2)(a, b))]).toEqual([...a].map((x, i) => Math.max(x, b[i])));
    for (const bits of [0, 1, 23, 31]) {
      expect([...new Int32Array(of((x) => i32x4.shl(x, bits), 1)(a))]).toEqual([...a].map((x) => x << bits));
    }
    const splat = vectors((at) => v128.store(at, i32x4.loadSplat(at, 4), 48));
    expect([...new Int32Array(splat(a))]).toEqual([-7, -7, -7, -7]);
  });

  it('i32x4.dot_i16x8_s: pairs of products, added', () => {
    const x = Int16Array.of(1, 2, -3, 4, 32767, -32768, -2047, 2047);
    const y = Int16Array.of(5, -6, 7, 8, 127, -127, -127, 127);
    const sums = [0, 2, 4, 6].map((i) => x[i] * y[i] + x[i + 1] * y[i + 1]);
    expect([...new Int32Array(of(i32x4.dot_i16x8_s, 2)(x, y))]).toEqual(sums);
  });

  it('i16x8.narrow_i32x4_s: both signs, and the nearest int16 for what is beyond', () => {
    const [low, high] = [Int32Array.of(1, -1, 2047, -2047), Int32Array.of(32768, -32769, 2 ** 31 - 1, -(2 ** 31))];
    const narrowed = [1, -1, 2047, -2047, 32767, -32768, 32767, -32768];
    expect([...new Int16Array(of(i16x8.narrow_i32x4_s, 2)(low, high))]).toEqual(narrowed);
  });

  it('i16x8.load8x8_s, i32.load8_s, i32.load16_s, i32.store16', () => {
    const bytes = Int8Array.of(1, -1, 127, -128, 0, 5, -6, 7, 9, -9, 9, -9, 0, 0, 0, 0);
    const widened = vectors((at) => v128.store(at, i16x8.load8x8_s(at, 1), 48));
    expect([...new Int16Array(widened(bytes))]).toEqual([...bytes.slice(1, 9)]);
    const byte = vectors((at) => i32.store(at, i32.load8_s(at, 3), 48));
    expect(new Int32Array(byte(bytes))[0]).toBe(-128);
    const half = vectors((at) => i32.store(at, i32.load16_s(at, 1), 48));
    expect(new Int32Array(half(bytes))[0]).toBe((127 << 8) | 255); // bytes 255 and 127: unaligned, little-endian
    const stored = vectors((at) => i32.store16(at, i32.const(0x1ffff), 50));
    expect([...new Int16Array(stored(bytes)).slice(0, 3)]).toEqual([0, -1, 0]);
    const storedByte = vectors((at) => i32.store8(at, i32.const(0x1ff), 49));
    expect([...new Uint8Array(storedByte(bytes)).slice(0, 3)]).toEqual([0, 255, 0]);
  });

  it('i16x8.shr_u, i8x16.narrow_i16x8_s, i32x4.extract_lane', () => {
    const x = Int16Array.of(64, 4095, 63, -1, 127, 128, -128, -129);
    const shifted = of((a: Value<'v128'>) => i16x8.shr_u(a, 6), 1)(x);
    expect([...new Int16Array(shifted)]).toEqual([1, 63, 0, 1023, 1, 2, 1022, 1021]);
    const narrowed = new Int8Array(of(i8x16.narrow_i16x8_s, 2)(x, x));
    expect([...narrowed.slice(0, 8)]).toEqual([64, 127, 63, -1, 127, 127, -128, -128]);
    const lane = vectors((at) => i32.store(at, i32x4.extract_lane(v128.load(at), 2), 48));
    expect(new Int32Array(lane(Int32Array.of(1, 2, -3, 4)))[0]).toBe(-3);
  });

  if (hasRelaxedFma) {
    it('i32x4.relaxed_dot_i8x16_i7x16_add_s: fours of products, added; sums overflow modulo 2³²', () => {
      const x = Int8Array.from({ length: 16 }, (_, i) => [-128, 127, -1, 5][i >> 2] * (i % 4 === 3 ? -1 : 1));
      const y = Int8Array.from({ length: 16 }, (_, i) => 127 - i);
      const z = Int32Array.of(1, 2 ** 31 - 1, -5, 0);
      const sums = [0, 4, 8, 12].map((i) => [0, 1, 2, 3].reduce((sum, k) => sum + x[i + k] * y[i + k], z[i / 4]) | 0);
      const dot = of(i32x4.relaxed_dot_i8x16_i7x16_add_s, 3);
      expect([...new Int32Array(dot(x, y, z))]).toEqual(sums);
    });
  }
});

describe('a module', () => {
  it('differs by its tag, and in nothing else', () => {
    const module = new ModuleBuilder();
    module.define('f', 'i', (_, a) => a);
    expect(module.assemble(pages, 'x')).not.toEqual(module.assemble(pages, 'y'));
    for (const tag of ['', 'x', 'y'.repeat(300)]) expect(run(module, tag).call.f(5)).toBe(5);
  });

  it('takes a shared memory when it is told so, and only then', () => {
    const module = new ModuleBuilder();
    module.define('f', '', () => {});
    const limits = { initial: 1, maximum: 65536 };
    for (const shared of [false, true]) {
      const compiled = new WebAssembly.Module(module.assemble({ ...limits, shared }));
      const memory = new WebAssembly.Memory({ initial: 1, maximum: 2, shared });
      expect(() => new WebAssembly.Instance(compiled, { env: { memory } })).not.toThrow();
      const other = new WebAssembly.Memory({ initial: 1, maximum: 2, shared: !shared });
      expect(() => new WebAssembly.Instance(compiled, { env: { memory: other } })).toThrow(WebAssembly.LinkError);
    }
  });
});

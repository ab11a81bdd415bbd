import { describe, expect, it } from 'vitest';
import { MemoryError } from '../../../src/errors.ts';
import { toFloat32 } from '../../../src/safetensors/index.ts';
import {
  Engine,
  fillNormal,
  positionKernels,
  randomStream,
  referenceKernels,
  type FloatArray,
  type Kernels,
  type PackedMatrix,
  type WeightType,
} from '../../../src/tensor/index.ts';
import type { Block } from '../../../src/tensor/memory.ts';
import { mulAdd, relaxedFma } from '../../../src/tensor/simd/arithmetic.ts';
import { byteGroup, makeKernels } from '../../../src/tensor/simd/start.ts';
import type { WasmMemory } from '../../../src/tensor/simd/wasmMemory.ts';
import { describeKernels, heapSetup, type Setup } from '../../conformance.ts';
import { arithmetics, hasRelaxedFma, reserve, simdSets } from '../../support/kernelSets.ts';
import '../../support/matchers.ts';

/**
 * Sums are float32, in chunks of 128 terms at most; each addition rounds by up to 2⁻²⁴ = 6e-8 of the sum so far. Measured:
 * at most 7.2e-7 of the largest result, in a product of one number whose terms cancel; 3.5e-7 in results of 20 and more.
 */
const TOLERANCE = 1e-6;
/** Measured: 1.4e-7 of the larger of |x| and |f(x)|, which is two units in the last place. */
const ELEMENT_TOLERANCE = 1.5e-7;

const outside = heapSetup((n) => new Float32Array(n), TOLERANCE, ELEMENT_TOLERANCE);

/** Arrays in the kernels' own memory. */
function inside(memory: WasmMemory): Setup {
  return {
    ...outside,
    floats: (length) => memory.floats(length).data.fill(0),
    bytes: (length) => new Int8Array(memory.memory.buffer, memory.take(length), length).fill(0),
    around(check) {
      reserve(memory, 64 * 2 ** 20);
      memory.openScope();
      try {
        check();
      } finally {
        memory.closeScope([]);
      }
    },
  };
}

for (const { name, kernels, memory } of simdSets) {
  describeKernels(`simd ${name}, arrays in its memory`, kernels, inside(memory));
  describeKernels(`simd ${name}, arrays elsewhere`, kernels, outside);
}

const random = (length: number, name: string): Float32Array => {
  const values = new Float32Array(length);
  fillNormal(values, 1, randomStream(length, name));
  return values;
};

/** An int8 weight of a kernel set, on the heap. */
function packInt8(kernels: Kernels, outFeatures: number, inFeatures: number): PackedMatrix {
  const scale = random(outFeatures, 's').map((x) => Math.abs(x) / 64);
  const data = new Int8Array(kernels.packedLength(outFeatures, inFeatures, 'q8'));
  const matrix: PackedMatrix = { outFeatures, inFeatures, dtype: 'q8', data, scale };
  const rows = Int8Array.from(random(outFeatures * inFeatures, 'w8'), (x) => Math.max(-127, Math.min(127, 40 * x)));
  kernels.packRows(matrix, 0, rows);
  return matrix;
}

describe('kernel sets', () => {
  it('widen every 16-bit float while they pack it', () => {
    const bits = Uint16Array.from({ length: 65536 }, (_, code) => code);
    for (const format of ['F16', 'BF16'] as const) {
      const bytes = new Uint8Array(bits.buffer);
      const expected = toFloat32({ name: '', dtype: format, shape: [1024, 64], bytes });
      for (const { kernels } of simdSets) {
        const data = new Float32Array(kernels.packedLength(1024, 64, 'f32'));
        const matrix: PackedMatrix = { outFeatures: 1024, inFeatures: 64, dtype: 'f32', data, scale: null };
        kernels.packHalves(matrix, 0, bits.subarray(0, 100 * 64), format); // in two pieces
        kernels.packHalves(matrix, 100, bits.subarray(100 * 64), format);
        const rows = new Float32Array(65536);
        kernels.unpackRows(
          rows,
          matrix,
          Int32Array.from({ length: 1024 }, (_, row) => row),
        );
        expect(rows).toEqual(expected);
      }
    }
  });

  it(`use relaxed FMA where the engine has it: ${hasRelaxedFma ? 'here' : 'not here, so it is not tested'}`, () => {
    expect(new Engine({ threads: 1 }).info().arithmetic).toBe(`float32 ${hasRelaxedFma ? 'relaxed fma' : 'mul+add'}`);
    expect(simdSets.length).toBe(hasRelaxedFma ? 8 : 4);
  });

  it.each(arithmetics)('give the same bits with every tile: $name', ({ name }) => {
    const sets = simdSets.filter(({ arithmetic }) => arithmetic === name);
    const [rows, inner, outputs, heads] = [13, 300, 36, 4];
    const [x, weight, bias] = [random(rows * inner, 'x'), random(outputs * inner, 'w'), random(outputs, 'b')];
    const [q, k, v] = ['q', 'k', 'v'].map((n) => random(rows * outputs, n));
    const results = sets.map(({ kernels }) => {
      const [float, int8, context] = [0, 1, 2].map(() => new Float32Array(rows * outputs));
      const probabilities = new Float32Array(heads * (16 + 81));
      kernels.linear(float, x, weight, bias, 'gelu', rows, inner, outputs);
      kernels.linear(int8, x, packInt8(kernels, outputs, inner), bias, 'gelu', rows, inner, outputs);
      kernels.attention(context, probabilities, q, k, v, Int32Array.of(0, 4, 13), heads, outputs / heads, 1 / 3);
      const [long, offsets] = [56, Int32Array.of(0, 56)];
      const [longQ, longK, longV] = ['q', 'k', 'v'].map((n) => random(long * outputs, n));
      const [local, scores] = [new Float32Array(long * outputs), new Float32Array(heads * long * long)];
      const columns = Int32Array.from({ length: long }, (_, i) => i);
      const buckets = Int32Array.from({ length: 2 * long - 1 }, (_, i) => i % 20);
      const spans = Int32Array.from({ length: 2 * long }, (_, i) =>
        i % 2 === 0 ? Math.max(0, i / 2 - 5) : Math.min(long, (i + 1) / 2 + 5),
      );
      const [keys, queries] = ['keys', 'queries'].map((n) => random(20 * outputs, n));
      const size = outputs / heads;
      positionKernels({ kernels }).disentangledBias(
        scores,
        longQ,
        longK,
        keys,
        queries,
        buckets,
        columns,
        offsets,
        heads,
        size,
        0.2,
      );
      kernels.attention(local, null, longQ, longK, longV, offsets, heads, size, 1 / 3, scores, spans);
      return [float, int8, context, probabilities, scores, local];
    });
    expect(results.length).toBe(4);
    for (const result of results) expect(result).toEqual(results[0]);
  });

  it('give the same bits on int8 weights, multiplied by twos or by fours', () => {
    for (const [rows, inner, outputs] of [
      [13, 384, 40],
      [5, 1539, 9],
    ]) {
      const [x, bias] = [random(rows * inner, 'x'), random(outputs, 'b')];
      const results = simdSets.map(({ kernels }) => {
        const y = new Float32Array(rows * outputs);
        kernels.linear(y, x, packInt8(kernels, outputs, inner), bias, 'linear', rows, inner, outputs);
        return y;
      });
      for (const y of results) expect(y).toEqual(results[0]);
    }
  });

  it('multiply int8 by fours where one instruction does it, which takes relaxed SIMD', () => {
    expect(byteGroup(mulAdd)).toBe(2);
    expect(hasRelaxedFma ? [2, 4] : [2]).toContain(byteGroup(relaxedFma));
  });

  it('agree with the reference kernels on int8 weights, within 1e-6', () => {
    for (const [rows, inner, outputs] of [
      [7, 384, 40],
      [3, 1537, 9],
    ]) {
      const [x, bias] = [random(rows * inner, 'x'), random(outputs, 'b')];
      const [expected, y] = [new Float32Array(rows * outputs), new Float32Array(rows * outputs)];
      referenceKernels.linear(
        expected,
        x,
        packInt8(referenceKernels, outputs, inner),
        bias,
        'gelu',
        rows,
        inner,
        outputs,
      );
      for (const { kernels } of simdSets) {
        kernels.linear(y, x, packInt8(kernels, outputs, inner), bias, 'gelu', rows, inner, outputs);
        const shape = [rows, outputs];
        expect({ data: y, shape }).toMatchTensor({ data: expected, shape }, { tolerance: 1e-6 });
      }
    }
  });
});

describe('a kernel whose scratch memory makes the memory grow', () => {
  const set = () => makeKernels({ rows: 4, vectors: 2 }, arithmetics[0]);

  /** Things in the memory of one kernel set; their views are taken anew at each use, as an engine does. */
  class Workbench {
    readonly kernels: Kernels;
    readonly memory: WasmMemory;

    constructor({ kernels, memory }: ReturnType<typeof set>) {
      [this.kernels, this.memory] = [kernels, memory];
      memory.openScope();
    }

    floats(length: number, name?: string): Block {
      const block = this.memory.floats(length);
      block.data.set(name === undefined ? new Float32Array(length).fill(7) : random(length, name));
      return block;
    }

    matrix(outFeatures: number, inFeatures: number, dtype: WeightType): PackedMatrix {
      const { kernels, memory } = this;
      const length = kernels.packedLength(outFeatures, inFeatures, dtype);
      const numbers = dtype === 'q8' ? memory.keepBytes(length) : memory.keepFloats(length);
      const scales = this.floats(outFeatures, 's');
      const matrix: PackedMatrix = {
        outFeatures,
        inFeatures,
        dtype,
        get data() {
          return numbers.data;
        },
        get scale() {
          return dtype === 'q8' ? scales.data : null;
        },
      };
      const rows = random(outFeatures * inFeatures, 'w');
      kernels.packRows(matrix, 0, dtype === 'q8' ? Int8Array.from(rows, (x) => 30 * x) : rows);
      return matrix;
    }
  }

  /** Each makes its arrays and returns the call that writes the first. */
  const cases: Record<string, (bench: Workbench) => { y: Block; call: () => void }> = {
    'linear, with an activation that is not fused'(bench) {
      const [y, x, bias] = [bench.floats(6 * 13), bench.floats(6 * 9, 'x'), bench.floats(13, 'b')];
      const weight = bench.matrix(13, 9, 'f32');
      return { y, call: () => bench.kernels.linear(y.data, x.data, weight, bias.data, 'mish', 6, 9, 13) };
    },
    'linear on int8, with an activation that is not fused'(bench) {
      const [y, x, weight] = [bench.floats(6 * 13), bench.floats(6 * 9, 'x'), bench.matrix(13, 9, 'q8')];
      return { y, call: () => bench.kernels.linear(y.data, x.data, weight, null, 'relu6', 6, 9, 13) };
    },
    'linear, all of it elsewhere but the output'(bench) {
      const y = bench.floats(6 * 8);
      const [x, weight] = [random(54, 'x'), random(72, 'w')];
      return { y, call: () => bench.kernels.linear(y.data, x, weight, null, 'mish', 6, 9, 8) };
    },
    matmul(bench) {
      const [y, a, b] = [bench.floats(30), bench.floats(35, 'a'), bench.floats(42, 'b')];
      return { y, call: () => bench.kernels.matmul(y.data, a.data, b.data, 5, 7, 6) };
    },
    'unpackRows of an odd number of int8'(bench) {
      const [y, matrix] = [bench.floats(3 * 7), bench.matrix(11, 7, 'q8')];
      return { y, call: () => bench.kernels.unpackRows(y.data, matrix, Int32Array.of(10, 0, 5)) };
    },
    'embeddingSum of packed tables and a plain one'(bench) {
      const [y, plain] = [bench.floats(3 * 7), bench.floats(4 * 7, 'p')];
      const tables = [bench.matrix(11, 7, 'q8'), bench.matrix(5, 7, 'f32')];
      const ids = [Int32Array.of(10, 0, 5), Int32Array.of(4, 1, 1), Int32Array.of(0, 3, 2)];
      return { y, call: () => bench.kernels.embeddingSum(y.data, [...tables, plain.data], ids, 7) };
    },
    'embeddingSum that begins with a plain table'(bench) {
      const [y, plain, table] = [bench.floats(3 * 7), bench.floats(4 * 7, 'p'), bench.matrix(11, 7, 'q8')];
      const ids = [Int32Array.of(0, 3, 2), Int32Array.of(10, 0, 5)];
      return { y, call: () => bench.kernels.embeddingSum(y.data, [plain.data, table], ids, 7) };
    },
    attention(bench) {
      const [y, q, k, v] = [bench.floats(60), ...['q', 'k', 'v'].map((name) => bench.floats(60, name))];
      const offsets = Int32Array.of(0, 4, 10);
      return { y, call: () => bench.kernels.attention(y.data, null, q.data, k.data, v.data, offsets, 2, 3, 0.5) };
    },
    'attention with a bias and spans'(bench) {
      const [y, q, k, v] = [bench.floats(60), ...['q', 'k', 'v'].map((name) => bench.floats(60, name))];
      const [offsets, bias] = [Int32Array.of(0, 4, 10), bench.floats(2 * 52, 'bias')];
      const spans = Int32Array.of(0, 2, 0, 3, 1, 4, 2, 4, 0, 2, 0, 3, 1, 4, 2, 5, 3, 6, 4, 6);
      return {
        y,
        call: () => bench.kernels.attention(y.data, null, q.data, k.data, v.data, offsets, 2, 3, 0.5, bias.data, spans),
      };
    },
    disentangledBias(bench) {
      const [y, q, k] = [bench.floats(2 * 52), bench.floats(60, 'q'), bench.floats(60, 'k')];
      const [keys, queries] = [bench.floats(6 * 19, 'keys'), bench.floats(6 * 19, 'queries')];
      const [buckets, columns] = [11, 10].map((n) => Int32Array.from({ length: n }, (_, i) => i));
      const offsets = Int32Array.of(0, 4, 10);
      return {
        y,
        call: () =>
          positionKernels(bench).disentangledBias(
            y.data,
            q.data,
            k.data,
            keys.data,
            queries.data,
            buckets,
            columns,
            offsets,
            2,
            3,
            0.5,
          ),
      };
    },
    'rotary of a part, with angles elsewhere'(bench) {
      const [y, x] = [bench.floats(5 * 24), bench.floats(5 * 30, 'x')];
      const shape = { rows: 5, heads: 2, headSize: 12, pairs: 4, interleaved: false, stride: 30, begin: 3 };
      return { y, call: () => positionKernels(bench).rotary(y.data, x.data, random(20, 'c'), random(20, 's'), shape) };
    },
    'gate of numbers elsewhere'(bench) {
      const y = bench.floats(20);
      return { y, call: () => bench.kernels.gate(y.data, random(40, 'x'), 'gelu', 5, 4) };
    },
    'binary with a row elsewhere'(bench) {
      const [y, a] = [bench.floats(35), bench.floats(35, 'a')];
      return { y, call: () => bench.kernels.binary(y.data, a.data, random(7, 'b'), 'multiply') };
    },
    'layerNorm without a bias'(bench) {
      const [y, x, weight] = [bench.floats(60), bench.floats(60, 'x'), bench.floats(20, 'w')];
      return { y, call: () => bench.kernels.layerNorm(y.data, x.data, null, weight.data, null, 1e-5, 3, 20) };
    },
    'layerNorm with a residual elsewhere'(bench) {
      const [y, x, weight, bias] = [bench.floats(60), ...['x', 'w', 'b'].map((name) => bench.floats(60, name))];
      const residual = random(60, 'r');
      const [w, b] = [() => weight.data.subarray(0, 20), () => bias.data.subarray(0, 20)];
      return { y, call: () => bench.kernels.layerNorm(y.data, x.data, residual, w(), b(), 1e-5, 3, 20) };
    },
    'activation of a number of elements that fills no vector'(bench) {
      const [y, x] = [bench.floats(5), bench.floats(5, 'x')];
      return { y, call: () => bench.kernels.activation(y.data, x.data, 'gelu') };
    },
  };

  it.each(Object.entries(cases))('gives the numbers that it gives with room to spare: %s', (_, make) => {
    const roomy = make(new Workbench(set()));
    roomy.call();
    const bench = new Workbench(set());
    const tight = make(bench);
    const { memory } = bench;
    memory.take(memory.bytes - memory.mark()); // all that is left
    const before = memory.bytes;
    tight.call();
    expect(memory.bytes).toBeGreaterThan(before); // otherwise the case tests nothing
    expect([...tight.y.data]).toEqual([...roomy.y.data]);
    expect(tight.y.data.every(Number.isFinite)).toBe(true);
  });

  it('gives scratch memory back when it cannot grow', () => {
    const { kernels, memory } = set();
    const mark = memory.mark();
    const grow = memory.memory.grow.bind(memory.memory);
    memory.memory.grow = () => {
      throw new RangeError('no more memory');
    };
    const big: FloatArray = new Float32Array(2 ** 20);
    expect(() => kernels.layerNorm(big, big, null, big, big, 1e-5, 1024, 1024)).toThrow(MemoryError);
    expect(memory.mark()).toBe(mark);
    memory.memory.grow = grow;
    kernels.layerNorm(big, big, null, big, big, 1e-5, 1024, 1024);
    expect(memory.mark()).toBe(mark);
  });
});

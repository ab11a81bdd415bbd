import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { calibrationBatches } from '../../src/quantization/calibration.ts';
import { factorize, roundColumns, roundEncoder, type InputFactor } from '../../src/quantization/gptq.ts';
import { BertConfig, BertModel, quantizeRows, quantizeTensors } from '../../src/bert/index.ts';
import { Linear } from '../../src/layers/index.ts';
import { parseSafetensors, toFloat32, toInt8 } from '../../src/safetensors/index.ts';
import { fillNormal, randomStream, type Tensor } from '../../src/tensor/index.ts';
import { run, temporaryFolder, tinyModel } from '../cli/harness.ts';
import { modelFiles, readFixture } from '../support/fixtures.ts';
import { root } from '../support/paths.ts';

/** Inputs whose columns go together, as those of a real layer do: [rows, size], and Σ xᵀ·x. */
function correlatedInputs(rows: number, size: number): { x: Float64Array; sums: Float64Array } {
  const noise = new Float64Array(rows * size);
  fillNormal(noise, 1, randomStream(1, 'noise'));
  const x = noise.map((value, at) => {
    const [row, i] = [Math.floor(at / size), at % size];
    return (1 + (i % 5)) * (value + 2 * noise[row * size]);
  });
  return { x, sums: products(x, size) };
}

function products(x: ArrayLike<number>, size: number): Float64Array {
  const sums = new Float64Array(size * size);
  for (let row = 0; row < x.length; row += size) {
    for (let i = 0; i < size; i++) for (let j = 0; j < size; j++) sums[i * size + j] += x[row + i] * x[row + j];
  }
  return sums;
}

function normal(count: number, name: string): Float32Array {
  const values = new Float32Array(count);
  fillNormal(values, 1, randomStream(2, name));
  return values;
}

/** |X·eᵀ|², the squared error of a layer's outputs, where e is what each weight has lost. */
function outputError(sums: Float64Array, weights: ArrayLike<number>, values: Int8Array, scale: Float32Array): number {
  const size = Math.sqrt(sums.length);
  let error = 0;
  for (let row = 0; row < scale.length; row++) {
    const lost = (i: number) => weights[row * size + i] - values[row * size + i] * scale[row];
    for (let i = 0; i < size; i++) for (let j = 0; j < size; j++) error += lost(i) * sums[i * size + j] * lost(j);
  }
  return error;
}

/**
 * The algorithm as the paper has it (Frantar et al. 2022, algorithm 1, in one block): the upper Cholesky factor of the
 * inverse, and weights that change as columns are rounded.
 */
function paper(weights: Float32Array, scale: Float32Array, sums: Float64Array): Int8Array {
  const size = Math.sqrt(sums.length);
  let trace = 0;
  for (let i = 0; i < size; i++) trace += sums[i * size + i];
  const order = Array.from({ length: size }, (_, i) => i);
  order.sort((a, b) => sums[b * size + b] - sums[a * size + a] || b - a);
  const matrix = order.map((i) => order.map((j) => sums[i * size + j] + (i === j ? (0.01 * trace) / size : 0)));

  // The inverse by Gauss and Jordan, then its factor U, U[i][j] for j ≥ i, with inverse = Uᵀ·U.
  const inverse = matrix.map((row, i) => [...row, ...row.map((_, j) => Number(i === j))]);
  for (let k = 0; k < size; k++) {
    inverse[k] = inverse[k].map((value) => value / inverse[k][k]);
    for (let i = 0; i < size; i++) {
      if (i !== k) inverse[i] = inverse[i].map((value, j) => value - inverse[i][k] * inverse[k][j]);
    }
  }
  const upper = matrix.map((row) => row.map(() => 0));
  for (let i = 0; i < size; i++) {
    for (let j = i; j < size; j++) {
      let sum = inverse[i][size + j];
      for (let k = 0; k < i; k++) sum -= upper[k][i] * upper[k][j];
      upper[i][j] = i === j ? Math.sqrt(sum) : sum / upper[i][i];
    }
  }

  const values = new Int8Array(weights.length);
  for (let row = 0; row < scale.length; row++) {
    const w = order.map((column) => weights[row * size + column]);
    for (let j = 0; j < size; j++) {
      const value = Math.max(-127, Math.min(127, Math.round(w[j] / scale[row])));
      values[row * size + order[j]] = value;
      const error = (w[j] - value * scale[row]) / upper[j][j];
      for (let k = j; k < size; k++) w[k] -= error * upper[j][k];
    }
  }
  return values;
}

describe('GPTQ', () => {
  const [rows, size] = [12, 40];
  const weights = normal(rows * size, 'weights');
  const { values: plain, scale } = quantizeRows(weights, rows);
  const { sums } = correlatedInputs(200, size);
  const inputs = factorize(sums);

  it('gives the numbers of the algorithm in the paper', () => {
    const values = roundColumns(weights, rows, inputs);
    expect(values).toEqual(paper(weights, scale, sums));
    expect(values).not.toEqual(plain);
  });

  it('makes the error of the outputs much smaller than rounding to the nearest does', () => {
    const values = roundColumns(weights, rows, inputs);
    expect(outputError(sums, weights, values, scale)).toBeLessThan(0.5 * outputError(sums, weights, plain, scale));
  });

  it('would not, if what was lost were carried the wrong way', () => {
    const wrong: InputFactor = { ...inputs, factor: inputs.factor.map((x, at) => (at % (size + 1) === 0 ? x : -x)) };
    const values = roundColumns(weights, rows, wrong);
    expect(outputError(sums, weights, values, scale)).toBeGreaterThan(outputError(sums, weights, plain, scale));
  });

  it('is plain rounding where no column can stand in for another', () => {
    const alone = sums.map((x, at) => (at % (size + 1) === 0 ? x : 0));
    expect(roundColumns(weights, rows, factorize(alone))).toEqual(plain);
    expect(roundColumns(weights, rows, factorize(new Float64Array(size * size)))).toEqual(plain); // no input at all
  });

  it('leaves rows of zeros, stays within ±127, and factorizes what it says', () => {
    const odd = Float32Array.from(weights, (x, at) => (at < size ? 0 : x));
    const values = roundColumns(odd, rows, inputs);
    expect(values.subarray(0, size).every((value) => value === 0)).toBe(true);
    expect(values.every((value) => value >= -127)).toBe(true);
    const { order, factor } = inputs;
    const trace = order.reduce((sum, i) => sum + sums[i * size + i], 0);
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) {
        let product = 0;
        for (let k = 0; k < size; k++) product += factor[i * size + k] * factor[j * size + k];
        const damping = i === j ? (0.01 * trace) / size : 0;
        expect(product / trace).toBeCloseTo((sums[order[i] * size + order[j]] + damping) / trace, 12);
      }
    }
  });
});

describe('GPTQ of an encoder', () => {
  let model: BertModel;
  let rounded: Map<string, Int8Array>;
  const batches = (ends: [number, number] | null = [2, 3]) => calibrationBatches(model.config, ends);

  beforeAll(async () => {
    model = await BertModel.fromPretrained(modelFiles('base'));
    rounded = await roundEncoder(model, batches());
  });

  it('rounds the six matrices of each layer', () => {
    const names = [...model.stateDict().keys()].filter((name) =>
      /^encoder.*(query|key|value|dense)\.weight$/.test(name),
    );
    expect([...rounded.keys()].sort()).toEqual(names.sort());
    expect(names).toHaveLength(12);
  });

  it('has smaller errors than plain rounding in the outputs of every linear layer, on what it was calibrated on', () => {
    const sums = new Map<Linear, Float64Array>();
    const stop = model.encoder.observe((module, _, [x]) => {
      if (!(module instanceof Linear)) return;
      const { data, shape } = x as Tensor;
      const before = sums.get(module);
      const now = products(data, shape[1]);
      sums.set(module, before ? before.map((value, i) => value + now[i]) : now);
    });
    for (const batch of batches()) model.forward(batch);
    stop();
    expect(sums.size).toBe(12);
    for (const [{ weight }, sum] of sums) {
      const { data } = weight.toTensor();
      const { values: plain, scale } = quantizeRows(data, weight.shape[0]);
      const values = rounded.get(weight.name)!;
      expect(values).toEqual(roundColumns(data, weight.shape[0], factorize(sum)));
      expect(outputError(sum, data, values, scale)).toBeLessThan(outputError(sum, data, plain, scale));
      // Its twin: the values of another row are not what the layer computes with.
      const shifted = Int8Array.from(values, (_, i) => values[(i + weight.shape[1]) % values.length]);
      expect(outputError(sum, data, shifted, scale)).toBeGreaterThan(outputError(sum, data, plain, scale));
    }
  });

  it('is told of its progress, and waits', async () => {
    const seen: string[] = [];
    await roundEncoder(model, batches().slice(0, 2), async (done, total) => {
      await Promise.resolve();
      seen.push(`${done}/${total}`);
    });
    expect(seen).toEqual(['1/4', '2/4', '3/4', '4/4']);
  });

  it('takes the place of plain values under the names of the file, prefixed or not', () => {
    const stored = parseSafetensors(readFixture('bert/base/model.safetensors')).tensors;
    const name = 'encoder.layer.1.output.dense.weight';
    for (const prefix of ['', 'bert.']) {
      const tensors = new Map([...stored.values()].map((view) => [prefix + view.name, { ...view, name: prefix + view.name }])); // prettier-ignore
      const [plain, gptq] = [quantizeTensors(tensors), quantizeTensors(tensors, rounded)];
      expect(gptq.get(prefix + name)).toEqual({ data: rounded.get(name), shape: [24, 37] });
      expect(plain.get(prefix + name)).not.toEqual(gptq.get(prefix + name));
      for (const key of [`${prefix}${name}_scale`, `${prefix}pooler.dense.weight`]) {
        expect(gptq.get(key)).toEqual(plain.get(key));
      }
    }
  });

  it('needs no position ids, which are no parameters', () => {
    const stored = parseSafetensors(readFixture('bert/oldKeyNames/model.safetensors')).tensors;
    expect(stored.has('bert.embeddings.position_ids')).toBe(true);
    expect(quantizeTensors(stored).has('bert.embeddings.position_ids')).toBe(false);
  });
});

describe('texts to calibrate on', () => {
  const ids = (options = {}, ends: [number, number] | null = [101, 102]) =>
    calibrationBatches(new BertConfig(options), ends);

  it('are 15,840 tokens of words between the ends of a text, in rows of 6 to 120', () => {
    const batches = ids();
    expect(batches.reduce((sum, { totalTokens }) => sum + totalTokens, 0)).toBe(15840);
    for (const { inputIds, offsets, size } of batches) {
      expect([...offsets.slice(1)].map((end, i) => end - offsets[i])).toEqual([6, 10, 14, 20, 30, 50, 80, 120]);
      for (let s = 0; s < size; s++) {
        const row = [...inputIds.subarray(offsets[s], offsets[s + 1])];
        expect([row.shift(), row.pop()]).toEqual([101, 102]);
        expect(row.every((id) => id >= 1996 && id < 30522)).toBe(true);
      }
    }
  });

  it('are half even, half as frequent as words are', () => {
    const words = ids().map(({ inputIds }) => [...inputIds].filter((id) => id > 102));
    const mean = (of: number[][]) => of.flat().reduce((sum, id) => sum + id, 0) / of.flat().length;
    expect(mean(words.slice(0, 24)) / ((1996 + 30522) / 2)).toBeCloseTo(1, 1);
    expect(mean(words.slice(24))).toBeLessThan(8000);
    expect(Math.max(...words.slice(24).flat())).toBeGreaterThan(29000);
  });

  it('are the same each time, and fit small models', () => {
    expect(ids()).toEqual(ids());
    const small = ids({ vocabSize: 5, maxPositionEmbeddings: 4 }, null);
    expect(Math.max(...small.map(({ paddedLength }) => paddedLength))).toBe(4);
    expect(new Set(small.flatMap(({ inputIds }) => [...inputIds]))).toEqual(new Set([0, 1, 2, 3, 4]));
  });
});

describe('bertscript quantize', async () => {
  const folder = await temporaryFolder();
  const world = { folder, shippedModel: await tinyModel(folder) };
  const quantized = async (output: string, ...flags: string[]) => {
    const { code, stderr } = await run(['quantize', '--output', output, ...flags], world);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return readFileSync(join(folder, output, 'model.safetensors'));
  };

  it('has two methods, of which gptq is the default; each gives the same bytes each time', async () => {
    const plain = await quantized('plain', '--method', 'plain');
    const gptq = await quantized('gptq', '--method', 'gptq');
    expect(await quantized('plain2', '--method', 'plain')).toEqual(plain);
    expect(await quantized('gptq2')).toEqual(gptq);
    expect([plain, gptq].map((bytes) => parseSafetensors(bytes).metadata.get('method'))).toEqual([
      'plain: symmetric int8, a scale per row',
      'gptq: symmetric int8, a scale per row',
    ]);
    const [a, b] = [plain, gptq].map((bytes) => parseSafetensors(bytes).tensors);
    const differing = [...a.values()].filter((view) => Buffer.compare(view.bytes, b.get(view.name)!.bytes) !== 0);
    expect([...a.keys()].sort()).toEqual([...b.keys()].sort());
    expect(differing.map(({ name }) => name).every((name) => /^encoder.*\.weight$/.test(name))).toBe(true);
    expect(differing).toHaveLength(12);
  });

  it('says so when there is no tokenizer to tell the ends of a text', async () => {
    const bare = await tinyModel(await temporaryFolder(), { 'vocab.txt': null });
    const { code, stderr } = await run(['quantize', '--model', bare, '--output', 'bare'], world);
    expect([code, stderr]).toEqual([0, expect.stringMatching(/^bertscript: note: no tokenizer here.*\n$/)]);
  });

  it('knows no other method', async () => {
    const { code, stderr } = await run(['quantize', '--output', 'x', '--method', 'awq'], world);
    expect([code, stderr]).toEqual([2, expect.stringContaining('--method: expected one of gptq, plain, got "awq"')]);
  });
});

const shipped = join(root, 'weights/all-MiniLM-L6-v2');

describe.runIf(existsSync(shipped))('the shipped model', () => {
  const read = (path: string) => readFileSync(join(shipped, path));

  it('is the one whose checksums are with it', () => {
    const sums = read('SHA256SUMS').toString().trimEnd().split('\n');
    expect(sums.length).toBeGreaterThanOrEqual(8);
    for (const line of sums) {
      const [sum, path] = line.split('  ');
      expect([path, createHash('sha256').update(read(path)).digest('hex')]).toEqual([path, sum]);
    }
  });

  it('has a scale for each row of each int8 matrix, and names those in its config', () => {
    const { tensors, metadata } = parseSafetensors(read('model.safetensors'));
    const int8 = [...tensors.values()].filter(({ dtype }) => dtype === 'I8');
    expect(int8).toHaveLength(1 + 6 * 6 + 1);
    for (const view of int8) {
      const scale = tensors.get(`${view.name}_scale`)!;
      expect([scale.dtype, scale.shape]).toEqual(['F32', [view.shape[0], 1]]);
      expect(toFloat32(scale).every((value) => value > 0 && value < 1)).toBe(true);
      expect(toInt8(view).every((value) => value >= -127)).toBe(true);
    }
    const others = [...tensors.values()].filter(({ dtype }) => dtype !== 'I8');
    expect(others.every(({ dtype }) => dtype === 'F32')).toBe(true);
    expect(tensors.size).toBe(int8.length + others.length);
    const config = JSON.parse(read('config.json').toString()) as {
      quantization_config: { format: string; config_groups: { group_0: { format: string; targets: string[] } } };
    };
    const { format, config_groups: groups } = config.quantization_config;
    const targets = int8.map(({ name }) => name.replace(/\.weight$/, '')).sort();
    expect(groups.group_0.targets).toEqual(targets);
    expect([format, groups.group_0.format]).toEqual(['int-quantized', 'int-quantized']); // transformers reads the second
    expect(metadata.get('method')).toMatch(/^gptq:/);
    // of the original that tools/fetch-original.mjs fetches
    const original = readFileSync(join(root, 'tools/fetch-original.mjs'), 'utf8');
    expect(original).toContain(metadata.get('source_sha256'));
  });

  it('is a package of its own, without dependencies', () => {
    const manifest = JSON.parse(read('package.json').toString()) as Record<string, unknown>;
    expect(manifest).toMatchObject({ name: 'bertscript-all-minilm-l6-v2', license: 'Apache-2.0' });
    expect(manifest).not.toHaveProperty('dependencies');
    for (const path of manifest.files as string[]) expect(existsSync(join(shipped, path))).toBe(true);
  });
});

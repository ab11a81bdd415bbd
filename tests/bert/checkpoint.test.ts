import { describe, expect, it } from 'vitest';
import {
  AutoModel,
  BertConfig,
  BertForMaskedLM,
  BertForPreTraining,
  BertForSequenceClassification,
  BertModel,
  loadAnyModel,
  quantizationConfig,
  quantizeRows,
  quantizeTensors,
  type LoadOptions,
} from '../../src/bert/index.ts';
import { CheckpointError, ConfigError, FileError } from '../../src/errors.ts';
import { MemoryFiles } from '../../src/hub/index.ts';
import {
  parseSafetensors,
  toFloat32,
  toInt8,
  writeSafetensors,
  type TensorInput,
  type TensorView,
} from '../../src/safetensors/index.ts';
import { Engine } from '../../src/tensor/index.ts';
import { fileContents, modelFiles, readFixture } from '../support/fixtures.ts';
import '../support/matchers.ts';

const storedTensors = (checkpoint: string): ReadonlyMap<string, TensorView> =>
  parseSafetensors(readFixture(`bert/${checkpoint}/model.safetensors`)).tensors;

/** The files of a checkpoint with its tensors changed. */
function withTensors(checkpoint: string, change: (tensors: Map<string, TensorInput>) => void): MemoryFiles {
  const tensors = new Map<string, TensorInput>(storedTensors(checkpoint));
  change(tensors);
  return new MemoryFiles({ ...fileContents(checkpoint), 'model.safetensors': writeSafetensors(tensors) });
}

const load = (files: MemoryFiles, options?: LoadOptions) => BertModel.fromPretrained(files, options);
const ids = { inputIds: [[1, 2, 3, 4, 5]] };
const outputOf = (model: BertModel) => [...model.forward(ids).lastHiddenState.data];

describe('a checkpoint', () => {
  it('gives the keys and the numbers of its file, bit for bit', async () => {
    const model = await load(modelFiles('base'));
    const stored = storedTensors('base');
    expect([...model.stateDict().keys()].sort()).toEqual([...stored.keys()].sort());
    for (const [key, tensor] of model.stateDict()) {
      expect(tensor.shape).toEqual(stored.get(key)!.shape);
      expect(tensor.data).toEqual(toFloat32(stored.get(key)!));
    }
    expect(model.loadReport).toEqual({ dtype: 'f32', unused: [], initialized: [] });
    expect(model.training).toBe(false);
  });

  it.each(['maskedLanguageModel', 'untied', 'sequenceClassification', 'tokenClassification', 'questionAnswering'])(
    'with a head has the keys of its file: %s',
    async (checkpoint) => {
      const model = await loadAnyModel(modelFiles(checkpoint));
      const keys = [...model.stateDict().keys()];
      const alsoStored = ['cls.predictions.bias', 'cls.predictions.decoder.bias']; // the same numbers under two names
      const stored = [...storedTensors(checkpoint).keys()].filter((key) => !alsoStored.includes(key));
      expect(keys.filter((key) => !alsoStored.includes(key)).sort()).toEqual(stored.sort());
    },
  );

  it('is found by a URL, and its class by itself', async () => {
    const url = new URL('../fixtures/bert/sequenceClassification/', import.meta.url);
    expect(await loadAnyModel(url)).toBeInstanceOf(BertForSequenceClassification);
    expect(await AutoModel.fromPretrained(url)).toBeInstanceOf(BertModel);
    expect((await BertModel.fromPretrained(url)).config.hiddenSize).toBe(24);
  });

  it('may be in shards', async () => {
    const model = await load(modelFiles('sharded'));
    expect(model.loadReport).toEqual({ dtype: 'f32', unused: [], initialized: [] });
    expect(model.stateDict().size).toBe(storedTensors('base').size);
  });

  it('may be of half precision, which is widened', async () => {
    for (const checkpoint of ['float16', 'bfloat16']) {
      const model = await load(modelFiles(checkpoint));
      const stored = storedTensors(checkpoint).get('pooler.dense.weight')!;
      expect(model.stateDict().get('pooler.dense.weight')!.data).toEqual(toFloat32(stored));
    }
  });

  it('may have the prefix of a model with a head, or lack it', async () => {
    const expected = outputOf(await load(modelFiles('base')));
    const prefixed = withTensors('base', (tensors) => {
      for (const [key, tensor] of [...tensors]) tensors.set(`bert.${key}`, tensor).delete(key);
    });
    expect(outputOf(await load(prefixed))).toEqual(expected);
    const bare = await BertForSequenceClassification.fromPretrained(modelFiles('base'), { initializeMissing: true });
    expect([...bare.bert.forward(ids).lastHiddenState.data]).toEqual(expected);
  });

  it('may have the oldest names, gamma and beta', async () => {
    const { stateDict, loadReport } = await BertForPreTraining.fromPretrained(modelFiles('oldKeyNames')).then(
      (model) => ({
        stateDict: model.stateDict(),
        loadReport: model.loadReport!,
      }),
    );
    expect(stateDict.has('bert.embeddings.LayerNorm.weight')).toBe(true);
    expect([...stateDict.keys()].some((key) => /gamma|beta/.test(key))).toBe(false);
    expect(loadReport.unused).toEqual(['bert.embeddings.position_ids']);
  });

  it('reports keys that the model has no use for', async () => {
    const model = await load(modelFiles('sequenceClassification'));
    expect(model.loadReport!.unused).toEqual(['classifier.bias', 'classifier.weight']);
  });

  it('without a pooler gives no pooler output', async () => {
    const model = await load(modelFiles('noPooler'));
    expect(model.pooler).toBeNull();
    expect(model.forward(ids).poolerOutput).toBeNull();
  });
});

describe('a checkpoint that does not fit', () => {
  it('names the first missing tensors and how many there are', async () => {
    const one = withTensors('base', (tensors) => tensors.delete('encoder.layer.1.output.dense.bias'));
    await expect(load(one)).rejects.toThrow(CheckpointError);
    await expect(load(one)).rejects.toThrow(
      'memory: 1 missing tensors: expected encoder.layer.1.output.dense.bias, got 38 tensors, such as ',
    );
    const shallow = modelFiles('base', { changes: { num_hidden_layers: 3 } });
    await expect(load(shallow)).rejects.toThrow(
      /^memory: 16 missing tensors: expected encoder\.layer\.2\..* and 11 more, got/,
    );
    await expect(BertForSequenceClassification.fromPretrained(modelFiles('base'))).rejects.toThrow(
      /expected classifier\.weight, classifier\.bias, .*; use the weights that belong to config\.json; in code, load the class/,
    );
  });

  it('takes no memory for tensors that are not there', async () => {
    for (const kernels of ['reference', 'simd'] as const) {
      const engine = new Engine({ kernels });
      const changes = { num_hidden_layers: 1000, hidden_size: 24, intermediate_size: 2 ** 24 };
      const files = withTensors('base', (tensors) => {
        for (const key of [...tensors.keys()]) if (/layer\.|pooler/.test(key)) tensors.delete(key);
      });
      const config = fileContents('base', { changes })['config.json'];
      const huge: MemoryFiles = new MemoryFiles({
        'config.json': config,
        'model.safetensors': (await files.read('model.safetensors'))!,
      });
      await expect(load(huge, { engine })).rejects.toThrow(/^memory: 16000 missing tensors: .* and 15995 more/);
      expect(engine.info().memory).toBeLessThan(2 ** 25);
    }
  });

  it('is not loaded from nowhere, nor with options that there are not', async () => {
    for (const none of [undefined, null, 5] as unknown as string[]) {
      await expect(BertModel.fromPretrained(none)).rejects.toThrow(FileError);
      await expect(loadAnyModel(none)).rejects.toThrow(FileError);
    }
    const options: [options: unknown, message: string][] = [
      [null, 'options of fromPretrained: expected an object of options, got null'],
      [{ dtype: 'q4' }, 'dtype: expected "auto", "f32" or "q8", got "q4"'],
      [{ dType: 'q8' }, 'options of fromPretrained: dType: expected one of dtype, engine, initializeMissing, seed'],
    ];
    for (const [wrong, message] of options) {
      await expect(load(modelFiles('base'), wrong as LoadOptions)).rejects.toThrow(ConfigError);
      await expect(load(modelFiles('base'), wrong as LoadOptions)).rejects.toThrow(message);
    }
  });

  it('starts missing tensors at random when told to, and says which', async () => {
    const start = (seed: number) =>
      BertForSequenceClassification.fromPretrained(modelFiles('base'), { initializeMissing: true, seed });
    const model = await start(1);
    expect(model.loadReport!.initialized).toEqual(['classifier.weight', 'classifier.bias']);
    expect([...model.classifier.bias!.data]).toEqual([0, 0]);
    expect(model.classifier.weight.toTensor().data).toEqual((await start(1)).classifier.weight.toTensor().data);
    expect(model.classifier.weight.toTensor().data).not.toEqual((await start(2)).classifier.weight.toTensor().data);
    expect(model.bert.pooler!.dense.weight.toTensor().data).toEqual(
      (await load(modelFiles('base'))).pooler!.dense.weight.toTensor().data,
    );
  });

  it('names a tensor of another shape, and both shapes', async () => {
    const files = modelFiles('base', { changes: { intermediate_size: 38 } });
    await expect(load(files)).rejects.toThrow(CheckpointError);
    await expect(load(files)).rejects.toThrow(
      'memory: tensor encoder.layer.0.intermediate.dense.weight: expected shape [38, 24] from config.json, ' +
        'got [37, 24]; use the config.json that belongs to these weights',
    );
    const transposed = withTensors('base', (tensors) => {
      const { data, shape } = { data: new Float32Array(37 * 24), shape: [24, 37] };
      tensors.set('encoder.layer.0.intermediate.dense.weight', { data, shape });
    });
    await expect(load(transposed)).rejects.toThrow('expected shape [37, 24] from config.json, got [24, 37]');
  });

  it('names a class that does not exist', async () => {
    const files = modelFiles('base', { changes: { architectures: ['BertLMHeadModel'] } });
    await expect(loadAnyModel(files)).rejects.toThrow(ConfigError);
    await expect(loadAnyModel(files)).rejects.toThrow(
      /^memory\/config\.json: architectures: expected one of BertModel, Bert.*, got BertLMHeadModel$/,
    );
    const other = modelFiles('base', { changes: { architectures: ['RobertaModel'] } });
    await expect(loadAnyModel(other)).rejects.toThrow(
      /^memory\/config\.json: architectures: expected one of BertModel, Bert.*, for model_type is bert, got RobertaModel; correct/,
    );
    const bare = modelFiles('base', { changes: { architectures: null } });
    expect(await loadAnyModel(bare)).toBeInstanceOf(BertModel);
  });

  it('is not there at all', async () => {
    const { 'config.json': config } = fileContents('base');
    await expect(load(new MemoryFiles({ 'config.json': config }))).rejects.toThrow(
      'memory: expected model.safetensors or model.safetensors.index.json, got neither',
    );
  });
});

describe('int8', () => {
  const quantizedFiles = () =>
    withTensors('base', (tensors) => {
      const quantized = quantizeTensors(tensors as Map<string, TensorView>);
      tensors.clear();
      for (const [key, tensor] of quantized) tensors.set(key, tensor);
    });

  it('rounds to the nearest of 255 steps of each row: [-1, 0.5, 0.254] to -127, 64, 32', () => {
    const { values, scale } = quantizeRows(Float32Array.of(-1, 0.5, 0.254, 0, 0, 0, 3, -6, 0), 3);
    expect([...values]).toEqual([-127, 64, 32, 0, 0, 0, 64, -127, 0]);
    expect([...scale]).toEqual([1 / 127, 0, 6 / 127].map(Math.fround));
  });

  it('q8 at loading is within half a step of every weight, and leaves small tables, biases and norms', async () => {
    const [model, exact] = await Promise.all([load(modelFiles('base'), { dtype: 'q8' }), load(modelFiles('base'))]);
    expect(model.loadReport!.dtype).toBe('q8');
    let rounded = 0;
    for (const [key, { data, shape }] of model.stateDict()) {
      const original = exact.stateDict().get(key)!.data;
      if (shape.length === 1 || /(position|token_type)_embeddings/.test(key)) expect(data).toEqual(original);
      else {
        rounded++;
        expect(data).not.toEqual(original);
        for (let row = 0; row < shape[0]; row++) {
          const [begin, end] = [row * shape[1], (row + 1) * shape[1]];
          const half = Math.max(...original.subarray(begin, end).map(Math.abs)) / 127 / 2;
          for (let i = begin; i < end; i++) {
            expect(Math.abs(data[i] - original[i])).toBeLessThanOrEqual(half * (1 + 1e-5)); // the scale is a float32
          }
        }
      }
    }
    expect(rounded).toBe(1 + 2 * 6 + 1); // word embeddings, six matrices a layer, the pooler
  });

  it.each(['reference', 'simd'] as const)(
    'stored gives the numbers that q8 at loading gives, and f32 expands it: %s',
    async (kernels) => {
      const engine = new Engine({ kernels });
      const stored = await load(quantizedFiles(), { engine });
      const atLoading = await load(modelFiles('base'), { engine, dtype: 'q8' });
      const expanded = await load(quantizedFiles(), { engine, dtype: 'f32' });
      expect(outputOf(stored)).toEqual(outputOf(atLoading));
      expect(stored.loadReport).toEqual({ dtype: 'q8', unused: [], initialized: [] });
      expect(expanded.loadReport!.dtype).toBe('f32');
      for (const [key, { data }] of expanded.stateDict()) expect(data).toEqual(stored.stateDict().get(key)!.data);
      // The same weights; q8 rounds activations to 12 bits besides, which must show, and must not show much.
      const [exact, rounded] = [expanded, stored].map((model) => model.forward(ids).lastHiddenState);
      expect(rounded).toMatchTensor(exact, { tolerance: 3e-3 }); // measured: 2.3e-3
      expect(rounded).not.toMatchTensor(exact, { tolerance: 1e-5 });
      const original = (await load(modelFiles('base'), { engine })).forward(ids).lastHiddenState;
      expect(rounded).toMatchTensor(original, { tolerance: 0.02 }); // measured: 0.012
      expect(rounded).not.toMatchTensor(original, { tolerance: 1e-3 });
    },
  );

  it('runs on a float64 engine', async () => {
    const model = await load(quantizedFiles(), { engine: new Engine({ dtype: 'float64' }) });
    const view = storedTensors('base').get('pooler.dense.weight')!;
    const { values, scale } = quantizeRows(toFloat32(view), 24);
    expect([...model.pooler!.dense.weight.toTensor().data]).toEqual(
      [...values].map((v, i) => v * scale[Math.floor(i / 24)]),
    );
  });

  it('stores I8 values and F32 scales [rows, 1], and lists them in the words of compressed-tensors', async () => {
    const tensors = quantizeTensors(storedTensors('base'));
    const written = parseSafetensors(writeSafetensors(tensors)).tensors;
    const [weight, scale] = ['pooler.dense.weight', 'pooler.dense.weight_scale'].map((key) => written.get(key)!);
    expect([weight.dtype, weight.shape, scale.dtype, scale.shape]).toEqual(['I8', [24, 24], 'F32', [24, 1]]);
    expect(toInt8(weight).every((value) => value >= -127)).toBe(true);
    const { config_groups: groups, ...rest } = quantizationConfig(tensors) as {
      config_groups: { group_0: { targets: string[]; weights: unknown } };
    };
    expect(rest).toEqual({
      quant_method: 'compressed-tensors',
      format: 'int-quantized',
      quantization_status: 'compressed',
      ignore: [],
    });
    expect(groups.group_0.targets).toHaveLength(14);
    expect(groups.group_0.targets).toContain('embeddings.word_embeddings');
    expect(groups.group_0.targets).not.toContain('embeddings.position_embeddings');
  });

  it('ties the output matrix to word embeddings of the same numbers, not to those that differ in their scales alone', async () => {
    for (const factor of [1, 2]) {
      const files = withTensors('maskedLanguageModel', (tensors) => {
        const words = tensors.get('bert.embeddings.word_embeddings.weight') as TensorView;
        const data = toFloat32(words).map((x) => factor * x);
        tensors.set('cls.predictions.decoder.weight', { data, shape: words.shape });
      });
      for (const dtype of ['f32', 'q8'] as const) {
        const model = await BertForMaskedLM.fromPretrained(files, { dtype });
        const { decoderWeight } = model.predictions;
        const words = model.bert.embeddings.wordEmbeddings.weight;
        expect(decoderWeight === words).toBe(factor === 1);
        const expected = words.toTensor().data.map((x) => factor * x);
        expect(decoderWeight.toTensor().data).toEqual(expected);
      }
    }
  });

  it('without its scale, or with a scale of another shape, is refused', async () => {
    const key = 'encoder.layer.0.output.dense.weight';
    const values: TensorInput = { data: new Int8Array(24 * 37), shape: [24, 37] };
    const lost = withTensors('base', (tensors) => tensors.set(key, values));
    await expect(load(lost)).rejects.toThrow(CheckpointError);
    await expect(load(lost)).rejects.toThrow(
      `memory: tensor ${key}_scale: expected [24, 1], a scale for each row of the int8 tensor ${key}, got no such tensor`,
    );
    const flat = withTensors('base', (tensors) =>
      tensors.set(key, values).set(`${key}_scale`, { data: new Float32Array(24), shape: [24] }),
    );
    await expect(load(flat)).rejects.toThrow('got [24]');
  });

  const strays: [companion: string, tensor: TensorInput][] = [
    ['_scale', { data: Float32Array.of(2), shape: [1] }],
    ['_scale_inv', { data: Float32Array.of(2), shape: [1, 1] }],
    ['_zero_point', { data: new Int8Array(24), shape: [24, 1] }],
    ['_shape', { data: BigInt64Array.of(24n, 37n), shape: [2] }],
    ['.absmax', { data: new Float32Array(1), shape: [1] }],
  ];
  it.each(strays)('beside a weight that is read, a %s that is not is refused', async (companion, tensor) => {
    const name = `encoder.layer.0.output.dense.weight${companion}`;
    const files = withTensors('base', (tensors) => tensors.set(name, tensor));
    await expect(load(files)).rejects.toThrow(CheckpointError);
    await expect(load(files)).rejects.toThrow(`memory: tensor ${name}: expected float weights, or symmetric int8 ones`);
    const elsewhere = withTensors('base', (tensors) => tensors.set(`lm_head.weight${companion}`, tensor));
    expect((await load(elsewhere)).loadReport!.unused).toEqual([`lm_head.weight${companion}`]);
    const views = parseSafetensors((await files.read('model.safetensors'))!).tensors;
    expect(() => quantizeTensors(views)).toThrow(`tensor ${name}: expected float weights, got quantized ones`);
  });

  it('with a zero point beside its scale is refused', async () => {
    const key = 'encoder.layer.0.output.dense.weight';
    const files = withTensors('base', (tensors) => {
      tensors.set(key, { data: new Int8Array(24 * 37), shape: [24, 37] });
      tensors.set(`${key}_scale`, { data: new Float32Array(24), shape: [24, 1] });
      tensors.set(`${key}_zero_point`, { data: new Int8Array(24), shape: [24, 1] });
    });
    await expect(load(files)).rejects.toThrow(`memory: tensor ${key}_zero_point: expected float weights`);
  });

  it.each([NaN, Infinity, -Infinity])('is not made of %d, whose tensor is named', async (number) => {
    const key = 'encoder.layer.0.output.dense.weight';
    const files = withTensors('base', (tensors) =>
      tensors.set(key, { data: new Float32Array(24 * 37).fill(number, 100, 101), shape: [24, 37] }),
    );
    const message = `tensor ${key}: expected finite numbers, got ${Math.abs(number)}`;
    await expect(load(files, { dtype: 'q8' })).rejects.toThrow(CheckpointError);
    await expect(load(files, { dtype: 'q8' })).rejects.toThrow(message);
    const views = parseSafetensors((await files.read('model.safetensors'))!).tensors;
    expect(() => quantizeTensors(views)).toThrow(message);
  });

  it('is not quantized again', () => {
    const tensors = parseSafetensors(writeSafetensors(quantizeTensors(storedTensors('base')))).tensors;
    expect(() => quantizeTensors(tensors)).toThrow(/: expected float weights, got quantized ones$/);
  });
});

describe('an untrained model', () => {
  const small = { vocabSize: 60, hiddenSize: 24, numHiddenLayers: 2, numAttentionHeads: 3, intermediateSize: 48 };

  it('needs a config', () => {
    for (const config of [undefined, {}, { hidden_size: 24 }] as unknown as BertConfig[]) {
      expect(() => new BertModel(config)).toThrow(ConfigError);
      expect(() => new BertForSequenceClassification(config)).toThrow('config of a model: expected a BertConfig, got ');
    }
  });

  it('runs', () => {
    const model = new BertModel(new BertConfig(small));
    const { lastHiddenState, poolerOutput } = model.forward({ inputIds: [[1, 2, 3], [4]] });
    expect([lastHiddenState.shape, poolerOutput!.shape]).toEqual([
      [4, 24],
      [2, 24],
    ]);
    expect(lastHiddenState.data.every(Number.isFinite)).toBe(true);
    expect([model.loadReport, model.training]).toEqual([null, false]);
  });

  it('has the keys of a trained one', async () => {
    const model = new BertModel(BertConfig.fromJSON(JSON.parse(fileContents('base')['config.json'] as string)));
    expect([...model.stateDict().keys()].sort()).toEqual([...storedTensors('base').keys()].sort());
  });

  it('is the same for the same seed', () => {
    const [a, b] = [1, 2].map(() => new BertModel(new BertConfig(small)).stateDict());
    for (const [key, tensor] of a) expect(tensor.data).toEqual(b.get(key)!.data);
  });

  it('starts as transformers starts it: normal(0, 0.02), biases 0, norms 1, the padding row 0', () => {
    const model = new BertModel(new BertConfig({ ...small, vocabSize: 3000, padTokenId: 5 }));
    for (const [key, { data, shape }] of model.stateDict()) {
      if (shape.length === 1) {
        expect(new Set(data)).toEqual(new Set([/LayerNorm\.weight$/.test(key) ? 1 : 0]));
        continue;
      }
      const deviation = Math.sqrt([...data].reduce((sum, x) => sum + x * x, 0) / data.length);
      expect(Math.abs(deviation / 0.02 - 1)).toBeLessThan(6 / Math.sqrt(2 * data.length)); // the padding row is 1 in 3000
    }
    const words = model.embeddings.wordEmbeddings.weight.toTensor().data;
    const zeroRows = Array.from({ length: 3000 }, (_, r) => r).filter(
      (r) => !words.subarray(24 * r, 24 * r + 24).some(Boolean),
    );
    expect(zeroRows).toEqual([5]);
    const none = new BertModel(new BertConfig({ ...small, padTokenId: null }));
    expect(
      none.embeddings.wordEmbeddings.weight
        .toTensor()
        .data.subarray(0, 24)
        .every((x) => x !== 0),
    ).toBe(true);
  });

  it('ties the output matrix to the word embeddings, or does not', () => {
    const tied = new BertForPreTraining(new BertConfig(small));
    expect(tied.predictions.decoderWeight).toBe(tied.bert.embeddings.wordEmbeddings.weight);
    expect(tied.stateDict().has('cls.predictions.decoder.weight')).toBe(false);
    const untied = new BertForPreTraining(new BertConfig({ ...small, tieWordEmbeddings: false }));
    expect(untied.predictions.decoderWeight).not.toBe(untied.bert.embeddings.wordEmbeddings.weight);
    expect(untied.parameters()).toContain(untied.predictions.decoderWeight);
    expect(untied.stateDict().get('cls.predictions.decoder.weight')!.data).toEqual(
      untied.predictions.decoderWeight.toTensor().data,
    );
  });
});

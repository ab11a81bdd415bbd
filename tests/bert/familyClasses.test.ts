import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';
import * as library from '../../src/bert/index.ts';
import {
  AlbertConfig,
  AutoModel,
  AutoModelForMaskedLM,
  AutoModelForNextSentencePrediction,
  AutoModelForPreTraining,
  AutoModelForSequenceClassification,
  BertConfig,
  BertModel,
  BertPreTrainedModel,
  DistilBertConfig,
  DistilBertForSequenceClassification,
  DistilBertModel,
  ElectraForPreTraining,
  loadAnyModel,
  RobertaConfig,
  RobertaForMaskedLM,
  RobertaForSequenceClassification,
  RobertaModel,
  XLMRobertaModel,
  type ConfigClass,
  type ModelClass,
} from '../../src/bert/index.ts';
import { CheckpointError, ConfigError, InputError } from '../../src/errors.ts';
import { classFiles, families, readFixture, referenceLabels } from '../support/fixtures.ts';
import { root } from '../support/paths.ts';

type AnyClass = ModelClass<BertPreTrainedModel>;
const isModel = (value: unknown): value is AnyClass =>
  typeof value === 'function' && value.prototype instanceof BertPreTrainedModel;
const isConfig = (value: unknown): value is ConfigClass =>
  value === BertConfig || (typeof value === 'function' && value.prototype instanceof BertConfig);
const exported: [string, unknown][] = Object.entries(library);
const models = exported.filter((entry): entry is [string, AnyClass] => isModel(entry[1]));
const configs = exported.filter((entry): entry is [string, ConfigClass] => isConfig(entry[1]));

const small = {
  vocabSize: 60,
  hiddenSize: 24,
  numHiddenLayers: 2,
  numAttentionHeads: 3,
  intermediateSize: 37,
  padTokenId: 0,
};
const inputs = { inputIds: [[5, 6, 7], [8]] };

describe('bundles', () => {
  const bundle = async (code: string) => {
    const stdin = { contents: code, resolveDir: root, loader: 'ts' as const };
    const { outputFiles } = await build({ stdin, bundle: true, format: 'esm', write: false, absWorkingDir: root });
    return outputFiles[0].text;
  };

  it('hold the families that are asked for, and no other', async () => {
    const traces = {
      albert: 'albert_layer_groups',
      distilbert: 'sa_layer_norm',
      roberta: 'lm_head',
      electra: 'generator',
    };
    const found = (text: string) =>
      Object.entries(traces)
        .filter(([, trace]) => text.includes(trace))
        .map(([name]) => name);
    const imported = async (name: string) =>
      found(await bundle(`import { ${name} } from './src/index.ts'; console.log(${name});`));
    expect(await imported('BertModel')).toEqual([]);
    expect(await imported('BertForSequenceClassification')).toEqual([]);
    expect(await imported('BertSentenceEncoder')).toEqual([]);
    expect(await imported('RobertaModel')).toEqual(['roberta']);
    expect(await imported('AutoModel')).toEqual(Object.keys(traces));
  });
});

describe('PARITY.md', () => {
  it('lists every model class', () => {
    const table = readFileSync(join(root, 'PARITY.md'), 'utf8');
    for (const [name] of models) expect(table).toContain(`| ${name} |`);
  });
});

describe('config classes', () => {
  const defaults = JSON.parse(new TextDecoder().decode(readFixture('familyDefaults.json'))) as Record<
    string,
    Record<string, unknown>
  >;

  /** What transformers reads from a config.json, but only when it is there, or writes in another form. */
  const unlisted = [
    ...['id2label', 'label2id', 'problem_type', 'architectures', 'tie_word_embeddings', 'classifier_dropout'],
    ...[
      'cls_dropout',
      'share_att_key',
      'position_buckets',
      'norm_rel_ebd',
      'conv_kernel_size',
      'conv_groups',
      'conv_act',
    ],
    ...[
      'layer_types',
      'rope_parameters',
      'global_attn_every_n_layers',
      'global_rope_theta',
      'local_rope_theta',
      'rope_theta',
    ],
    ...['embedding_size', 'talking_head'],
  ];

  it.each(configs)('%s defaults to what transformers defaults to, and reads what it writes', (name, configClass) => {
    const config = new configClass();
    const json = config.toJSON();
    const theirs = { ...defaults[name] };
    // Worked out from other options: null here stands for that.
    for (const key of ['layer_types', 'rope_parameters']) if (json[key] === null) delete theirs[key];
    const absent = Object.keys(json).filter((key) => !(key in theirs) && !unlisted.includes(key));
    expect(absent).toEqual([]);
    for (const [key, value] of Object.entries(json)) {
      if (key in theirs && key !== 'architectures') expect([key, value]).toEqual([key, theirs[key]]);
    }
    expect(configClass.fromJSON(JSON.parse(JSON.stringify(config)))).toEqual(config);
    expect(configClass.fromJSON(theirs)).toEqual(config);
  });

  it("name a family's own keys when they are wrong", () => {
    expect(() => DistilBertConfig.fromJSON({ n_heads: 0 })).toThrow('config.json: n_heads: expected a whole number');
    expect(() => DistilBertConfig.fromJSON({ dim: 770 })).toThrow('dim: expected a multiple of n_heads, 12, got 770');
    expect(() => new DistilBertConfig({ typeVocabSize: 2 } as object)).toThrow(
      /^DistilBertConfig: typeVocabSize: expected one of vocabSize, .*; give the content of a config\.json to DistilB/,
    );
    expect(() => AlbertConfig.fromJSON({ embedding_size: '128' })).toThrow('embedding_size: expected a whole number');
    expect(() => RobertaConfig.fromJSON({ model_type: 'bert' })).toThrow('expected "roberta", got "bert"');
    expect(() => library.ElectraConfig.fromJSON({ summary_type: 'attn' })).toThrow(
      'summary_type: expected "first", "last", "mean", "cls_index", got "attn"',
    );
  });

  it('of RoBERTa know that positions start behind the padding', () => {
    expect(new RobertaConfig({ maxPositionEmbeddings: 514 }).maxSequenceLength).toBe(512);
    expect(new BertConfig().maxSequenceLength).toBe(512);
  });
});

describe.each(models)('%s', (name, modelClass) => {
  it('starts untrained from its config, and refuses that of another family', () => {
    const config = new modelClass.configClass({ ...small });
    const model = new modelClass(config, library.randomWeights(config));
    expect(model.forward(inputs).batch.totalTokens).toBe(4);
    if (modelClass.configClass === BertConfig) return; // every config is one
    expect(() => new modelClass(new BertConfig(small), library.randomWeights(config))).toThrow(
      `config of ${name}: expected a ${modelClass.configClass.name}, got a BertConfig`,
    );
  });
});

describe('a checkpoint of a family', () => {
  const every = families.flatMap((family) =>
    referenceLabels(`families/${family}`)
      .filter((label) => !label.includes('.'))
      .map((label) => ({ family, label })),
  );

  it.each(every)('$label is loaded as the class that it names, with its keys verbatim', async ({ family, label }) => {
    let stored: string[] = [];
    const model = await loadAnyModel(classFiles(family, label, {}, (tensors) => (stored = [...tensors.keys()])));
    expect(model).toBeInstanceOf((library as unknown as Record<string, AnyClass>)[label]);
    const { prefix } = model.config.family;
    const bare = label.endsWith('Model');
    for (const key of model.stateDict().keys()) expect(stored).toContain(bare ? `${prefix}.${key}` : key);
  });

  /** Others have one class alone. */
  const withEncoder = families.filter((family) =>
    referenceLabels(`families/${family}`).some((name) => name.endsWith('Model')),
  );

  it.each(withEncoder)('%s may lack the prefix of its encoder', async (family) => {
    const label = referenceLabels(`families/${family}`).find((name) => name.endsWith('Model'))!;
    const run = (model: BertPreTrainedModel) => [...(model as BertModel).forward(inputs).lastHiddenState.data];
    const bare = classFiles(family, label, {}, (tensors) => {
      for (const [key, tensor] of [...tensors]) tensors.set(key.replace(/^[a-z]+\.(?=e|t|p)/, ''), tensor);
    });
    expect(run(await loadAnyModel(bare))).toEqual(run(await loadAnyModel(classFiles(family, label))));
  });

  it.each(withEncoder)('%s in int8 stays near: cosine of hidden states above 0.999', async (family) => {
    const label = referenceLabels(`families/${family}`).find((name) => name.endsWith('Model'))!;
    const run = async (dtype: 'f32' | 'q8') => {
      const model = (await loadAnyModel(classFiles(family, label), { dtype })) as BertModel;
      expect(model.loadReport!.dtype).toBe(dtype);
      return model.forward(inputs).lastHiddenState.data;
    };
    const [exact, rounded] = [await run('f32'), await run('q8')];
    const dot = (a: ArrayLike<number>, b: ArrayLike<number>) => Array.from(a).reduce((sum, x, i) => sum + x * b[i], 0);
    const cosine = dot(exact, rounded) / Math.sqrt(dot(exact, exact) * dot(rounded, rounded));
    expect(cosine).toBeGreaterThan(0.999);
    expect(cosine).toBeLessThan(1);
  });

  it('gives the class of a task by its model_type, and a new head only when asked', async () => {
    const files = classFiles('roberta', 'RobertaForMaskedLM');
    expect(await AutoModel.fromPretrained(files)).toBeInstanceOf(RobertaModel);
    expect(await AutoModelForMaskedLM.fromPretrained(files)).toBeInstanceOf(RobertaForMaskedLM);
    const headless = classFiles('roberta', 'RobertaModel', {}, (tensors) => {
      for (const key of [...tensors.keys()]) if (!key.startsWith('roberta.')) tensors.delete(key);
    });
    const load = AutoModelForSequenceClassification;
    await expect(load.fromPretrained(headless)).rejects.toThrow(CheckpointError);
    await expect(load.fromPretrained(headless)).rejects.toThrow(
      '4 missing tensors: expected classifier.dense.weight, ',
    );
    const model = await load.fromPretrained(headless, { initializeMissing: true });
    expect(model).toBeInstanceOf(RobertaForSequenceClassification);
    expect(model.loadReport!.initialized).toHaveLength(4);
    expect(await AutoModelForPreTraining.fromPretrained(classFiles('electra', 'ElectraModel'))).toBeInstanceOf(
      ElectraForPreTraining,
    );
  });

  it('that has no such class, or is of a family or class unknown here, is refused', async () => {
    const files = classFiles('roberta', 'RobertaModel');
    const next = AutoModelForNextSentencePrediction.fromPretrained(files);
    await expect(next).rejects.toThrow(ConfigError);
    await expect(next).rejects.toThrow(
      /a family that has a class …ForNextSentencePrediction, got roberta; load one of R/,
    );
    await expect(loadAnyModel(classFiles('roberta', 'RobertaModel', { model_type: 't5' }))).rejects.toThrow(
      /config\.json: model_type: expected one of bert, .*roberta.*, got "t5"/,
    );
    const other = classFiles('roberta', 'RobertaModel', { architectures: ['RobertaForCausalLM'] });
    await expect(loadAnyModel(other)).rejects.toThrow(/expected one of RobertaModel, .*, got RobertaForCausalLM/);
    await expect(BertModel.fromPretrained(files)).rejects.toThrow('model_type: expected "bert", got "roberta"');
    await expect(RobertaModel.fromPretrained(classFiles('distilbert', 'DistilBertModel'))).rejects.toThrow(
      'model_type: expected "roberta", got "distilbert"',
    );
  });

  it('is found by its architectures when config.json has no model_type', async () => {
    const files = classFiles('xlmRoberta', 'XLMRobertaModel', { model_type: null });
    expect(await loadAnyModel(files)).toBeInstanceOf(XLMRobertaModel);
    const model = await AutoModel.fromPretrained(classFiles('distilbert', 'DistilBertForSequenceClassification'));
    expect(model).toBeInstanceOf(DistilBertModel);
  });

  it('of DistilBERT with sinusoidal_pos_embds starts untrained with sines and cosines', () => {
    const table = JSON.parse(new TextDecoder().decode(readFixture('sinusoids.json'))) as number[][];
    const positions = (sinusoidalPosEmbds: boolean) => {
      const config = new DistilBertConfig({ ...small, maxPositionEmbeddings: 9, sinusoidalPosEmbds });
      return [...new DistilBertModel(config).embeddings.positionEmbeddings!.weight.toTensor().data];
    };
    const error = (ours: number[]) => Math.max(...ours.map((x, i) => Math.abs(x - table.flat()[i])));
    expect(error(positions(true))).toBeLessThan(1e-6);
    expect(error(positions(false))).toBeGreaterThan(0.5);
  });

  it('of RoBERTa refuses a text that is too long for its positions', async () => {
    const model = await RobertaModel.fromPretrained(classFiles('roberta', 'RobertaModel'));
    const long = { inputIds: [Array.from({ length: 39 }, () => 5)] };
    expect(() => model.forward(long)).toThrow(InputError);
    expect(() => model.forward(long)).toThrow('longest sequence of the batch: expected at most 38 tokens');
    expect(model.forward({ inputIds: [Array.from({ length: 38 }, () => 5)] }).batch.totalTokens).toBe(38);
  });

  it('drops out where transformers does', () => {
    const config = new DistilBertConfig({ ...small, classifierDropout: 0.3, hiddenDropoutProb: 0.15, qaDropout: 0.25 });
    expect(new DistilBertForSequenceClassification(config).dropout.probability).toBe(0.3);
    expect(new library.DistilBertForTokenClassification(config).dropout.probability).toBe(0.15);
    expect(new library.DistilBertForQuestionAnswering(config).dropout.probability).toBe(0.25);
    const roberta = new RobertaForSequenceClassification(new RobertaConfig({ ...small, classifierDropout: 0.3 }));
    expect([roberta.dropout.probability, roberta.firstToken!.dropout.probability]).toEqual([0.3, 0.3]);
  });
});

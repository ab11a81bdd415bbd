import { describe, expect, it } from 'vitest';
import { BertConfig, BertModel } from '../../src/bert/index.ts';
import { ConfigError, FileError } from '../../src/errors.ts';
import { MemoryFiles } from '../../src/hub/index.ts';
import { fileContents, modelFiles } from '../support/fixtures.ts';

const fixtureJson = JSON.parse(fileContents('base')['config.json'] as string) as Record<string, unknown>;

describe('BertConfig', () => {
  it('defaults to what transformers defaults to', () => {
    expect(new BertConfig().toJSON()).toEqual({
      model_type: 'bert',
      vocab_size: 30522,
      hidden_size: 768,
      num_hidden_layers: 12,
      num_attention_heads: 12,
      intermediate_size: 3072,
      hidden_act: 'gelu',
      hidden_dropout_prob: 0.1,
      attention_probs_dropout_prob: 0.1,
      max_position_embeddings: 512,
      type_vocab_size: 2,
      initializer_range: 0.02,
      layer_norm_eps: 1e-12,
      pad_token_id: 0,
      classifier_dropout: null,
      tie_word_embeddings: true,
      id2label: { 0: 'LABEL_0', 1: 'LABEL_1' },
      label2id: { LABEL_0: 0, LABEL_1: 1 },
      problem_type: null,
      architectures: [],
    });
    expect(BertConfig.fromJSON({})).toEqual(new BertConfig());
  });

  it('reads what transformers wrote', () => {
    expect(BertConfig.fromJSON(fixtureJson)).toEqual(
      new BertConfig({
        vocabSize: 61,
        hiddenSize: 24,
        numHiddenLayers: 2,
        numAttentionHeads: 3,
        intermediateSize: 37,
        maxPositionEmbeddings: 40,
        architectures: ['BertModel'],
      }),
    );
  });

  it('writes what it reads back, nulls included', () => {
    const configs = [
      new BertConfig(),
      new BertConfig({ padTokenId: null, classifierDropout: 0.3, problemType: 'regression', id2label: ['only'] }),
      new BertConfig({
        padTokenId: 7,
        hiddenAct: 'relu',
        tieWordEmbeddings: false,
        architectures: ['BertForMaskedLM'],
      }),
    ];
    for (const config of configs) {
      expect(BertConfig.fromJSON(JSON.parse(JSON.stringify(config)))).toEqual(config);
    }
    expect(configs[1].padTokenId).toBeNull();
  });

  it('takes a null for a number as absent, and of pad_token_id as none', () => {
    const config = BertConfig.fromJSON({ hidden_size: null, architectures: null, id2label: null, pad_token_id: null });
    expect(config).toEqual(new BertConfig({ padTokenId: null }));
  });

  it('has labels from id2label, or as many as num_labels says', () => {
    expect(BertConfig.fromJSON({ id2label: { 1: 'yes', 0: 'no' } }).id2label).toEqual(['no', 'yes']);
    expect(BertConfig.fromJSON({ num_labels: 3 }).id2label).toEqual(['LABEL_0', 'LABEL_1', 'LABEL_2']);
    expect(new BertConfig({ id2label: ['a', 'b', 'c'] }).numLabels).toBe(3);
  });

  const bad: [key: string, value: unknown, message: string][] = [
    ...['vocab_size', 'hidden_size', 'num_hidden_layers', 'num_attention_heads', 'intermediate_size'].flatMap((key) =>
      [0, -1, 1.5, '12', 2 ** 60, [], true].map(
        (value) => [key, value, `${key}: expected a whole number from 1 to `] as [string, unknown, string],
      ),
    ),
    ['max_position_embeddings', 0, 'max_position_embeddings: expected a whole number from 1 to 16777216, got 0'],
    ['type_vocab_size', 0, 'type_vocab_size: expected a whole number from 1 to 16777216, got 0'],
    ['num_hidden_layers', 1e9, 'num_hidden_layers: expected a whole number from 1 to 1000, got 1000000000'],
    [
      'vocab_size',
      2e6,
      'vocab_size: expected at most 1398101, for matrices of hidden_size 768 that fit into memory, got',
    ],
    ['hidden_size', 12 * 2 ** 13, 'hidden_size: expected at most 10922, for matrices of hidden_size 98304 that fit'],
    ['intermediate_size', 2 ** 24, 'intermediate_size: expected at most 1398101, for matrices'],
    ['max_position_embeddings', 2 ** 24, 'max_position_embeddings: expected at most 1398101, for matrices'],
    ['num_labels', 1e7, 'num_labels: expected a whole number from 1 to 1000000, got 10000000'],
    ['hidden_act', 'gelu2', 'hidden_act: expected the name of an activation, such as "gelu", got "gelu2"'],
    ['hidden_act', 'constructor', 'hidden_act: expected the name of an activation'],
    [
      'hidden_act',
      { name: 'gelu' },
      'hidden_act: expected the name of an activation, such as "gelu", got {"name":"gelu"}',
    ],
    ['hidden_dropout_prob', 1.1, 'hidden_dropout_prob: expected a probability from 0 to 1, got 1.1'],
    ['attention_probs_dropout_prob', -0.1, 'attention_probs_dropout_prob: expected a probability from 0 to 1'],
    ['classifier_dropout', 'none', 'classifier_dropout: expected a probability from 0 to 1, or null, got "none"'],
    ['initializer_range', 0, 'initializer_range: expected a number above 0, got 0'],
    ['layer_norm_eps', '1e-12', 'layer_norm_eps: expected a number of at least 0, got "1e-12"'],
    ['layer_norm_eps', -1e-12, 'layer_norm_eps: expected a number of at least 0, got -1e-12'],
    ['pad_token_id', -1, 'pad_token_id: expected a token id, or null, got -1'],
    ['pad_token_id', 30522, 'pad_token_id: expected less than vocab_size, 30522, got 30522'],
    ['hidden_size', 770, 'hidden_size: expected a multiple of num_attention_heads, 12, got 770'],
    ['tie_word_embeddings', 1, 'tie_word_embeddings: expected true or false, got 1'],
    ['id2label', { 0: 'a', 2: 'c' }, 'id2label: expected a label for each class from 0 to 1, got none for 1'],
    ['id2label', { 0: 1 }, 'id2label: expected label names by class number, got [1]'],
    ['id2label', 'two', 'id2label: expected label names by class number, got "two"'],
    ['num_labels', -1, 'num_labels: expected a whole number from 1 to 1000000, got -1'],
    [
      'problem_type',
      3,
      'problem_type: expected regression, single_label_classification, multi_label_classification, or null, got 3',
    ],
    [
      'problem_type',
      'foo',
      'problem_type: expected regression, single_label_classification, multi_label_classification, or null, got "foo"',
    ],
    ['architectures', 'BertModel', 'architectures: expected a list of names, got "BertModel"'],
  ];

  it.each(bad)('refuses %s %j', (key, value, message) => {
    const read = () => BertConfig.fromJSON({ [key]: value }, 'folder/config.json');
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(`folder/config.json: ${message}`);
  });

  const unsupported: [key: string, value: unknown, message: string][] = [
    ['model_type', 'roberta', 'model_type: expected "bert", got "roberta"'],
    ['position_embedding_type', 'relative_key', 'position_embedding_type: expected "absolute", got "relative_key"'],
    ['is_decoder', true, 'is_decoder: expected false, got true'],
    ['add_cross_attention', true, 'add_cross_attention: expected false, got true'],
  ];

  it.each(unsupported)('says that it does not do %s %j', (key, value, message) => {
    expect(() => BertConfig.fromJSON({ [key]: value })).toThrow(ConfigError);
    expect(() => BertConfig.fromJSON({ [key]: value })).toThrow(`config.json: ${message}`);
  });

  it('refuses what is no object', () => {
    for (const json of [[], 'bert', null, 3]) {
      expect(() => BertConfig.fromJSON(json)).toThrow('config.json: expected a JSON object, got ');
    }
  });

  it('refuses options that it does not know, such as those of config.json', () => {
    const options = { hidden_size: 384 } as object;
    expect(() => new BertConfig(options)).toThrow(/^BertConfig: hidden_size: expected one of vocabSize, .*fromJSON/);
  });

  it('checks options given in code too, under their names there', () => {
    const refusal = (options: unknown) => () => new BertConfig(options as object);
    expect(refusal({ hiddenSize: 10 })).toThrow('BertConfig: hiddenSize: expected a multiple of numAttentionHeads, 12');
    expect(refusal({ numHiddenLayers: NaN })).toThrow('BertConfig: numHiddenLayers: expected a whole number');
    expect(refusal({ padTokenId: 9, vocabSize: 9 })).toThrow('BertConfig: padTokenId: expected less than vocabSize, 9');
    expect(refusal(null)).toThrow('BertConfig: expected an object of options, got null');
  });

  it('takes a layer_norm_eps of 0, as PyTorch does', () => {
    expect(BertConfig.fromJSON({ layer_norm_eps: 0 }).layerNormEps).toBe(0);
  });
});

describe('config.json in a model folder', () => {
  const load = (files: Record<string, string | Uint8Array>) => BertModel.fromPretrained(new MemoryFiles(files));

  it('must be there, and be JSON of BERT', async () => {
    await expect(load({})).rejects.toThrow(FileError);
    await expect(load({})).rejects.toThrow(
      'memory/config.json: expected the config of a model, got no such file; ' +
        'pass a folder or an address that holds it',
    );
    await expect(load({ 'config.json': '{"vocab_size": 3' })).rejects.toThrow(/^memory\/config\.json: .*broken JSON/);
    await expect(load({ 'config.json': '[]' })).rejects.toThrow('memory/config.json: expected a JSON object, got []');
    await expect(load({ 'config.json': '{"model_type": "t5"}' })).rejects.toThrow(
      'memory/config.json: model_type: expected "bert", got "t5"',
    );
  });

  const int8 = { num_bits: 8, type: 'int', symmetric: true, strategy: 'channel', dynamic: false };
  const compressed = (group: object, rest: object = {}) => ({
    quant_method: 'compressed-tensors',
    format: 'int-quantized',
    config_groups: { group_0: { targets: ['Linear'], weights: int8, input_activations: null, ...group } },
    ...rest,
  });
  const foreign: [config: unknown, message: string][] = [
    [
      { quant_method: 'bitsandbytes', load_in_4bit: true },
      '.quant_method: expected "compressed-tensors", got "bitsandbytes"',
    ],
    [{ quant_method: 'gptq', bits: 4 }, '.quant_method: expected "compressed-tensors", got "gptq"'],
    [{ load_in_8bit: true }, '.quant_method: expected "compressed-tensors", got null'],
    ['awq', '.quant_method: expected "compressed-tensors", got null'],
    [compressed({}, { format: 'pack-quantized' }), '.format: expected "int-quantized", got "pack-quantized"'],
    [
      compressed({ weights: { ...int8, symmetric: false } }),
      '.config_groups.group_0.weights.symmetric: expected true, got false',
    ],
    [compressed({ weights: { ...int8, num_bits: 4 } }), '.config_groups.group_0.weights.num_bits: expected 8, got 4'],
    [
      compressed({ weights: { ...int8, type: 'float' } }),
      '.config_groups.group_0.weights.type: expected "int", got "float"',
    ],
    [
      compressed({ weights: { ...int8, strategy: 'group' } }),
      '.config_groups.group_0.weights.strategy: expected "channel", got "group"',
    ],
    [compressed({ weights: null }), '.config_groups.group_0.weights.num_bits: expected 8, got null'],
    [
      compressed({ input_activations: int8 }),
      '.config_groups.group_0.input_activations: expected null, got {"num_bits":8',
    ],
  ];

  it.each(foreign)(
    'may not tell of weights stored in another way than ours: %j',
    async (quantization_config, message) => {
      const load = BertModel.fromPretrained(modelFiles('base', { changes: { quantization_config } }));
      await expect(load).rejects.toThrow(ConfigError);
      await expect(load).rejects.toThrow(`memory/config.json: quantization_config${message}`);
    },
  );

  it('may tell of weights stored as ours are', async () => {
    for (const quantization_config of [null, compressed({})]) {
      await BertModel.fromPretrained(modelFiles('base', { changes: { quantization_config } }));
    }
  });
});

import { beforeAll, describe, expect, it } from 'vitest';
import { BertModel } from '../../src/bert/index.ts';
import { CheckpointError, ConfigError, FileError, InputError } from '../../src/errors.ts';
import { MemoryFiles } from '../../src/hub/index.ts';
import { parseSafetensors, writeSafetensors, type TensorInput } from '../../src/safetensors/index.ts';
import { SentenceEncoder, type PoolingMode } from '../../src/tasks/index.ts';
import type { Tensor } from '../../src/tensor/index.ts';
import { BertTokenizer, type TextInput } from '../../src/tokenizer/index.ts';
import { fileContents } from '../support/fixtures.ts';

// What comes after the encoder, against the formulas of sentence-transformers written out here. The whole way, from text
// to vector, is compared with sentence-transformers itself in tests/parity/full.

const vocab = '[PAD] [UNK] [CLS] [SEP] [MASK] a b c A B : q'.split(' ').join('\n');
const SIZE = 24;

type Files = Record<string, Uint8Array | string>;
const json = (value: unknown) => JSON.stringify(value);
const base: Files = { ...fileContents('base'), 'vocab.txt': vocab };
const load = (files: Files = {}) => SentenceEncoder.fromPretrained(new MemoryFiles({ ...base, ...files }));

const module = (name: string, path: string) => ({ path, type: `sentence_transformers.models.${name}` });
/** The files of a model with a pooling, by its old flag, and what comes after it. */
function modules(flag: string, ...after: { path: string; type: string }[]): Files {
  return {
    'modules.json': json([module('Transformer', ''), module('Pooling', '1_Pooling'), ...after]),
    '1_Pooling/config.json': json({ word_embedding_dimension: SIZE, [flag]: true }),
  };
}

let model: BertModel;
let tokenizer: BertTokenizer;
beforeAll(async () => {
  model = await BertModel.fromPretrained(new MemoryFiles(base));
  tokenizer = BertTokenizer.fromVocab(vocab);
});

/** The encoder's vector of each token of a text. */
function tokenVectors(text: TextInput): number[][] {
  const { lastHiddenState } = model.forward(tokenizer.encodeBatch([text]));
  return lastHiddenState.toArray() as number[][];
}

const column = (rows: number[][], i: number) => rows.map((row) => row[i]);
const total = (numbers: number[]) => numbers.reduce((sum, number) => sum + number, 0);
const mean = (rows: number[][]) => rows[0].map((_, i) => total(column(rows, i)) / rows.length);
const unit = (vector: number[]) => vector.map((x) => x / Math.sqrt(total(vector.map((y) => y * y))));

function expectVector(actual: ArrayLike<number>, expected: number[], tolerance = 1e-6): void {
  expect(actual.length).toBe(expected.length);
  expected.forEach((x, i) => expect(Math.abs(actual[i] - x)).toBeLessThan(tolerance));
}

describe('pooling', () => {
  const text = 'a b c a';
  const weights = (rows: number[][]) => rows.map((_, r) => r + 1);
  const formulas: Record<PoolingMode, [flag: string, formula: (rows: number[][]) => number[]]> = {
    mean: ['pooling_mode_mean_tokens', mean],
    cls: ['pooling_mode_cls_token', (rows) => rows[0]],
    lasttoken: ['pooling_mode_lasttoken', (rows) => rows.at(-1)!],
    max: ['pooling_mode_max_tokens', (rows) => rows[0].map((_, i) => Math.max(...column(rows, i)))],
    mean_sqrt_len_tokens: [
      'pooling_mode_mean_sqrt_len_tokens',
      (rows) => rows[0].map((_, i) => total(column(rows, i)) / Math.sqrt(rows.length)),
    ],
    weightedmean: [
      'pooling_mode_weightedmean_tokens',
      (rows) => rows[0].map((_, i) => total(column(rows, i).map((x, r) => x * (r + 1))) / total(weights(rows))),
    ],
  };

  it.each(Object.keys(formulas) as PoolingMode[])('%s, from the file and from the option', async (mode) => {
    const [flag, formula] = formulas[mode];
    const expected = formula(tokenVectors(text));
    const [fromFile] = (await load(modules(flag))).encode([text]);
    expectVector(fromFile.embedding, expected);
    const [fromOption] = (await load()).encode([text], { pooling: mode, normalize: false });
    expectVector(fromOption.embedding, expected);
    const others = Object.keys(formulas).filter((other) => other !== mode) as PoolingMode[];
    for (const other of others) {
      const [unlike] = (await load()).encode([text], { pooling: other, normalize: false });
      expect(() => expectVector(unlike.embedding, expected)).toThrow(); // the test can fail
    }
  });

  it('of several modes puts their vectors side by side, in the order of sentence-transformers', async () => {
    const config = json({ pooling_mode_mean_tokens: true, pooling_mode_cls_token: true });
    const encoder = await load({ ...modules('x'), '1_Pooling/config.json': config });
    const rows = tokenVectors(text);
    expectVector(encoder.encode([text])[0].embedding, [...rows[0], ...mean(rows)]);
  });

  it('by the name that newer files give it', async () => {
    const encoder = await load({ ...modules('x'), '1_Pooling/config.json': json({ pooling_mode: 'cls' }) });
    expectVector(encoder.encode([text])[0].embedding, tokenVectors(text)[0]);
  });

  it('is the mean when its file says nothing, as in sentence-transformers', async () => {
    for (const config of [{}, { pooling_mode_cls_token: false, pooling_mode_mean_tokens: false }]) {
      const encoder = await load({ ...modules('x'), '1_Pooling/config.json': json(config) });
      expectVector(encoder.encode([text])[0].embedding, mean(tokenVectors(text)));
    }
  });

  it('without the prompt is refused only where there is one', async () => {
    const files = { ...modules('x'), '1_Pooling/config.json': json({ pooling_mode: 'mean', include_prompt: false }) };
    expectVector((await load(files)).encode([text])[0].embedding, mean(tokenVectors(text)));
    const prompt = json({ prompts: { query: 'q: ' }, default_prompt_name: 'query' });
    await expect(load({ ...files, 'config_sentence_transformers.json': prompt })).rejects.toThrow(
      'memory/1_Pooling/config.json: include_prompt: expected true, for a model with a prompt, got false',
    );
  });

  it('without modules.json is the mean, at length 1', async () => {
    expectVector((await load()).encode([text])[0].embedding, unit(mean(tokenVectors(text))));
  });
});

describe('after pooling', () => {
  const OUT = 5;
  const weight = Float32Array.from({ length: OUT * SIZE }, (_, i) => Math.sin(i + 1));
  const bias = Float32Array.from({ length: OUT }, (_, i) => i / 10);
  const dense = (config: object, withBias = true): Files => ({
    '2_Dense/config.json': json({ in_features: SIZE, out_features: OUT, bias: withBias, ...config }),
    '2_Dense/model.safetensors': writeSafetensors({
      'linear.weight': { data: weight, shape: [OUT, SIZE] },
      ...(withBias && { 'linear.bias': { data: bias, shape: [OUT] } }),
    }),
  });
  const product = (x: number[], o: number) => total(x.map((value, i) => value * weight[o * SIZE + i]));

  it('Dense, with its activation, then Normalize', async () => {
    const pooled = mean(tokenVectors('a b'));
    const sums = Array.from(bias, (b, o) => product(pooled, o) + b);
    const steps = [module('Dense', '2_Dense'), module('Normalize', '3_Normalize')];
    const files = (config: object) => ({ ...modules('pooling_mode_mean_tokens', ...steps), ...dense(config) });
    const vectorOf = async (config: object) => (await load(files(config))).encode(['a b'])[0].embedding;
    expectVector(await vectorOf({}), unit(sums.map(Math.tanh)));
    expectVector(await vectorOf({ activation_function: 'torch.nn.modules.linear.Identity' }), unit(sums));
    expectVector(
      await vectorOf({ activation_function: 'torch.nn.modules.activation.ReLU' }),
      unit(sums.map((x) => Math.max(x, 0))),
    );
    expectVector(
      await vectorOf({ activation_function: 'torch.nn.modules.activation.LeakyReLU' }),
      unit(sums.map((x) => (x < 0 ? 0.01 * x : x))),
    );
  });

  it('Normalize before Dense, and none at the end; a Dense without bias', async () => {
    const steps = [module('Normalize', '3_Normalize'), module('Dense', '2_Dense')];
    const files = { ...modules('pooling_mode_mean_tokens', ...steps), ...dense({}, false) };
    const pooled = unit(mean(tokenVectors('a b')));
    const expected = Array.from(bias, (_, o) => Math.tanh(product(pooled, o)));
    expectVector((await load(files)).encode(['a b'])[0].embedding, expected);
  });

  it('the first dimensions alone, at length 1 again', async () => {
    const [{ embedding }] = (await load()).encode(['a b'], { dimensions: 7 });
    expectVector(embedding, unit(mean(tokenVectors('a b')).slice(0, 7)));
  });

  const faults: [fault: string, files: Files, type: new (...args: never[]) => Error, message: RegExp][] = [
    [
      'an unknown module',
      modules('pooling_mode_cls_token', module('LayerNorm', '2_LayerNorm')),
      ConfigError,
      /module LayerNorm: expected Dense or Normalize/,
    ],
    [
      "another package's module",
      modules('pooling_mode_cls_token', { path: '2_Normalize', type: 'custom.Normalize' }),
      ConfigError,
      /module custom\.Normalize/,
    ],
    ['no pooling', { 'modules.json': json([module('Transformer', '')]) }, ConfigError, /then a Pooling, got .*nothing/],
    [
      'no pooling mode',
      { ...modules('x'), '1_Pooling/config.json': json({ pooling_mode: [] }) },
      ConfigError,
      /1_Pooling\/config\.json: expected a pooling mode, got none/,
    ],
    [
      'a pooling without its file',
      { 'modules.json': modules('x')['modules.json'] },
      FileError,
      /1_Pooling\/config\.json: expected the config of a module that modules\.json names, got no such file/,
    ],
    [
      'an unknown activation',
      {
        ...modules('pooling_mode_cls_token', module('Dense', '2_Dense')),
        ...dense({ activation_function: 'torch.nn.modules.activation.Mish' }),
      },
      ConfigError,
      /activation_function: expected one of Tanh, .*Mish/,
    ],
  ];
  const activations: [unknown, RegExp][] = [
    ['constructor', /got "constructor"/],
    ['torch.nn.toString', /got "torch\.nn\.toString"/],
    [[['Tanh']], /got \[\["Tanh"\]\]/],
    [3, /got 3/],
  ];
  for (const [activation, got] of activations) {
    faults.push([
      `the activation ${json(activation)}`,
      {
        ...modules('pooling_mode_cls_token', module('Dense', '2_Dense')),
        ...dense({ activation_function: activation }),
      },
      ConfigError,
      new RegExp(`2_Dense/config\\.json: activation_function: expected one of Tanh, .*${got.source}`),
    ]);
  }
  for (const config of ['[]', '3', 'null']) {
    const message = /: expected a JSON object, got /;
    faults.push([`a transformer config ${config}`, { 'sentence_bert_config.json': config }, ConfigError, message]);
    faults.push([`a config ${config}`, { 'config_sentence_transformers.json': config }, ConfigError, message]);
  }
  for (const path of ['..', '/etc', 'a/../..']) {
    const list = json([module('Transformer', path), module('Pooling', '1_Pooling')]);
    faults.push([
      `a module in ${path}`,
      { 'modules.json': list },
      FileError,
      /path .*: expected a relative path inside/,
    ]);
  }
  it.each(faults)('%s is refused', async (_, files, type, message) => {
    await expect(load(files)).rejects.toThrow(type);
    await expect(load(files)).rejects.toThrow(message);
  });
});

describe('before the encoder', () => {
  it('goes the prompt that the model names', async () => {
    const file = json({ prompts: { query: 'q: ' }, default_prompt_name: 'query' });
    const [{ embedding, tokenCount }] = (await load({ 'config_sentence_transformers.json': file })).encode(['a']);
    expect(tokenCount).toBe(5);
    expectVector(embedding, unit(mean(tokenVectors('q: a'))));
  });

  it('goes the prompt of a pair once, before its first text', async () => {
    const file = json({ prompts: { query: 'q: ' }, default_prompt_name: 'query' });
    const [{ embedding, tokenCount }] = (await load({ 'config_sentence_transformers.json': file })).encode([
      ['a', 'b'],
    ]);
    expect(tokenCount).toBe(7);
    expectVector(embedding, unit(mean(tokenVectors(['q: a', 'b']))));
  });

  it('is read from the folder that modules.json names, with its tokenizer and limits, as in old models', async () => {
    const { 'config.json': config, 'model.safetensors': weights, 'vocab.txt': words } = base;
    const list = json([module('Transformer', '0_Transformer'), module('Pooling', '1_Pooling')]);
    const files = {
      ...modules('pooling_mode_mean_tokens'),
      'modules.json': list,
      '0_Transformer/config.json': config,
      '0_Transformer/model.safetensors': weights,
      '0_Transformer/vocab.txt': words,
      '0_Transformer/sentence_bert_config.json': json({ max_seq_length: 6 }),
      'sentence_bert_config.json': json({ max_seq_length: 9 }),
    };
    const encoder = await SentenceEncoder.fromPretrained(new MemoryFiles(files));
    expect(encoder.maxLength).toBe(6);
    expectVector(encoder.encode(['a b'])[0].embedding, mean(tokenVectors('a b')));
  });

  it('texts are lower-cased when the model says so', async () => {
    const cased = { 'tokenizer_config.json': json({ do_lower_case: false }) };
    const lower = { ...cased, 'sentence_bert_config.json': json({ do_lower_case: true }) };
    expectVector((await load(lower)).encode(['A B'])[0].embedding, unit(mean(tokenVectors('a b'))));
    const [kept] = (await load(cased)).encode(['A B']);
    expect(() => expectVector(kept.embedding, unit(mean(tokenVectors('a b'))))).toThrow();
  });
});

describe('a text that is too long', () => {
  const files = { 'sentence_bert_config.json': json({ max_seq_length: 6 }) };
  const text = 'a b c a b c a b c a'; // windows of 4, 4 and 2

  it('is cut, and that is said', async () => {
    const encoder = await load(files);
    expect(encoder.maxLength).toBe(6);
    const [{ embedding, tokenCount, truncated }] = encoder.encode([text]);
    expect([tokenCount, truncated]).toEqual([12, true]);
    expectVector(embedding, unit(mean(tokenVectors('a b c a'))));
  });

  it('is refused on request, by its index', async () => {
    const encoder = await load(files);
    expect(() => encoder.encode(['a', text], { overflow: 'error' })).toThrow(InputError);
    expect(() => encoder.encode(['a', text], { overflow: 'error' })).toThrow(
      'text 1: expected at most 6 tokens, got 12',
    );
  });

  it('is refused before anything is computed', async () => {
    const encoder = await load(files);
    let passes = 0;
    encoder.model.observe((module) => void (module === encoder.model && passes++));
    const texts: unknown[] = [...Array.from({ length: 800 }, () => 'a b'), text];
    expect(() => encoder.embeddings(texts as string[], { overflow: 'error' }).next()).toThrow('text 800: expected at');
    expect(() => encoder.embeddings([...texts, 5] as string[]).next()).toThrow('text 801: expected a string');
    const pair = [...texts, [text, text]] as string[];
    expect(() => encoder.embeddings(pair, { overflow: 'chunk' }).next()).toThrow(
      'text 801: expected a pair of at most',
    );
    expect(passes).toBe(0);
    encoder.encode(['a', text]);
    expect(passes).toBe(1); // the count can fail
  });

  it('as a pair is not cut into windows, whose combinations would be very many', async () => {
    const encoder = await load(files);
    expect(() => encoder.encode([[text, text]], { overflow: 'chunk' })).toThrow(InputError);
    const [short] = encoder.encode([['a', 'b']], { overflow: 'chunk' });
    expectVector(short.embedding, unit(mean(tokenVectors(['a', 'b']))));
  });

  it('is computed a few windows at a time', async () => {
    const encoder = await load(files);
    const passes: number[] = [];
    encoder.model.observe((module, output) => {
      if (module === encoder.model) passes.push((output as { lastHiddenState: Tensor }).lastHiddenState.shape[0]);
    });
    const long = 'a b c a '.repeat(1500).trim(); // 1500 windows, all alike, of 6 tokens
    const [{ embedding, tokenCount }] = encoder.encode([long], { overflow: 'chunk' });
    expect(tokenCount).toBe(6002);
    expectVector(embedding, unit(mean(tokenVectors('a b c a'))));
    expect(passes.length).toBeGreaterThan(2);
    expect(Math.max(...passes)).toBeLessThanOrEqual(1024);
    expect(total(passes)).toBe(9000);
  });

  it('is the mean of its windows on request, weighted by their tokens', async () => {
    const [long, short] = (await load(files)).encode([text, 'a'], { overflow: 'chunk' });
    expect([long.tokenCount, long.truncated, short.truncated]).toEqual([12, false, false]);
    const windows = ['a b c a', 'b c a b', 'c a'].map(tokenVectors);
    const lengths = windows.map((rows) => rows.length);
    const means = windows.map(mean);
    const average = means[0].map((_, i) => total(column(means, i).map((x, w) => x * lengths[w])) / total(lengths));
    expectVector(long.embedding, unit(average));
    expectVector(short.embedding, unit(mean(tokenVectors('a'))));
  });
});

describe('encode', () => {
  it('gives a text the same bits in any company, in the order of the texts', async () => {
    const encoder = await load();
    const texts: TextInput[] = Array.from({ length: 60 }, (_, i) => 'a b c q '.repeat(1 + ((i * 7) % 9)).trim());
    texts.push(['a', 'b c'], '');
    const together = encoder.encode(texts);
    texts.forEach((text, i) => expect(encoder.encode([text])[0]).toEqual(together[i]));
    expect(together.length).toBe(62);
    expect(encoder.encode([])).toEqual([]);
  });

  it('tells how far it is', async () => {
    const done: [number, number][] = [];
    (await load()).encode(['a', 'b', 'c'], { onProgress: (count, of) => done.push([count, of]) });
    expect(done.at(-1)).toEqual([3, 3]);
  });

  const bad: [fault: string, texts: unknown, options: object | null, message: RegExp][] = [
    ['one text without an array', 'abc', {}, /^texts: expected an array, got "abc"; put one text into \[ \]/],
    ['nothing', undefined, {}, /^texts: expected an array, got undefined/],
    ['numbers', 5, {}, /^texts: expected an array, got 5/],
    ['a pair of numbers', [[1, 2]], {}, /^text 0: expected a string, or a pair of strings, got \[1,2\]/],
    ['three texts in one', [['a', 'b', 'c']], {}, /^text 0: expected a string, or a pair of strings/],
    [
      'a hole',
      Object.assign(['a'], { length: 2 }),
      {},
      /^text 1: expected a string, or a pair of strings, got undefined/,
    ],
    ['options that are none', ['a'], null, /^options of encode: expected an object of options, got null/],
    ['an unknown option', ['a'], { normalise: false }, /^options of encode: normalise: expected one of pooling, /],
    ['a progress that cannot be told', ['a'], { onProgress: 5 }, /^onProgress: expected a function, got 5/],
    ['a number', ['a', 5], {}, /^text 1: expected a string, or a pair of strings, got 5/],
    ['half a pair', ['a', ['a', undefined]], {}, /^text 1: expected a string, or a pair of strings, got \["a",null\]/],
    ['an unknown pooling', ['a'], { pooling: 'median' }, /^pooling: expected one of cls, .*got "median"/],
    ['an unknown overflow', ['a'], { overflow: 'cut' }, /^overflow: expected truncate, error or chunk, got "cut"/],
    ['half a dimension', ['a'], { dimensions: 1.5 }, /^dimensions: expected a whole number of at least 1, got 1\.5/],
    ['more dimensions than there are', ['a'], { dimensions: 25 }, /^dimensions: expected at most 24/],
  ];
  it.each(bad)('refuses %s', async (_, texts, options, message) => {
    const encoder = await load();
    expect(() => encoder.encode(texts as string[], options as object)).toThrow(message);
  });

  it('gives no vector that is not finite', async () => {
    const stored = new Map<string, TensorInput>(parseSafetensors(base['model.safetensors'] as Uint8Array).tensors);
    const [word, shape] = [11, [61, SIZE]]; // "q"
    for (const number of [NaN, Infinity, 3e38]) {
      const data = new Float32Array(61 * SIZE).fill(number, word * SIZE, (word + 1) * SIZE);
      const weights = writeSafetensors(new Map(stored).set('embeddings.word_embeddings.weight', { data, shape }));
      const encoder = await load({ 'model.safetensors': weights });
      expect(() => encoder.encode(['a', 'a b', 'a q'])).toThrow(CheckpointError);
      expect(() => encoder.encode(['a', 'a b', 'a q'])).toThrow(
        'vector of text 2: expected finite numbers, got NaN; check the weights of the model: they, or the activations',
      );
      expect(encoder.encode(['a', 'a b'])).toHaveLength(2);
    }
  });

  it('is not made from nowhere, nor with options that there are not', async () => {
    for (const none of [undefined, null, 5] as unknown as string[]) {
      await expect(SentenceEncoder.fromPretrained(none)).rejects.toThrow(FileError);
    }
    for (const options of [null, { dtype: 'q4' }, { kernels: 'simd' }] as object[]) {
      await expect(SentenceEncoder.fromPretrained(new MemoryFiles(base), options)).rejects.toThrow(ConfigError);
    }
  });

  it('needs a tokenizer that fits the model', async () => {
    const words = Array.from({ length: 60 }, (_, i) => `word${i}`).join('\n');
    await expect(load({ 'vocab.txt': `${vocab}\n${words}` })).rejects.toThrow(/^tokenizer: expected at most 61 tokens/);
  });
});

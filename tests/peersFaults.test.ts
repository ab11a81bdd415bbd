import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { BertModel } from '../src/bert/index.ts';
import { ConfigError, InputError } from '../src/errors.ts';
import { MemoryFiles } from '../src/hub/index.ts';
import { parseReference } from '../src/parity/index.ts';
import {
  parseSafetensors,
  toFloat32,
  toFloat64,
  writeSafetensors,
  type TensorInput,
} from '../src/safetensors/index.ts';
import { cosineSimilarity, pipeline, SentenceEncoder } from '../src/tasks/index.ts';
import { activation, Engine } from '../src/tensor/index.ts';
import { BertTokenizer, type TextInput } from '../src/tokenizer/index.ts';
import { fixtures, run, temporaryFolder } from './cli/harness.ts';
import { fileContents, readFixture, torchTensor } from './support/fixtures.ts';
import { pipelineFiles, pipelineModel } from './support/pipelines.ts';

// What users of other implementations suffer from, one test for each fault: here it goes right.

const SHIPPED = 'weights/all-MiniLM-L6-v2';
const LIMIT = 256; // max_seq_length of the shipped model
const folder = await temporaryFolder();
let encoder: SentenceEncoder;
let tokenizer: BertTokenizer;
beforeAll(async () => {
  encoder = await SentenceEncoder.fromPretrained(SHIPPED);
  tokenizer = await BertTokenizer.fromPretrained(SHIPPED);
});

const bits = (values: ArrayLike<number>) => Array.from(new Uint32Array(Float32Array.from(values).buffer));
const json = JSON.stringify;

it('1: weights are never rounded unless asked; results name their precision, and agree with Python', async () => {
  const [float] = (await SentenceEncoder.fromPretrained(pipelineModel('sentiment'))).encode(['a']);
  const [rounded] = (await SentenceEncoder.fromPretrained(pipelineModel('sentiment'), { dtype: 'q8' })).encode(['a']);
  expect([float.dtype, rounded.dtype, encoder.encode(['a'])[0].dtype]).toEqual(['f32', 'q8', 'q8']);
  expect(bits(float.embedding)).not.toEqual(bits(rounded.embedding));

  const python = parseReference(readFixture('minilm/reference.embeddings.safetensors'), 'embeddings');
  const texts = JSON.parse(python.metadata.get('texts')!) as TextInput[];
  const expected = toFloat64(python.tensors.get('sentence_embedding')!);
  encoder.encode(texts).forEach(({ embedding }, i) => {
    expect(cosineSimilarity(embedding, expected.subarray(384 * i, 384 * (i + 1)))).toBeGreaterThan(0.998);
  });
});

it('2: Dense modules and the pooling of the folder are applied; an unknown module is refused', async () => {
  const module = (name: string, path: string) => ({ path, type: `sentence_transformers.models.${name}` });
  const weight = Float32Array.from({ length: 5 * 24 }, (_, i) => Math.sin(i));
  const files = (last: string) => ({
    ...fileContents('base'),
    'vocab.txt': '[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na',
    'modules.json': json([module('Transformer', ''), module('Pooling', '1_Pooling'), module(last, '2_Dense')]),
    '1_Pooling/config.json': json({ pooling_mode_cls_token: true }),
    '2_Dense/config.json': json({
      in_features: 24,
      out_features: 5,
      activation_function: 'torch.nn.modules.linear.Identity',
    }),
    '2_Dense/model.safetensors': writeSafetensors({
      'linear.weight': { data: weight, shape: [5, 24] },
      'linear.bias': { data: new Float32Array(5), shape: [5] },
    }),
  });
  const dense = await SentenceEncoder.fromPretrained(new MemoryFiles(files('Dense')));
  const [{ embedding }] = dense.encode(['a']);
  const { lastHiddenState } = dense.model.forward(dense.tokenizer.encodeBatch(['a']));
  const cls = lastHiddenState.data.slice(0, 24);
  expect(embedding).toHaveLength(5);
  embedding.forEach((x, row) => {
    const wanted = Array.from(cls).reduce((sum, y, i) => sum + y * weight[24 * row + i], 0);
    expect(Math.abs(x - wanted)).toBeLessThan(1e-5);
  });
  const unknown = SentenceEncoder.fromPretrained(new MemoryFiles(files('WeightedLayerPooling')));
  await expect(unknown).rejects.toThrow('module WeightedLayerPooling: expected Dense or Normalize after the Pooling');
});

it('3: GELU is the exact one, by erf', () => {
  const engine = new Engine();
  const { data, shape } = torchTensor('act.x');
  const exact = torchTensor('act.gelu.y.f64').data;
  const tanh = torchTensor('act.gelu_new.y.f64').data;
  const ours = Array.from(activation(engine.tensor(data, shape), 'gelu').data);
  const worst = (wanted: Float64Array) => ours.reduce((most, y, i) => Math.max(most, Math.abs(y - wanted[i])), 0);
  expect(worst(exact)).toBeLessThan(1e-6);
  expect(worst(tanh)).toBeGreaterThan(1e-4); // the difference would show
});

it('4: parity compares every layer with what PyTorch gives, and names the first module that differs', async () => {
  const reference = ['--reference', join(fixtures, 'base/reference.safetensors')];
  const right = await run(['parity', '--model', join(fixtures, 'base'), ...reference, '--json'], { folder });
  const tensors = right.json().map(({ tensor }) => tensor);
  expect(right.code).toBe(0);
  expect(tensors).toEqual(
    expect.arrayContaining(['hidden_states.0', 'hidden_states.2', 'attentions.1', 'pooler_output']),
  );
  const changed = join(folder, 'tanh');
  await mkdir(changed);
  const config = JSON.parse(new TextDecoder().decode(readFixture('bert/base/config.json'))) as object;
  await writeFile(join(changed, 'config.json'), json({ ...config, hidden_act: 'gelu_new' }));
  await cp(join(fixtures, 'base/model.safetensors'), join(changed, 'model.safetensors'));
  const wrong = await run(['parity', '--model', changed, ...reference], { folder });
  expect(wrong.code).toBe(1);
  expect(wrong.stdout + wrong.stderr).toMatch(/layer\.0\.intermediate/);
});

it('5: truncation keeps [CLS] and [SEP], of a pair both, and what room there is', () => {
  for (const length of [511, 512, 513]) {
    const { inputIds, tokens, truncated } = tokenizer.encode('a '.repeat(length - 2), { maxLength: 512 });
    expect([inputIds.length, tokens[0], tokens.at(-1), truncated]).toEqual([
      Math.min(length, 512),
      '[CLS]',
      '[SEP]',
      length > 512,
    ]);
  }
  const pair = tokenizer.encode(['a '.repeat(600), 'b '.repeat(100)], { maxLength: 512 });
  const count = (token: string) => pair.tokens.filter((other) => other === token).length;
  expect([pair.length, count('a'), count('b'), count('[SEP]'), pair.tokens.at(-1)]).toEqual([
    512,
    409,
    100,
    2,
    '[SEP]',
  ]);
  expect(pair.tokenTypeIds.filter((id) => id === 1)).toHaveLength(101);
});

it('6: a truncated text says so; on request it is refused, or read whole', () => {
  const long = 'cats and dogs '.repeat(200);
  const [cut] = encoder.encode([long]);
  expect([cut.truncated, cut.tokenCount]).toEqual([true, 602]);
  expect(() => encoder.encode(['short', long], { overflow: 'error' })).toThrow(
    'text 1: expected at most 256 tokens, got 602',
  );
  const [whole] = encoder.encode([`${long} The stock market fell.`], { overflow: 'chunk' });
  expect(whole.truncated).toBe(false);
  expect(bits(whole.embedding)).not.toEqual(bits(encoder.encode([long], { overflow: 'chunk' })[0].embedding));
  expect(LIMIT).toBe(encoder.maxLength);
});

it('7: too many tokens are refused before anything is computed, with the limit, the length and the ways out', () => {
  const inputIds = [new Array<number>(513).fill(101)];
  const before = performance.now();
  expect(() => encoder.model.forward({ inputIds })).toThrow(InputError);
  expect(() => encoder.model.forward({ inputIds })).toThrow(
    'longest sequence of the batch: expected at most 512 tokens (max_position_embeddings), got 513; truncate when tokenizing (maxLength), or split the text',
  );
  expect(performance.now() - before).toBeLessThan(1000);
  expect(encoder.model.forward({ inputIds: [inputIds[0].slice(1)] }).lastHiddenState.shape).toEqual([512, 384]);
});

describe('8: places in the text', () => {
  it('are in every entity and answer, in UTF-16 units or code points', async () => {
    const text = '👩‍🚀 Maria sailed from London 🇬🇧 to Bergen.';
    const ner = await pipeline('ner', pipelineModel('ner'));
    for (const aggregationStrategy of ['none', 'simple', 'first', 'average', 'max'] as const) {
      const entities = await ner(text, { aggregationStrategy, ignoreLabels: [] });
      expect(entities.length).toBeGreaterThan(2);
      const inCodePoints = await ner(text, { aggregationStrategy, ignoreLabels: [], offsets: 'codepoint' });
      entities.forEach(({ start, end }, i) => {
        const stretch = text.slice(start, end);
        expect(stretch).not.toBe('');
        const { start: from, end: to } = inCodePoints[i];
        expect(Array.from(text).slice(from, to).join('')).toBe(stretch);
      });
    }
    const ask = await pipeline('question-answering', pipelineModel('qa'));
    const { answer, start, end } = await ask('Who sailed?', text);
    expect([text.slice(start, end), answer !== '']).toEqual([answer, true]);
  });

  it('of words whose accents are characters of their own: the word stays one', async () => {
    // transformers compares the length of a token with that of its text, and takes "cafe" + U+0301 for half a word.
    const text = 'The ca\u0301fe wrote to Zo\u0308e in Bergen.';
    const ner = await pipeline('ner', pipelineModel('ner'));
    const tokens = await ner(text, { ignoreLabels: [] });
    const groups = await ner(text, { aggregationStrategy: 'first', ignoreLabels: [] });
    const beginnings = tokens.filter(
      ({ start, word }) => !word.startsWith('##') && (start === 0 || text[start - 1] === ' '),
    );
    expect(beginnings.map(({ start }) => text.slice(start).split(' ')[0])).toEqual(text.split(' '));
    for (const { start, entity } of beginnings) {
      const group = groups.find((other) => other.start <= start && start < other.end)!;
      expect(group.entity).toBe(entity.replace(/^[BI]-/, ''));
    }
    expect(new Set(beginnings.map(({ entity }) => entity)).size).toBeGreaterThan(2); // or it would show nothing
  });
});

it('9: a token’s place in the text reads as the token, also around emoji, joiners and combining marks', () => {
  const texts = [
    'The 👩‍👩‍👧‍👦 family of José naïvely cafe\u0301-hopped in São Paulo 🇧🇷!',
    'Ⅻ ﬁne ½ mi\u0302x\u0308ed 東京タワー İstanbul ẞtraße 👍🏽 ok',
    'a\u200db \ufeffzero\u200bwidth \u0301lone marks e\u0301\u0302\u0303 done',
    '𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𠜎𠜱 text\u00a0with\u2003spaces\ttabs',
  ];
  const plain = (token: string) => token.replace(/^##/, '');
  let checked = 0;
  for (const text of texts) {
    const { tokens, offsets, codePointOffsets } = tokenizer.encode(text, { addSpecialTokens: false });
    tokens.forEach((token, i) => {
      const stretch = text.slice(...offsets[i]);
      expect(
        Array.from(text)
          .slice(...codePointOffsets[i])
          .join(''),
      ).toBe(stretch);
      if (token === '[UNK]') return expect(tokenizer.tokenize(stretch)).toContain('[UNK]');
      expect(tokenizer.tokenize(stretch).map(plain).join('')).toContain(plain(token));
      checked++;
    });
  }
  expect(checked).toBeGreaterThan(40);
});

it('10: one logit is never put through a softmax: documents get scores of their own', async () => {
  const rank = await pipeline('rerank', pipelineModel('ranker'));
  const documents = ['It is 31 metres tall.', 'She made bread.', 'The team lost.', 'Paul sailed to Iceland.'];
  const ranked = await rank('How tall is the tower?', documents);
  expect(new Set(ranked.map(({ score }) => score)).size).toBe(4);
  for (const { score, logit } of ranked) expect(score).toBeCloseTo(1 / (1 + Math.exp(-logit)), 14);
  const classify = await pipeline('text-classification', pipelineModel('ranker'));
  const [[first], [second]] = await classify(documents.slice(0, 2));
  expect([first.score === 1, first.score === second.score]).toEqual([false, false]);
  await expect(classify('a', { functionToApply: 'softmax' })).rejects.toThrow(ConfigError);
});

it('11: scores near 1 do not end the order: it is that of the logits, and the sigmoid is one of float64', async () => {
  const files = pipelineFiles('ranker');
  const head = parseSafetensors(files['ranker.safetensors'] as Uint8Array, 'head').tensors;
  const scaled = (factor: number) => {
    const tensors = [...head].map(([name, view]): [string, TensorInput] => [
      name,
      { data: toFloat32(view).map((x) => x * factor), shape: view.shape },
    ]);
    return new MemoryFiles({ ...files, 'ranker.safetensors': writeSafetensors(new Map(tensors)) });
  };
  const documents = Array.from({ length: 12 }, (_, i) => `The ${'tower and the '.repeat(i)}lamp`);
  const wanted = (await (await pipeline('rerank', pipelineModel('ranker')))('How tall?', documents)).map(
    (d) => d.index,
  );
  const ranked = await (await pipeline('rerank', scaled(60)))('How tall?', documents);
  expect(ranked.map(({ index }) => index)).toEqual(wanted);
  const saturated = ranked.filter(({ score }) => Math.fround(score) === 1);
  expect(saturated.length).toBeGreaterThan(1);
  expect(new Set(saturated.map(({ logit }) => logit)).size).toBe(saturated.length);
});

it('12: a batch changes no bit of a result, in float32 or int8', async () => {
  const texts = ['A cat.', 'Stocks fell as rates rose on the last day of trading.', 'Soup!', 'x '.repeat(90)];
  for (const dtype of ['f32', 'q8'] as const) {
    const own = await SentenceEncoder.fromPretrained(SHIPPED, { dtype });
    const together = own.encode(texts);
    texts.forEach((text, i) => expect(bits(own.encode([text])[0].embedding)).toEqual(bits(together[i].embedding)));
  }
});

it('13: padding has no part in a mean, or anywhere', async () => {
  const model = await BertModel.fromPretrained(SHIPPED);
  const alone = model.forward({ inputIds: [[101, 4937, 102]] }).lastHiddenState.toArray();
  const padded = { inputIds: [[101, 4937, 102, 0, 0, 0, 0]], attentionMask: [[1, 1, 1, 0, 0, 0, 0]] };
  expect(model.forward(padded).lastHiddenState.toArray()).toEqual(alone);
  const [{ embedding }] = encoder.encode(['cat', 'a much longer text that a padded batch would be as wide as'], {
    normalize: false,
  });
  const rows = alone as number[][];
  embedding.forEach((x, i) => expect(x).toBeCloseTo((rows[0][i] + rows[1][i] + rows[2][i]) / 3, 5));
});

it('14: pooling is what the model’s files say, and short texts stay short', async () => {
  expect(tokenizer.encode('cat').length).toBe(3);
  expect(tokenizer.encodeBatch(['cat', 'a cat sat']).inputIds.map((ids) => ids.length)).toEqual([3, 5]);
  const [cat] = encoder.encode(['cat']);
  const [mean] = encoder.encode(['cat'], { pooling: 'mean', normalize: true });
  const [cls] = encoder.encode(['cat'], { pooling: 'cls', normalize: true });
  expect(bits(cat.embedding)).toEqual(bits(mean.embedding));
  expect(bits(cat.embedding)).not.toEqual(bits(cls.embedding));
});

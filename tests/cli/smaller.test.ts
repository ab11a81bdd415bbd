import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BertConfig, BertForMaskedLM, BertForSequenceClassification, modelFiles } from '../../src/bert/index.ts';
import { pearson } from '../../src/metrics/index.ts';
import { writeSafetensors } from '../../src/safetensors/index.ts';
import { cosineSimilarity } from '../../src/tasks/index.ts';
import { nodeFiles } from '../../src/cli/nodeIo.ts';
import { run, temporaryFolder, tinyModel, vocabulary } from './harness.ts';

const folder = await temporaryFolder();
await mkdir(join(folder, 'classifier'));
const options = new BertConfig({
  ...{ vocabSize: 61, hiddenSize: 24, numHiddenLayers: 2, numAttentionHeads: 3, intermediateSize: 37 },
  ...{ maxPositionEmbeddings: 40, initializerRange: 0.1 },
});
const files = modelFiles(new BertForSequenceClassification(options));
const model = await tinyModel(join(folder, 'classifier'), Object.fromEntries(files));
const config = async (name: string) => JSON.parse(await readFile(join(folder, name, 'config.json'), 'utf8')) as Record<string, unknown>; // prettier-ignore
const { id2label } = (await config('classifier')) as { id2label: Record<string, string> };
const lines = Array.from({ length: 12 }, (_, i) => `${i % 2 ? 'a cat sat' : 'hello world'}\t${id2label[i % 2]}\n`);
await writeFile(join(folder, 'data.tsv'), `text\tlabel\n${lines.join('')}`);
const world = { folder, shippedModel: model };

describe('prune', () => {
  test('by importance on data; what it writes can be used', async () => {
    const flags = ['--feed-forward', '0.33', '--heads', '0.5', '--layers', '1', '--json'];
    const data = ['--task', 'classification', '--data', 'data.tsv'];
    const { code, json, stderr } = await run(['prune', '--output', 'pruned', ...flags, ...data], world);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('transformers 5 has no config key') });
    const [report] = json<{ parameters: number; parameters_before: number; before: object; after: object }>();
    expect(report.parameters).toBeLessThan(report.parameters_before);
    expect(Object.keys(report.after)).toEqual(Object.keys(report.before));
    expect(await config('pruned')).toMatchObject({
      num_hidden_layers: 1,
      intermediate_size: 25,
      num_attention_heads: 2,
      attention_head_size: 8,
    });
    expect((await run(['classify', 'hello world', '--model', 'pruned'], world)).code).toBe(0);
  });

  test.each([
    [[], 'at least one of --feed-forward'],
    [['--layers', '1;2'], '--layers: expected numbers with commas between'],
    [['--layers', '7'], 'pruning: layers'],
    [['--heads', '0.5', '--task', 'classification'], '--data beside it'],
    [['--layers', '0', '--columns', 'text,label'], '--columns: expected --data beside it'],
    [['--layers', '0', '--max-length', '8'], '--max-length: expected --data beside it'],
    [['--layers', '0', '--dtype', 'q8'], '--dtype q8: expected float weights, which can be pruned'],
    [['--layers', '0', '--output', 'classifier'], 'holds model.safetensors; pass another folder'],
  ])('refuses %j', async (flags, message) => {
    const { code, stderr } = await run(['prune', '--output', 'bad', ...flags], world);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('--resume');
  });
});

test('prune --vocabulary: fewer tokens, the same answers, also with what the tokenizer says of itself', async () => {
  await writeFile(join(folder, 'texts.txt'), 'hello world\na cat sat\n');
  const { code, json, stderr } = await run(['prune', '--output', 'few', '--vocabulary', 'texts.txt', '--json'], world);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const [{ tokens, tokens_before: before }] = json<{ tokens: number; tokens_before: number }>();
  expect([before, tokens]).toEqual([61, 13]); // five special ones, five words and three single characters
  expect(await config('few')).toMatchObject({ vocab_size: 13, pad_token_id: 0 });
  const scores = async (name: string) =>
    (await run(['classify', 'hello world', '--model', name, '--json'], world)).json();
  expect(await scores('few')).toEqual(await scores('classifier'));
  const bytes = await readFile(join(folder, 'few/model.safetensors'));
  expect(new TextDecoder().decode(bytes.subarray(0, 4000))).toMatch(/"producer":"bertscript [^"]* prune"/);
});

test('--dry-run of prune and evaluate: the plan and the time, and nothing written', async () => {
  const data = ['--task', 'classification', '--json', '--dry-run'];
  const pruning = ['prune', '--output', 'nothing', '--heads', '0.5', '--data', 'data.tsv', ...data];
  const [a] = (await run(pruning, world)).json<Record<string, number>>();
  const [b] = (await run(['evaluate', '--eval', 'data.tsv', ...data], world)).json<Record<string, number>>();
  expect(a).toMatchObject({ examples: 12, steps: 2 });
  expect(a.parameters_left).toBeLessThan(a.parameters);
  for (const plan of [a, b]) {
    expect(plan).toMatchObject({
      examples: 12,
      seconds_per_step: expect.any(Number),
      memory_bytes: expect.any(Number),
    });
    expect(plan.seconds_per_step).toBeGreaterThan(0);
  }
  await expect(readFile(join(folder, 'nothing/config.json'))).rejects.toThrow();
});

describe('a model of sentence-transformers', () => {
  const type = (name: string) => `sentence_transformers.models.${name}`;
  const modules = [
    { path: '', type: type('Transformer') },
    { path: '1_Pooling', type: type('Pooling') },
  ];
  const dense = [...modules, { path: '2_Dense', type: type('Dense') }];
  const pairs = [
    ['a cat sat on the mat hello world', 'the cat', 0.9],
    ['Hello', 'a mat', 0.1],
    ['the mat sat on', 'a cat on the mat', 0.7],
    ['world', 'hello', 0.2],
  ] as const;
  /** A folder with these modules, and a pooling that is not the mean. */
  const sentenceModel = async (name: string, list: object[], more: Record<string, string> = {}) => {
    await mkdir(join(folder, name, '1_Pooling'), { recursive: true });
    await mkdir(join(folder, name, '2_Dense'));
    const weights = {
      'linear.weight': { data: Float32Array.from({ length: 96 }, (_, i) => Math.sin(i * i)), shape: [4, 24] },
    };
    const config = {
      in_features: 24,
      out_features: 4,
      bias: false,
      activation_function: 'torch.nn.modules.activation.Tanh',
    };
    await tinyModel(join(folder, name), {
      'modules.json': JSON.stringify(list),
      '1_Pooling/config.json': '{"pooling_mode": "max"}',
      ...(list === dense && {
        '2_Dense/config.json': JSON.stringify(config),
        '2_Dense/model.safetensors': writeSafetensors(weights),
      }),
      'sentence_bert_config.json': '{"max_seq_length": 5, "do_lower_case": false}',
      ...more,
    });
  };
  const prompts = { 'config_sentence_transformers.json': '{"prompts": {"q": "hello "}, "default_prompt_name": "q"}' };
  const several = { '1_Pooling/config.json': '{"pooling_mode": ["max", "mean"]}' };
  const lower = {
    'sentence_bert_config.json': '{"max_seq_length": 5, "do_lower_case": true}',
    'tokenizer_config.json': '{"do_lower_case": false}',
  };
  const data = ['--task', 'similarity', '--model'];
  const evaluated = async (name: string, ...more: string[]) => {
    const flags = ['evaluate', ...data, name, '--eval', 'likeness.jsonl', '--json', ...more];
    const { json, stderr, code } = await run(flags, world);
    expect(code, stderr).toBe(0);
    return json<{ pearson: number }>()[0].pearson;
  };
  const write = () =>
    writeFile(
      join(folder, 'likeness.jsonl'),
      pairs.map(([text, text_pair, label]) => JSON.stringify({ text, text_pair, label })).join('\n'),
    );

  test.each([
    ['plain', modules, {}, ''],
    ['dense', dense, {}, 'a Dense module'],
    ['prompted', modules, prompts, 'a prompt before every text'],
    ['several', modules, several, 'several poolings'],
    ['lower', modules, lower, 'do_lower_case'],
    ['shorter', modules, { 'tokenizer_config.json': '{"model_max_length": 4}' }, ''],
    ['lower-alike', modules, { ...lower, 'tokenizer_config.json': '{}' }, ''],
  ])('%s: is evaluated as it embeds; trained only if that is what is trained', async (name, list, more, message) => {
    await write();
    await sentenceModel(name, list, more);
    const { json } = await run(['embed', ...pairs.flatMap(([a, b]) => [a, b]), '--model', name], world);
    const vectors = json<{ embedding: number[] }>().map(({ embedding }) => embedding);
    const cosines = pairs.map((_, i) => cosineSimilarity(vectors[2 * i], vectors[2 * i + 1]));
    const scores = pairs.map(([, , score]) => score);
    expect(await evaluated(name)).toBeCloseTo(pearson(scores, cosines), 5);

    const commands = [
      ['train', '--train', 'likeness.jsonl', '--eval', 'likeness.jsonl', '--epochs', '1', '--lr', '0'],
      ['distill', '--train', 'likeness.jsonl', '--layers', '0', '--epochs', '1'],
      ['prune', '--data', 'likeness.jsonl', '--feed-forward', '0.1'],
    ];
    for (const [command, ...flags] of commands) {
      const output = `${name}-${command}`;
      const outcome = await run([command, ...data, name, ...flags, '--output', output, '--json'], world);
      expect(outcome.code, outcome.stderr).toBe(message === '' ? 0 : 2);
      expect(outcome.stderr).toContain(message);
      if (message !== '') continue;
      const [report] = outcome.json<{ pearson?: number; after?: { pearson: number } }>();
      const found = report.pearson ?? report.after?.pearson;
      if (found !== undefined) expect(await evaluated(output)).toBeCloseTo(found, 5);
    }
  });

  test.each(['2_Normalize/', '.', './'])('a module in the folder %j does not hinder what is written', async (path) => {
    await write();
    const name = `folder${path.length}`;
    const normalize = { idx: 2, name: '2', path, type: 'sentence_transformers.models.Normalize' };
    await sentenceModel(name, [...modules.slice(0, 2), normalize]);
    const flags = ['--model', name, '--layers', '1', '--output', `${name}-written`];
    expect(await run(['prune', ...flags], world)).toMatchObject({ code: 0, stderr: '' });
  });

  test('pruned without data keeps all its modules', async () => {
    await sentenceModel('deep', dense);
    expect(await run(['prune', '--model', 'deep', '--layers', '1', '--output', 'shallow'], world)).toMatchObject({
      code: 0,
    });
    const { json } = await run(['embed', 'a cat', '--model', 'shallow'], world);
    expect(json<{ embedding: number[] }>()[0].embedding).toHaveLength(4);
  });

  test('--max-length goes before its max_seq_length', async () => {
    await write();
    await sentenceModel('long', modules);
    expect(await evaluated('long', '--max-length', '5')).toBe(await evaluated('long'));
    expect(await evaluated('long', '--max-length', '12')).not.toBe(await evaluated('long'));
  });
});

test('evaluate --dry-run measures no rest that is too small to evaluate', async () => {
  const pairs = Array.from({ length: 17 }, (_, i) => JSON.stringify({ text: 'a cat', text_pair: 'mat', label: i }));
  await writeFile(join(folder, 'seventeen.jsonl'), pairs.join('\n'));
  await mkdir(join(folder, 'dry'));
  await tinyModel(join(folder, 'dry'));
  const flags = ['--task', 'similarity', '--model', 'dry', '--eval', 'seventeen.jsonl', '--dry-run', '--json'];
  const { code, json, stderr } = await run(['evaluate', ...flags], world);
  expect(code, stderr).toBe(0);
  expect(json()[0]).toMatchObject({ examples: 17, steps: 2 });
});

describe('distill', () => {
  const how = ['--dropout', '0', '--epochs', '6', '--lr', '0.003', '--threads', '1', '--json'];
  const losses = async (name: string) => {
    const log = await readFile(join(folder, name, 'metrics.jsonl'), 'utf8');
    return log.split('\n').flatMap((line) => (line.includes('"loss"') ? [(JSON.parse(line) as { loss: number }).loss] : [])); // prettier-ignore
  };

  test('mlm: on plain text, the teacher being --model', async () => {
    await mkdir(join(folder, 'words'));
    await tinyModel(join(folder, 'words'), Object.fromEntries(modelFiles(new BertForMaskedLM(options))));
    await writeFile(join(folder, 'plain.txt'), Array(8).fill('hello world\na cat sat on the mat').join('\n\n'));
    const data = ['--task', 'mlm', '--train', 'plain.txt', '--eval', 'plain.txt', '--layers', '0'];
    const { code, json, stderr } = await run(
      ['distill', '--model', 'words', '--output', 'said', ...data, ...how],
      world,
    );
    expect(code, stderr).toBe(0);
    expect(json()[0]).toHaveProperty('perplexity');
    expect(await config('said')).toMatchObject({ architectures: ['BertForMaskedLM'], num_hidden_layers: 1 });
    const found = await losses('said');
    expect(found.at(-1)).toBeLessThan(found[0]);
    const bytes = await readFile(join(folder, 'said/model.safetensors'));
    expect(new TextDecoder().decode(bytes.subarray(0, 4000))).toMatch(/"producer":"bertscript [^"]* distill"/);
    const plan = ['distill', '--model', 'words', '--output', 'none', ...data, '--dry-run', '--json'];
    expect((await run(plan, world)).json()[0]).toMatchObject({ examples: 8, steps: 3 });
  });

  test('similarity: sentence vectors from a text a line, or from pairs; the folder still says how to pool', async () => {
    await mkdir(join(folder, 'encoder'));
    await tinyModel(join(folder, 'encoder'));
    await writeFile(join(folder, 'lines.txt'), 'hello world\na cat sat\nthe mat\non the world\n');
    await writeFile(
      join(folder, 'pairs.tsv'),
      'text\ttext_pair\tlabel\nhello\tworld\t0.2\na cat\tthe cat\t0.9\na\tmat\t0.1\n',
    );
    await writeFile(join(folder, 'bare.tsv'), 'hello\tworld\t0.2\na cat\tthe cat\t0.9\n');
    const student = ['--task', 'similarity', '--layers', '0', '--teacher', 'encoder'];
    for (const [output, ...data] of [
      ['vectors', '--train', 'lines.txt', '--eval', 'lines.txt'],
      ['scored', '--train', 'pairs.tsv', '--eval', 'pairs.tsv', '--alpha', '0.5'],
      ['mixed', '--train', 'lines.txt', '--eval', 'bare.tsv', '--columns', 'text,text_pair,label'],
    ]) {
      const { code, json, stderr } = await run(['distill', '--output', output, ...student, ...data, ...how], world);
      expect(code, stderr).toBe(0);
      const [{ cosine }] = json<{ cosine: number }>();
      expect(cosine).toBeGreaterThan(0.5);
      const found = await losses(output);
      expect(found.at(-1)).toBeLessThan(found[0]);
    }
    expect((await run(['embed', 'hello', '--model', 'vectors'], world)).code).toBe(0);
    expect(await readFile(join(folder, 'vectors/sentence_bert_config.json'), 'utf8')).toContain('16');
  });

  test('a student of its own, whose head starts at random', async () => {
    const flags = [
      '--teacher',
      'classifier',
      '--student',
      'encoder',
      '--task',
      'classification',
      '--train',
      'data.tsv',
    ];
    const { code, stderr } = await run(['distill', '--output', 'own', ...flags, ...how], world);
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: expect.stringContaining('start at random: classifier.weight'),
    });
    expect((await config('own')).id2label).toEqual(id2label);
  });

  test.each([
    [[], 'either --layers or --student'],
    [['--layers', '0', '--student', 'x'], 'either --layers or --student'],
    [['--layers', '0', '--weights', '1,2,3'], '--weights'],
    [['--layers', '0', '--weights', '1,2'], 'three numbers'],
    [['--layers', '0', '--dtype', 'q8'], '--dtype q8'],
    [['--layers', '0', '--mask-unit', 'word'], '--mask-unit: got --task classification'],
  ])('refuses %j', async (flags, message) => {
    const data = ['--task', 'classification', '--train', 'data.tsv', '--output', 'bad'];
    const { code, stderr } = await run(['distill', ...data, ...flags], world);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});

test('distill: a student with another vocabulary is refused, also one of the same size', async () => {
  await mkdir(join(folder, 'foreign'));
  const words = [...vocabulary];
  [words[5], words[6]] = [words[6], words[5]];
  await tinyModel(join(folder, 'foreign'), { 'vocab.txt': words.join('\n') });
  const data = ['--task', 'classification', '--train', 'data.tsv', '--output', 'bad'];
  const { code, stderr } = await run(['distill', '--teacher', 'classifier', '--student', 'foreign', ...data], world);
  expect(code).toBe(2);
  expect(stderr).toContain("--student foreign: token 5: expected the teacher's, hello, got world");
});

test('distill: the student starts as the layers that were asked for and comes nearer to its teacher', async () => {
  const flags = ['--layers', '1', '--task', 'classification', '--train', 'data.tsv', '--eval', 'data.tsv', '--json'];
  const how = ['--alpha', '1', '--cosine', '0.5', '--dropout', '0', '--epochs', '8', '--lr', '0.002', '--threads', '1'];
  const { code, json, stderr } = await run(
    ['distill', '--teacher', 'classifier', '--output', 'student', ...flags, ...how],
    world,
  );
  expect(code, stderr).toBe(0);
  expect(json()[0]).toMatchObject({ steps: 8, output: 'student' });
  expect(await config('student')).toMatchObject({ num_hidden_layers: 1, intermediate_size: 37 });
  const log = await readFile(join(folder, 'student/metrics.jsonl'), 'utf8');
  const losses = log.split('\n').flatMap((line) => (line.includes('"loss"') ? [(JSON.parse(line) as { loss: number }).loss] : [])); // prettier-ignore
  expect(losses).toHaveLength(8);
  expect(losses[7]).toBeLessThan(0.7 * losses[0]);
  // A student with all of the teacher's layers has nothing to learn from it.
  const same = ['--layers', '0,1', ...flags.slice(2), ...how.slice(0, -6), '--max-steps', '1', '--threads', '1'];
  expect((await run(['distill', '--teacher', 'classifier', '--output', 'same', ...same], world)).code).toBe(0);
  const first = JSON.parse((await readFile(join(folder, 'same/metrics.jsonl'), 'utf8')).split('\n')[0]) as {
    loss: number;
  };
  expect(Math.abs(first.loss)).toBeLessThan(1e-5);
});

test('pretrain: from documents to a model with a vocabulary of its own, whose perplexity falls', async () => {
  const document = ['The cat sat on the mat.', 'The dog sat on the log.', 'A cat and a dog ran in the sun.'].join('\n');
  await writeFile(join(folder, 'corpus.txt'), Array(20).fill(document).join('\n\n'));
  const size = ['--vocab-size', '90', '--layers', '1', '--hidden', '32', '--heads', '2', '--held-out', '5'];
  const how = ['--epochs', '6', '--lr', '0.005', '--batch-size', '4', '--max-length', '32', '--threads', '1'];
  const flags = ['--input', 'corpus.txt', '--output', 'new', ...size, ...how, '--json'];
  const { code, json, stderr } = await run(['pretrain', ...flags], world);
  expect(code, stderr).toBe(0);
  const [{ perplexity }] = json<{ perplexity: number }>();
  const log = (await readFile(join(folder, 'new/metrics.jsonl'), 'utf8')).trim().split('\n');
  const all = log.map((line) => JSON.parse(line) as Record<string, number>).filter((record) => 'perplexity' in record);
  expect(all).toHaveLength(6);
  expect(perplexity).toBeLessThan(0.7 * all[0].perplexity);
  expect(await config('new')).toMatchObject({ architectures: ['BertForPreTraining'], hidden_size: 32 });
  const { code: used, stdout } = await run(['fill-mask', 'the [MASK] sat', '--model', 'new'], world);
  expect({ used, stdout }).toEqual({ used: 0, stdout: expect.stringMatching(/\w/) });
  // On from there, with its vocabulary.
  const more = ['pretrain', '--model', 'new', '--input', 'corpus.txt', '--held-out', '5', ...how, '--json'];
  const again = await run([...more, '--output', 'more', '--epochs', '1'], world);
  expect(again.code, again.stderr).toBe(0);
  expect(again.json<{ perplexity: number }>()[0].perplexity).toBeLessThan(1.2 * perplexity);
  expect(await config('more')).toMatchObject({ vocab_size: (await config('new')).vocab_size, hidden_size: 32 });
  const bytes = await readFile(join(folder, 'more/model.safetensors'));
  expect(new TextDecoder().decode(bytes.subarray(0, 4000))).toMatch(/"producer":"bertscript [^"]* pretrain"/);
  const none = await run([...more, '--output', 'unheld', '--held-out', '90', '--max-steps', '1'], world);
  expect(none).toMatchObject({ code: 0, stderr: expect.stringContaining('no pair is held out to evaluate on') });
  const refused = await run([...more, '--output', 'bad', '--layers', '2'], world);
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('--layers') });
});

describe('--output of the commands that write models', () => {
  const loading = ['--model', 'no-model'];
  const commands: [name: string, flags: string[]][] = [
    ['train', ['--task', 'classification', '--train', 'no-file.tsv']],
    ['distill', ['--task', 'classification', '--train', 'no-file.tsv', '--layers', '0']],
    ['pretrain', ['--input', 'no-file.txt']],
    ['prune', ['--layers', '0']],
  ];
  const refusal = (message: string) => ({ code: 2, stderr: expect.stringContaining(message) as string });

  test.each(commands)('%s: refused before anything is read, unless it is a dry run', async (name, flags) => {
    const all = [name, ...flags, ...loading];
    const refused = 'data.tsv/deep: expected a folder that can be written, got a file where a folder should be';
    expect(await run([...all, '--output', 'data.tsv/deep'], world)).toMatchObject(refusal(refused));
    expect(await run(all, world)).toMatchObject(refusal('--output: expected a folder, got none'));
    const dry = await run([...all, '--dry-run'], world);
    expect(dry).toMatchObject(refusal('no-'));
    expect(dry.stderr).not.toContain('--output');
    expect(await run([...all, '--output', 'never'], world)).toMatchObject(refusal('no-'));
    expect(existsSync(join(folder, 'never'))).toBe(false);
  });

  test('evaluate: so is --confusion', async () => {
    const flags = ['--task', 'classification', '--eval', 'no-file.tsv', '--confusion', 'data.tsv/c.svg'];
    expect(await run(['evaluate', ...flags], world)).toMatchObject(refusal('data.tsv/c.svg: expected a file that can'));
  });

  test('is for one command at a time', async () => {
    const release = await nodeFiles(folder).holdFolder('taken');
    const resume = ['train', ...commands[0][1], ...loading, '--output', 'taken', '--resume'];
    expect(await run(resume, world)).toMatchObject(
      refusal('taken: expected a folder that can be written, got one that'),
    );
    await release();
    expect(await run(resume, world)).toMatchObject(refusal('no-file.tsv'));
  });
});

import { existsSync, readFileSync } from 'node:fs';
import { cp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { BertForSequenceClassification, BertForTokenClassification } from '../../src/bert/index.ts';
import { parseSafetensors, toFloat32, toFloat64, writeSafetensors } from '../../src/safetensors/index.ts';
import { run, temporaryFolder, tinyModel, type World } from './harness.ts';

let world: World;
const lines = (file: string) =>
  readFileSync(join(world.folder, file), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number>);

const rows = Array.from(
  { length: 12 },
  (_, i) => `${i % 2 ? 'hello world' : 'a cat sat'}${i > 5 ? ' !' : ''}\t${i % 2}`,
);
const common = ['--model', 'model', '--threads', '1', '--lr', '0.01', '--batch-size', '4', '--epochs', '3'];
const classify = ['train', '--task', 'classification', '--train', 'train.tsv', '--eval', 'train.tsv', ...common];

beforeAll(async () => {
  const folder = await temporaryFolder();
  world = { folder };
  await writeFile(join(folder, 'train.tsv'), ['text\tlabel', ...rows].join('\n'));
  await writeFile(join(folder, 'one.tsv'), 'text\tlabel\nhello\t1\nworld\t1\n');
  await writeFile(join(folder, 'bare.tsv'), rows.join('\n'));
  await writeFile(
    join(folder, 'scores.jsonl'),
    rows.map((row, i) => JSON.stringify({ text: row, text_pair: 'mat', label: i })).join('\n'),
  );
  await writeFile(join(folder, 'tags.conll'), 'hello\tB-X\nworld\tI-X\n\ncat\tO\nsat\tO\n');
  await writeFile(join(folder, 'text.txt'), 'hello world a cat sat on the mat\nthe mat\n\nthe cat sat on a mat !\n');
  const answers = [{ text: 'cat', answer_start: 2 }];
  const qas = [{ id: '1', question: 'hello ?', answers }];
  await writeFile(
    join(folder, 'squad.json'),
    JSON.stringify({ data: [{ paragraphs: [{ context: 'a cat sat', qas }] }] }),
  );
  const model = join(folder, 'model');
  await cp(join(import.meta.dirname, '../fixtures/bert/base'), model, { recursive: true });
  await tinyModel(model);
});

describe('train', () => {
  test('writes a model that evaluates as it said, a log of every step, and a curve', async () => {
    const outcome = await run([...classify, '--epochs', '12', '--dropout', '0', '--output', 'out', '--json'], world);
    expect(outcome).toMatchObject({ code: 0 });
    const [report] = outcome.json<Record<string, number>>();
    expect(report).toMatchObject({ steps: 36, accuracy: 1 });
    const log = lines('out/metrics.jsonl');
    expect(log.filter((line) => 'loss' in line).map(({ step }) => step)).toEqual(
      Array.from({ length: 36 }, (_, i) => i + 1),
    );
    expect(log.filter((line) => 'epoch' in line)).toHaveLength(12);
    expect(readFileSync(join(world.folder, 'out/loss.svg'), 'utf8')).toContain('<svg');
    expect(existsSync(join(world.folder, 'out/.training'))).toBe(false);
    const again = await run(
      [
        'evaluate',
        '--task',
        'classification',
        '--eval',
        'train.tsv',
        '--model',
        'out',
        '--json',
        '--confusion',
        'c.svg',
      ],
      world,
    );
    expect(again.json()[0]).toMatchObject({ accuracy: 1, confusion: { labels: ['0', '1'] } });
    expect(readFileSync(join(world.folder, 'c.svg'), 'utf8')).toContain('<svg');
    const labels = await run(['classify', 'hello world', '--model', 'out', '--json'], world);
    expect(labels.json<{ labels: { label: string }[] }>()[0].labels[0].label).toBe('1');
  });

  test.each([
    ['classification', 'train.tsv', BertForSequenceClassification],
    ['token-classification', 'tags.conll', BertForTokenClassification],
  ] as const)('evaluate runs the model once for %s and its confusion', async (task, file, Model) => {
    const flags = ['--task', task, '--train', file, '--output', `once-${task}`, ...common, '--max-steps', '1'];
    expect((await run(['train', ...flags], world)).code).toBe(0);
    const forward = vi.spyOn(Model.prototype, 'forward');
    const evaluation = ['evaluate', '--task', task, '--eval', file, '--model', `once-${task}`];
    const outcome = await run([...evaluation, '--json'], world);
    expect(outcome.json()[0]).toHaveProperty('confusion');
    expect(forward).toHaveBeenCalledTimes(1);
    forward.mockRestore();
  });

  test('the same seed gives the same losses; columns can be named; --max-steps', async () => {
    const bare = classify.map((part) => (part === 'train.tsv' ? 'bare.tsv' : part));
    const short = [...bare, '--columns', 'text,label', '--max-steps', '2', '--no-shuffle'];
    expect((await run([...short, '--output', 'one'], world)).code).toBe(0);
    expect((await run([...short, '--output', 'two'], world)).code).toBe(0);
    expect(lines('one/metrics.jsonl')).toEqual(lines('two/metrics.jsonl'));
    expect(lines('one/metrics.jsonl').filter((line) => 'loss' in line)).toHaveLength(2);
  });

  const tasks: [task: string, file: string][] = [
    ['regression', 'scores.jsonl'],
    ['token-classification', 'tags.conll'],
    ['question-answering', 'squad.json'],
    ['similarity', 'scores.jsonl'],
    ['mlm', 'text.txt'],
  ];
  test.each(tasks)('%s', async (task, file) => {
    const output = `out-${task}`;
    const flags = ['--task', task, '--train', file, '--eval', file, '--output', output, ...common, '--max-steps', '2'];
    const outcome = await run(['train', ...flags, '--json'], world);
    expect(outcome).toMatchObject({ code: 0 });
    const evaluated = await run(['evaluate', '--task', task, '--eval', file, '--model', output, '--json'], world);
    expect(evaluated).toMatchObject({ code: 0 });
  });

  test('says in a line what it came to; --confusion is of tasks with classes', async () => {
    const bare = ['train', '--task', 'mlm', '--train', 'text.txt', '--model', 'model', '--max-steps', '1'];
    expect((await run([...bare, '--output', 'line'], world)).stdout).toBe('line: 1 step\n');
    const picture = ['--eval', 'text.txt', '--model', 'line', '--confusion', 'no.svg'];
    const outcome = await run(['evaluate', '--task', 'mlm', ...picture], world);
    expect(outcome).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--confusion: got --task mlm') as string,
    });
  });

  test('on from a model with a head for other classes: as many keep it, another number begins one anew', async () => {
    const flags = ['train', '--task', 'classification', ...common.slice(2), '--max-steps', '1'];
    expect(
      (await run([...flags, '--model', 'model', '--train', 'train.tsv', '--output', 'two-ways'], world)).code,
    ).toBe(0);
    await writeFile(join(world.folder, 'three.tsv'), 'text\tlabel\nhello\ta\nworld\tb\nmat\tc\n');
    const three = await run([...flags, '--model', 'two-ways', '--train', 'three.tsv', '--output', 'three-ways'], world);
    expect(three).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('start at random: classifier.weight') as string,
    });
    const config = JSON.parse(readFileSync(join(world.folder, 'three-ways/config.json'), 'utf8')) as object;
    expect(config).toMatchObject({ id2label: { 0: 'a', 1: 'b', 2: 'c' } });
    const again = await run([...flags, '--model', 'two-ways', '--train', 'train.tsv', '--output', 'kept'], world);
    expect(again).toMatchObject({ code: 0, stderr: '' });
    expect((await run(['classify', 'hello', '--model', 'three-ways'], world)).code).toBe(0);
    await writeFile(join(world.folder, 'other.tsv'), 'text\tlabel\nhello\tx\nworld\ty\n');
    const renamed = await run([...flags, '--model', 'two-ways', '--train', 'other.tsv', '--output', 'renamed'], world);
    const stderr = 'bertscript: note: the head for 0, 1 is kept; its classes are now called x, y\n';
    expect(renamed).toMatchObject({ code: 0, stderr });
  });

  test('a regression gives its number, not a sigmoid of it', async () => {
    const flags = ['--task', 'regression', '--train', 'scores.jsonl', ...common, '--epochs', '9', '--output', 'number'];
    expect((await run(['train', ...flags, '--dropout', '0'], world)).code).toBe(0);
    const config = JSON.parse(readFileSync(join(world.folder, 'number/config.json'), 'utf8')) as object;
    expect(config).toMatchObject({ problem_type: 'regression' });
    const [{ labels }] = (await run(['classify', 'hello world', '--model', 'number', '--json'], world)).json<{ labels: { score: number }[] }>(); // prettier-ignore
    expect(labels[0].score).toBeGreaterThan(1.5);
    // On from there to classes, whose loss is another; and the same number from an adapter.
    const classes = ['train', '--task', 'classification', '--train', 'train.tsv', ...common.slice(2)];
    const on = await run([...classes, '--model', 'number', '--output', 'classes'], world);
    expect({ code: on.code, stderr: on.stderr }).toMatchObject({ code: 0 });
    const adapted = [...flags.slice(0, -1), 'low', '--dropout', '0', '--lora-rank', '2', '--lr', '0.05'];
    expect((await run(['train', ...adapted], world)).code).toBe(0);
    const scoreOf = async (...from: string[]) =>
      (await run(['classify', 'hello world', '--json', ...from], world)).json<{ labels: { score: number }[] }>()[0].labels[0].score; // prettier-ignore
    const merged = await scoreOf('--model', 'low');
    expect(merged).toBeGreaterThan(1.5);
    expect(await scoreOf('--model', 'model', '--adapter', 'low/adapter')).toBeCloseTo(merged, 3);
  });

  test('a sentence without a token is passed over', async () => {
    await writeFile(join(world.folder, 'gap.conll'), 'hello\tB-X\n\n\u200d\tO\n\ncat\tO\n');
    const flags = ['--task', 'token-classification', '--train', 'gap.conll', ...common, '--batch-size', '1', '--json'];
    const outcome = await run(['train', ...flags, '--epochs', '1', '--output', 'gap'], world);
    expect(outcome).toMatchObject({ code: 0 });
    expect(outcome.json()[0]).toMatchObject({ steps: 2 });
  });

  test('a loss that an evaluation has not is left out of the curve', async () => {
    const model = join(world.folder, 'tagger');
    const flags = ['--task', 'token-classification', '--train', 'tags.conll', ...common, '--max-steps', '1'];
    await writeFile(join(world.folder, 'nothing.conll'), '\u200d\tO\n'); // no token
    const outcome = await run(['train', ...flags, '--eval', 'nothing.conll', '--output', 'tagger'], world);
    expect(outcome).toMatchObject({ code: 0 });
    expect(lines('tagger/metrics.jsonl').at(-1)).toMatchObject({ eval_loss: null });
    expect(existsSync(join(model, 'loss.svg'))).toBe(true);
  });

  test('--dry-run trains nothing', async () => {
    const outcome = await run([...classify, '--dry-run', '--json'], world);
    expect(outcome.json()[0]).toMatchObject({ examples: 12, steps: 9, seconds_per_step: expect.any(Number) as number });
    expect(await run([...classify, '--dry-run', '--patience', '1', '--keep-best'], world)).toMatchObject({ code: 0 });
  });

  test('refuses to spoil what is there, unless it goes on with it', async () => {
    const outcome = await run([...classify, '--output', 'model'], world);
    expect(outcome).toMatchObject({ code: 2, stderr: expect.stringContaining('holds model.safetensors') as string });
    await rm(join(world.folder, 'resumed'), { recursive: true, force: true });
    expect((await run([...classify, '--output', 'resumed', '--resume'], world)).code).toBe(0);
    const done = readFileSync(join(world.folder, 'resumed/model.safetensors'));
    const again = await run([...classify, '--output', 'resumed', '--resume', '--max-steps', '1'], world);
    expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining('no training to go on with') as string });
    expect(readFileSync(join(world.folder, 'resumed/model.safetensors'))).toEqual(done);
  });

  test('that failed goes on with its log, and with the settings and the data that it began with', async () => {
    const same = rows.map((row) => JSON.stringify({ text: row, text_pair: 'mat', label: 1 })).join('\n');
    await writeFile(join(world.folder, 'constant.jsonl'), same);
    const begin = ['train', '--task', 'regression', '--train', 'scores.jsonl', ...common, '--keep-best'];
    const whole = await run([...begin, '--eval', 'scores.jsonl', '--output', 'whole'], world);
    expect(whole.code).toBe(0);
    const flags = [...begin, '--save-every', '2', '--output', 'failed'];
    const failed = await run([...flags, '--eval', 'constant.jsonl'], world);
    expect(failed).toMatchObject({ code: 2, stderr: expect.stringContaining('metric spearman') as string });
    const resume = [...flags, '--eval', 'scores.jsonl', '--resume'];
    for (const [flag, value, name] of [
      ['--batch-size', '6', '--batch-size: expected 4, got 6'],
      ['--epochs', '9', 'steps in all: expected 9, got 27'],
      ['--train', 'constant.jsonl', 'digest of the data'],
      ['--dropout', '0', 'dropout: expected'],
    ]) {
      const other = await run([...resume, flag, value], world);
      expect(other).toMatchObject({ code: 2, stderr: expect.stringContaining(name) as string });
    }
    expect((await run(resume, world)).code).toBe(0);
    expect(lines('failed/metrics.jsonl')).toEqual(lines('whole/metrics.jsonl'));
  });

  test('goes on after more steps than a call has room for arguments', async () => {
    await writeFile(join(world.folder, 'level.jsonl'), '{"text":"a","label":1}\n{"text":"cat","label":1}\n');
    const flags = ['train', '--task', 'regression', '--train', 'scores.jsonl', ...common, '--output', 'long'];
    const failed = await run([...flags, '--keep-best', '--eval', 'level.jsonl'], world);
    expect(failed).toMatchObject({ code: 2, stderr: expect.stringContaining('metric spearman') as string });
    const path = join(world.folder, 'long/.training/state.safetensors');
    const { tensors, metadata } = parseSafetensors(new Uint8Array(readFileSync(path)));
    const state = JSON.parse(metadata.get('state')!) as { history: object[] };
    const [step] = state.history;
    state.history = Array<object>(200_000).fill(step);
    const numbers = [...tensors].map(([name, view]) => {
      const data = view.dtype === 'F32' ? toFloat32(view) : toFloat64(view);
      return [name, { data, shape: view.shape }] as const;
    });
    await writeFile(path, writeSafetensors(new Map(numbers), { state: JSON.stringify(state) }));
    expect(await run([...flags, '--resume'], world)).toMatchObject({ code: 0 });
    expect(lines('long/metrics.jsonl')).toHaveLength(200_006);
  });

  test('--columns name those of the file that has some', async () => {
    const records = rows.map((row) => row.split('\t')).map(([text, label]) => JSON.stringify({ text, label }));
    await writeFile(join(world.folder, 'dev.jsonl'), records.join('\n'));
    const mixed = [...classify, '--columns', 'text,label', '--max-steps', '1', '--json'];
    const bare = await run([...mixed, '--train', 'bare.tsv', '--eval', 'dev.jsonl', '--output', 'mixed'], world);
    expect(bare).toMatchObject({ code: 0 });
    const none = await run([...mixed, '--train', 'dev.jsonl', '--eval', 'dev.jsonl', '--output', 'no'], world);
    const stderr = expect.stringContaining(
      '--columns: expected a table, .tsv or .csv, got dev.jsonl, dev.jsonl',
    ) as string;
    expect(none).toMatchObject({ code: 2, stderr });
    const tags = ['evaluate', '--task', 'token-classification', '--eval', 'bare.tsv', '--columns', 'text,label'];
    expect(await run(tags, world)).toMatchObject({ code: 2, stderr: expect.stringContaining('--columns') as string });
  });

  test.each([
    ['token-classification', 'tags.conll'],
    ['question-answering', 'squad.json'],
    ['similarity', 'scores.jsonl'],
    ['mlm', 'text.txt'],
  ])('--columns and, to evaluate, --similarity-loss mean nothing to %s in %s, and are refused', async (task, file) => {
    const flags = ['evaluate', '--task', task, '--eval', file, '--model', 'model'];
    for (const [more, message] of [
      [['--columns', 'text,label'], `--columns: expected a table, .tsv or .csv, got ${file}`],
      [['--similarity-loss', 'ranking'], '--similarity-loss'],
    ] as const) {
      const outcome = await run([...flags, ...more], world);
      expect(outcome).toMatchObject({ code: 2, stderr: expect.stringContaining(message) as string });
    }
  });

  const unfit: [task: string, file: string, content: string, message: string][] = [
    ['similarity', 'scores.jsonl', '{"text":"a","text_pair":"b","label":1}\n', 'at least two pairs'],
    ['mlm', 'text.txt', '\u200b\n', 'evaluation: expected some text'],
    [
      'question-answering',
      'squad.json',
      JSON.stringify({ data: [{ paragraphs: [{ context: 'a cat', qas: [{ id: '1', question: 'mat '.repeat(60), answers: [] }] }] }] }), // prettier-ignore
      'room for at least one token',
    ],
  ];
  test.each(unfit)(
    '%s: what cannot be evaluated is refused before the first step',
    async (task, file, content, said) => {
      const evaluation = `unfit-${file}`;
      await writeFile(join(world.folder, evaluation), content);
      const flags = ['--task', task, '--train', file, '--eval', evaluation, '--output', `unfit-${task}`];
      const outcome = await run(['train', ...flags, ...common], world);
      expect(outcome).toMatchObject({ code: 2, stderr: expect.stringContaining(said) as string });
      expect(existsSync(join(world.folder, `unfit-${task}/metrics.jsonl`))).toBe(false);
    },
  );

  const bad: [name: string, flags: string[], message: string][] = [
    ['no output', [], '--output'],
    ['--keep-best without anything to evaluate on', ['--output', 'x', '--keep-best'], '--keep-best: expected examples'],
    ['--patience without', ['--output', 'x', '--patience', '1'], 'patience: expected examples to evaluate on'],
    ['a single class', ['--output', 'x', '--train', 'one.tsv'], 'one.tsv: expected at least two classes, got only "1"'],
    ['a header that is missing', ['--output', 'x', '--train', 'bare.tsv'], 'or pass --columns'],
    ['masks', ['--output', 'x', '--mask-unit', 'word'], '--mask-unit: got --task classification, which has none'],
    ['a loss of vectors', ['--output', 'x', '--similarity-loss', 'ranking'], '--similarity-loss: got --task'],
    ['int8', ['--output', 'x', '--dtype', 'q8'], '--dtype q8'],
    ['a learning rate that diverges', ['--output', 'x', '--lr', '1e38'], 'a finite loss'],
  ];
  test.each(bad)('%s is one line of error', async (_, flags, message) => {
    const outcome = await run([...classify.filter((_, i) => i !== 5 && i !== 6), ...flags], world);
    expect(outcome.code).toBe(2);
    expect(outcome.stderr.trim().split('\n').at(-1)).toContain(message);
  });
});

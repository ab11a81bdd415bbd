import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeSafetensors } from '../../src/safetensors/index.ts';
import { expected, pipelineFiles, type Checkpoint } from '../support/pipelines.ts';
import { root, run, temporaryFolder } from './harness.ts';

// The commands of the tasks: the fields of the contract, tables, refusals. The numbers are checked in tests/tasks.

const folder = await temporaryFolder();
const shippedModel = join(root, 'weights/all-MiniLM-L6-v2');
const world = { folder, shippedModel };

beforeAll(async () => {
  for (const name of ['sentiment', 'ranker', 'inference', 'ner', 'qa', 'masked'] as Checkpoint[]) {
    await mkdir(join(folder, name));
    for (const [file, content] of Object.entries(pipelineFiles(name))) {
      await writeFile(join(folder, name, file), content);
    }
  }
  await writeFile(join(folder, 'lines.txt'), 'A cat sleeps.\nStocks fell.\nThe kitten naps.\n');
  await writeFile(join(folder, 'tall.txt'), 'The tower is 31 metres tall.\nIt is white.\n');
});

const near = (actual: number, wanted: number) => expect(Math.abs(actual - wanted)).toBeLessThan(1e-5);

/** Runs a command that must do well, and gives its lines of JSON. */
async function json(...args: string[]): Promise<Record<string, unknown>[]> {
  const { code, stderr, json: lines } = await run([...args, '--json'], world);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return lines();
}

describe('with --json', () => {
  it('classify: texts and pairs, all labels, or the best', async () => {
    const [row] = expected['text-classification'];
    const [one, two] = await json('classify', '--model', 'sentiment', row.text, 'Another text.');
    expect(Object.keys(one)).toEqual(['index', 'text', 'labels']);
    expect([one.index, one.text, two.index]).toEqual([0, row.text, 1]);
    const labels = one.labels as typeof row.labels;
    expect(labels.map(({ label }) => label)).toEqual(row.labels.map(({ label }) => label));
    labels.forEach(({ score }, i) => near(score, row.labels[i].score));
    const [pair] = await json('classify', '--model', 'sentiment', 'a', '--pair', 'b', '--top-k', '1');
    expect(pair).toMatchObject({ index: 0, text: 'a', text_pair: 'b' });
    expect(pair.labels).toHaveLength(1);
  });

  it('zero-shot', async () => {
    const [{ labels, result }] = expected['zero-shot-classification'];
    const [row] = await json('zero-shot', '--model', 'inference', '--labels', labels.join(', '), result.sequence);
    expect(Object.keys(row)).toEqual(['index', 'text', 'labels']);
    const scored = row.labels as { label: string; score: number }[];
    expect(scored.map(({ label }) => label)).toEqual(result.labels);
    scored.forEach(({ score }, i) => near(score, result.scores[i]));
    const more = await json(
      'zero-shot',
      '--model',
      'inference',
      '--labels',
      'a,b',
      '--multi-label',
      '--hypothesis-template',
      'On {}.',
      'x',
    );
    expect(more[0].labels).toHaveLength(2);
  });

  it.each(['none', 'simple', 'first', 'average', 'max'] as const)('ner --aggregation %s', async (strategy) => {
    const wanted = expected['token-classification'].find((row) => row.strategy === strategy)!;
    const options = ['--model', 'ner', '--aggregation', strategy, '--offsets', 'codepoint'];
    const [row] = await json('ner', ...options, wanted.text);
    expect(Object.keys(row)).toEqual(['index', 'text', 'entities']);
    const entities = row.entities as Record<string, unknown>[];
    expect(Object.keys(entities[0])).toEqual(['entity', 'score', 'word', 'start', 'end']);
    expect(entities.map(({ entity, word, start, end }) => [entity, word, start, end])).toEqual(
      wanted.entities.map((e) => [e.entity_group ?? e.entity, e.word, e.start, e.end]),
    );
  });

  it('qa: from an argument, a file and stdin', async () => {
    const [{ question, context, answers }] = expected['question-answering'];
    const [row] = await json('qa', '--model', 'qa', '--question', question, '--context', context);
    expect(Object.keys(row)).toEqual(['answer', 'score', 'start', 'end']);
    expect([row.answer, row.start, row.end]).toEqual([
      answers.list[0].answer,
      answers.list[0].start,
      answers.list[0].end,
    ]);
    const [fromFile] = await json('qa', '--model', 'qa', '--question', 'How tall?', '--context-file', 'tall.txt');
    const argument = 'The tower is 31 metres tall.\nIt is white.\n';
    expect([fromFile]).toEqual(await json('qa', '--model', 'qa', '--question', 'How tall?', '--context', argument));
    expect(
      await json('qa', '--model', 'qa', '--question', question, '--context', context, '--top-k', '3'),
    ).toHaveLength(3);
  });

  it('fill-mask', async () => {
    const wanted = expected['fill-mask'].find(({ result }) => result.length > 1)!;
    const [row] = await json('fill-mask', '--model', 'masked', '--top-k', '2', wanted.text);
    expect(Object.keys(row)).toEqual(['index', 'text', 'masks']);
    const masks = row.masks as Record<string, unknown>[][];
    expect(Object.keys(masks[0][0])).toEqual(['token', 'id', 'score', 'sequence']);
    expect(masks.map((mask) => mask.map(({ id }) => id))).toEqual(
      wanted.result.map((mask) => mask.map(({ token }) => token)),
    );
  });

  it('rerank: by logits, the best first', async () => {
    const rows = await json(
      'rerank',
      '--model',
      'ranker',
      '--query',
      'How tall is the tower?',
      'It is 31 metres tall.',
      'Bread.',
    );
    expect(Object.keys(rows[0])).toEqual(['index', 'text', 'score', 'logit']);
    expect(rows[0].logit).toBeGreaterThan(rows[1].logit as number);
    near(rows[0].score as number, 1 / (1 + Math.exp(-(rows[0].logit as number))));
    const best = await json(
      'rerank',
      '--model',
      'ranker',
      '--query',
      'How tall is the tower?',
      '--top-k',
      '1',
      '--input',
      'lines.txt',
    );
    expect(best).toHaveLength(1);
  });

  it('summarize: lines as texts, or a file as one', async () => {
    const each = await json('summarize', '--input', 'lines.txt', '--sentences', '1');
    expect(each.map(({ summary }) => summary)).toEqual(['A cat sleeps.', 'Stocks fell.', 'The kitten naps.']);
    const [whole] = await json('summarize', '--document', 'lines.txt', '--sentences', '2');
    expect(Object.keys(whole)).toEqual(['index', 'summary', 'sentences']);
    expect(whole.sentences).toHaveLength(2);
  });

  it('search: over a corpus, over saved vectors, over both; by any precision', async () => {
    const wanted = await json('search', '--corpus', 'lines.txt', '--query', 'a young cat', '--top-k', '2');
    expect(wanted.map(({ index }) => index).sort()).toEqual([0, 2]);
    for (const file of ['lines.npy', 'lines.safetensors']) {
      await run(['embed', '--input', 'lines.txt', '--output', file], world);
      for (const precision of ['float32', 'int8', 'binary']) {
        const options = [
          '--index',
          file,
          '--query',
          'a young cat',
          '--top-k',
          '2',
          '--precision',
          precision,
          '--rescore',
          '2',
        ];
        expect(await json('search', ...options, '--corpus', 'lines.txt')).toEqual(wanted);
        expect(await json('search', ...options)).toEqual(wanted.map((row) => ({ ...row, text: null })));
      }
    }
  });
});

describe('as tables', () => {
  it.each([
    [
      ['classify', '--model', 'sentiment', '--top-k', '1', 'Great music'],
      /^index {2}label +score +text\n +0 {2}\w+ +0\.\d{4} {2}Great music\n$/,
    ],
    [
      ['zero-shot', '--model', 'inference', '--labels', 'a', 'Great music'],
      /^index {2}label {2}score +text\n +0 {2}a +[01]\.\d{4} {2}Great music\n$/,
    ],
    [
      ['ner', '--model', 'ner', '--aggregation', 'simple', 'Paul sailed'],
      /^index {2}entity {2}score +start {2}end {2}word\n/,
    ],
    [
      ['qa', '--model', 'qa', '--question', 'How tall?', '--context', 'It is 31 metres tall.'],
      /^score +start {2}end {2}answer\n0\.\d{4} /,
    ],
    [
      ['fill-mask', '--model', 'masked', '--top-k', '1', 'The [MASK].'],
      /^index {2}mask {2}token +score +sequence\n +0 +1 {2}/,
    ],
    [['rerank', '--model', 'ranker', '--query', 'q', 'a'], /^index {2}score +logit +text\n +0 {2}/],
    [['summarize', '--sentences', '1', 'One sentence.'], /^One sentence\.\n$/],
    [['search', '--corpus', 'lines.txt', '--query', 'a young cat', '--top-k', '1'], /^rank {2}index {2}score +text\n/],
  ])('%s', async (args, shape) => {
    const { code, stdout, stderr } = await run(args, world);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(shape);
  });

  it('say that a text was cut', async () => {
    const { stderr } = await run(['classify', '--model', 'sentiment', 'The tower is tall. '.repeat(30)], world);
    expect(stderr).toBe(
      'bertscript: note: the text is longer than the model reads and cut there; --overflow chunk reads them whole\n',
    );
  });
});

describe('refuse', () => {
  const cases: [string, string[], RegExp][] = [
    [
      'a model without the head',
      ['classify', 'a'],
      /classify: .*config\.json: expected a model …ForSequenceClassification, got BertModel, which serves feature-extraction/,
    ],
    [
      'a model with another head',
      ['ner', '--model', 'qa', 'a'],
      /expected a model …ForTokenClassification, got BertForQuestionAnswering, which serves question-answering/,
    ],
    [
      'no labels',
      ['zero-shot', '--model', 'inference', '--labels', ' , ', 'a'],
      /--labels: expected labels with commas between, each once, got none/,
    ],
    [
      'an empty label',
      ['zero-shot', '--model', 'inference', '--labels', 'x,,y', 'a'],
      /--labels: expected labels with commas between, each once, got an empty one in "x,,y"/,
    ],
    [
      'a label twice',
      ['zero-shot', '--model', 'inference', '--labels', 'x,y, x', 'a'],
      /--labels: expected labels with commas between, each once, got "x" more than once/,
    ],
    [
      'a template without a place',
      ['zero-shot', '--model', 'inference', '--labels', 'a', '--hypothesis-template', 'x', 'a'],
      /--hypothesis-template: expected a text with \{\}/,
    ],
    ['no mask', ['fill-mask', '--model', 'masked', 'a'], /text 0: expected \[MASK\] in place of a word/],
    [
      'a target of several tokens',
      ['fill-mask', '--model', 'masked', '--targets', 'lindqvist', '[MASK]'],
      /targets: "lindqvist": expected one token/,
    ],
    [
      'no context',
      ['qa', '--model', 'qa', '--question', 'q'],
      /context: expected --context or --context-file, got neither/,
    ],
    [
      'an empty context',
      ['qa', '--model', 'qa', '--question', 'q', '--context', ' '],
      /question 0: context: expected a text, got " "; pass --question and --context/,
    ],
    [
      'a text too long',
      ['classify', '--model', 'sentiment', '--overflow', 'error', 'a '.repeat(99)],
      /text 0: expected at most 64 tokens, got 101; shorten it, or pass --overflow truncate or --overflow chunk/,
    ],
    [
      'a ranker of many labels',
      ['rerank', '--model', 'sentiment', '--query', 'q', 'a'],
      /rerank: model: expected one label/,
    ],
    ['two documents', ['summarize', '--document', 'lines.txt', 'a'], /--document: got texts as arguments too/],
    ['nothing to search', ['search', '--query', 'q'], /nothing to search; pass --corpus FILE, --index FILE, or both/],
    [
      'vectors of another corpus',
      ['search', '--query', 'q', '--corpus', 'tall.txt', '--index', 'lines.npy'],
      /lines\.npy: expected 2 vectors, one for each text of tall\.txt, got 3/,
    ],
    [
      'vectors of another model',
      ['search', '--query', 'q', '--index', 'small.safetensors'],
      /query: expected 2 numbers, as the vectors of the index have, got 384/,
    ],
    [
      'a file of something else',
      ['search', '--query', 'q', '--index', 'broken.npy'],
      /broken\.npy: expected a NumPy file, got other bytes/,
    ],
    [
      'a file cut off',
      ['search', '--query', 'q', '--index', 'cut.npy'],
      /cut\.npy: expected 4608 bytes for 3 by 384 numbers, got 4600/,
    ],
    [
      'no file of vectors',
      ['search', '--query', 'q', '--index', 'lines.txt'],
      /--index: expected a name ending in \.npy or \.safetensors/,
    ],
    [
      'tensors without embeddings',
      ['search', '--query', 'q', '--index', 'sentiment/encoder.safetensors'],
      /tensor embeddings: expected a matrix/,
    ],
  ];
  it.each(cases)('%s', async (_, args, says) => {
    await run(['embed', '--input', 'lines.txt', '--output', 'lines.npy'], world);
    const { readFile } = await import('node:fs/promises');
    await writeFile(join(folder, 'cut.npy'), (await readFile(join(folder, 'lines.npy'))).subarray(0, -8));
    await writeFile(join(folder, 'broken.npy'), 'not a NumPy file');
    const small = { embeddings: { data: Float32Array.of(1, 2), shape: [1, 2] } };
    await writeFile(join(folder, 'small.safetensors'), writeSafetensors(small));
    const { code, stdout, stderr } = await run(args, world);
    expect(stderr).toMatch(says);
    expect(stderr).toMatch(/^bertscript [\w-]+: [^\n]+\n$/);
    expect([code, stdout]).toEqual([2, '']);
  });
});

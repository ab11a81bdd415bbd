import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { run, temporaryFolder, tinyModel } from './harness.ts';

const folder = await temporaryFolder();
const shippedModel = await tinyModel(folder);
const world = { folder, shippedModel };

describe('tokenize', () => {
  test('prints every field of the contract', async () => {
    const { code, stdout, stderr } = await run(['tokenize', 'hello cats!', '--pair', 'é'], world);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toBe(
      '{"index":0,"window":0,"tokens":["[CLS]","hello","cat","##s","!","[SEP]","[UNK]","[SEP]"],' +
        '"input_ids":[2,5,8,13,15,3,1,3],"token_type_ids":[0,0,0,0,0,0,1,1],"attention_mask":[1,1,1,1,1,1,1,1],' +
        '"special_tokens_mask":[1,0,0,0,0,1,0,1],' +
        '"offset_mapping":[[0,0],[0,5],[6,9],[9,10],[10,11],[0,0],[0,1],[0,0]],' +
        '"word_ids":[null,0,1,1,2,null,0,null],"truncated":false}\n',
    );
  });

  test('offsets in UTF-16 units or code points', async () => {
    const offsets = async (...flags: string[]) =>
      (await run(['tokenize', '😀 cat', ...flags], world)).json()[0].offset_mapping;
    expect(await offsets()).toEqual([[0, 0], [0, 2], [3, 6], [0, 0]]); // prettier-ignore
    expect(await offsets('--offsets', 'codepoint')).toEqual([[0, 0], [0, 1], [2, 5], [0, 0]]); // prettier-ignore
  });

  test('nothing is truncated or padded unless asked', async () => {
    const rows = (await run(['tokenize', 'cat '.repeat(100), 'cat'], world)).json<{ tokens: string[] }>();
    expect(rows.map(({ tokens }) => tokens.length)).toEqual([102, 3]);
  });

  test('longest is the longest of the whole input', async () => {
    const { stdout } = await run(['tokenize', 'a', 'a cat sat', '--padding', 'longest'], world);
    const rows = stdout.trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown[]>); // prettier-ignore
    expect(rows[0].tokens).toEqual(['[CLS]', 'a', '[SEP]', '[PAD]', '[PAD]']);
    expect(rows[0].attention_mask).toEqual([1, 1, 1, 0, 0]);
    expect(rows[0].special_tokens_mask).toEqual([1, 0, 1, 1, 1]);
    expect(rows[1].attention_mask).toEqual([1, 1, 1, 1, 1]);
  });

  test('stride gives every window', async () => {
    const args = ['tokenize', 'a cat sat on the mat', '--max-length', '5', '--stride', '1'];
    const rows = (await run(args, world)).json();
    expect(rows.map(({ index, window, tokens }) => [index, window, tokens])).toEqual([
      [0, 0, ['[CLS]', 'a', 'cat', 'sat', '[SEP]']],
      [0, 1, ['[CLS]', 'sat', 'on', 'the', '[SEP]']],
      [0, 2, ['[CLS]', 'the', 'mat', '[SEP]']],
    ]);
    expect(rows.map(({ truncated }) => truncated)).toEqual([true, true, true]);
    const padded = (await run([...args, '--padding', 'max_length'], world)).json<{ input_ids: number[] }>();
    expect(padded.map(({ input_ids }) => input_ids.length)).toEqual([5, 5, 5]);
  });

  test('without stride only the first window', async () => {
    const { json } = await run(['tokenize', 'a cat sat on the mat', '--max-length', '5'], world);
    expect(json().map(({ tokens, truncated }) => [tokens, truncated])).toEqual([
      [['[CLS]', 'a', 'cat', 'sat', '[SEP]'], true],
    ]);
  });

  test('truncation strategies', async () => {
    const args = ['tokenize', 'a cat sat', '--pair', 'on the mat', '--max-length', '7', '--truncation'];
    const tokens = async (strategy: string) => (await run([...args, strategy], world)).json()[0].tokens;
    expect(await tokens('only_first')).toEqual(['[CLS]', 'a', '[SEP]', 'on', 'the', 'mat', '[SEP]']);
    expect(await tokens('only_second')).toEqual(['[CLS]', 'a', 'cat', 'sat', '[SEP]', 'on', '[SEP]']);
    expect(await tokens('longest_first')).toEqual(['[CLS]', 'a', 'cat', '[SEP]', 'on', 'the', '[SEP]']);
  });

  test('without special tokens', async () => {
    const [row] = (await run(['tokenize', 'a cat', '--no-special-tokens'], world)).json();
    expect(row).toMatchObject({ tokens: ['a', 'cat'], token_type_ids: [0, 0], special_tokens_mask: [0, 0] });
  });

  test('one --pair serves all texts, or there is one for each', async () => {
    const ids = async (...args: string[]) => (await run(['tokenize', ...args], world)).json().map((r) => r.input_ids);
    expect(await ids('a', 'cat', '--pair', 'mat')).toEqual([[2, 7, 3, 12, 3], [2, 8, 3, 12, 3]]); // prettier-ignore
    expect(await ids('a', 'cat', '--pair', 'mat', '--pair', '')).toEqual([[2, 7, 3, 12, 3], [2, 8, 3, 3]]); // prettier-ignore
  });

  test('texts that begin with a dash', async () => {
    const { json } = await run(['tokenize', '--no-special-tokens', '--', '-cat', '--model'], world);
    expect(json().map(({ tokens }) => tokens)).toEqual([['-', 'cat'], ['-', '-', '[UNK]']]); // prettier-ignore
  });

  test('a file, stdin, and a format that overrides the name', async () => {
    await writeFile(join(folder, 'texts.csv'), 'id,text\n1,"a, cat"\n');
    const count = async (args: string[], stdin = '') =>
      (await run(['tokenize', ...args], { ...world, stdin })).json<{ tokens: string[] }>().map((r) => r.tokens.length);
    expect(await count(['--input', 'texts.csv'])).toEqual([5]);
    expect(await count(['--input', 'texts.csv', '--input-format', 'txt'])).toEqual([5, 9]);
    expect(await count(['--input', '-'], 'cat\n\na cat')).toEqual([3, 2, 4]);
    expect(await count(['--input', '-', '--input-format', 'jsonl'], '{"text":"cat","text_pair":""}')).toEqual([4]);
  });

  test('the common flags are taken, --json too', async () => {
    const flags = ['--json', '--dtype', 'f32', '--threads', 'auto', '--kernels', 'reference', '--turbo'];
    const { code, stderr } = await run(['tokenize', 'cat', '--model', shippedModel, ...flags], world);
    expect([code, stderr]).toEqual([0, '']);
  });
});

describe('decode', () => {
  test('reads what tokenize prints', async () => {
    const { stdout } = await run(['tokenize', 'hello cats !', 'the mat'], world);
    const decoded = await run(['decode'], { ...world, stdin: stdout });
    expect(decoded.json()).toEqual([
      { index: 0, text: '[CLS] hello cats! [SEP]' },
      { index: 1, text: '[CLS] the mat [SEP]' },
    ]);
    const bare = await run(['decode', '--skip-special-tokens', '--input', '-'], { ...world, stdin: stdout });
    expect(bare.json().map(({ text }) => text)).toEqual(['hello cats!', 'the mat']);
  });

  test('ids as arguments, or in a file of any name', async () => {
    const { json } = await run(['decode', '[8, 13]', '{"input_ids": [7]}'], world);
    expect(json()).toEqual([{ index: 0, text: 'cats' }, { index: 1, text: 'a' }]); // prettier-ignore
    await writeFile(join(folder, 'ids'), '{"input_ids":[]}\n');
    expect((await run(['decode', '--input', 'ids'], world)).json()).toEqual([{ index: 0, text: '' }]);
  });
});

import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { BertTokenizer, RobertaTokenizer, trainByteLevelBpe } from '../../src/tokenizer/index.ts';
import { run, temporaryFolder, type World } from './harness.ts';

const lines = ['the cat sat on the mat', 'the dog sat on the cat', 'Cats and dogs: cats, dogs.'];
let world: World;

beforeAll(async () => {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'lines.txt'), lines.join('\n'));
  await writeFile(join(folder, 'pairs.jsonl'), '{"text": "a cat", "text_pair": "a dog"}\n');
  world = { folder };
});

describe('train-tokenizer', () => {
  const train = (...args: string[]) => run(['train-tokenizer', '--input', 'lines.txt', ...args], world);

  test('writes a WordPiece tokenizer that loads', async () => {
    const { code, stdout } = await train('--vocab-size', '60', '--output', 'bert');
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^bert: wordpiece, 38 tokens from 3 texts\n$/),
    });
    const folder = join(world.folder, 'bert');
    expect((await readdir(folder)).sort()).toEqual(['tokenizer.json', 'tokenizer_config.json', 'vocab.txt']);
    const tokenizer = await BertTokenizer.fromPretrained(folder);
    expect(tokenizer.encode('The cat').tokens).toEqual(['[CLS]', 'the', 'cat', '[SEP]']);
  });

  test('writes a byte-level BPE, as the library trains it', async () => {
    const options = ['--type', 'bpe', '--min-frequency', '1', '--special-tokens', '<s>,</s>', '--lowercase'];
    const outcome = await train(...options, '--input', 'pairs.jsonl', '--output', 'roberta', '--json');
    const expected = await trainByteLevelBpe([...lines, 'a cat', 'a dog'], {
      minFrequency: 1,
      specialTokens: ['<s>', '</s>'],
      lowercase: true,
    });
    const [tokens, merges] = [expected.tokens.length, expected.merges.length];
    expect(outcome.json()).toEqual([{ output: 'roberta', type: 'bpe', texts: 5, tokens, merges }]);
    const folder = join(world.folder, 'roberta');
    for (const [name, content] of Object.entries(expected.files())) {
      expect(await readFile(join(folder, name), 'utf8')).toBe(content);
    }
    const tokenizer = await RobertaTokenizer.fromPretrained(folder);
    expect(tokenizer.encode('THE cat').tokens).toEqual(['<s>', 'the', 'Ġcat', '</s>']);
  });

  test('leaves nothing of a tokenizer of the other type there, and all else', async () => {
    const folder = join(world.folder, 'turned');
    const names = async (type: string) => {
      expect((await train('--type', type, '--output', 'turned', '--force')).code).toBe(0);
      return (await readdir(folder)).sort();
    };
    await names('wordpiece');
    await writeFile(join(folder, 'config.json'), '{}');
    const always = ['config.json', 'tokenizer.json', 'tokenizer_config.json'];
    expect(await names('bpe')).toEqual([always[0], 'merges.txt', ...always.slice(1), 'vocab.json']);
    expect(await names('wordpiece')).toEqual([...always, 'vocab.txt']);
  });

  test('overwrites only when told to, and refuses what has no sense', async () => {
    await train('--output', 'again');
    const { code, stderr } = await train('--output', 'again');
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr:
        'bertscript train-tokenizer: --output again: got a folder that holds tokenizer.json; pass another folder, or --force\n',
    });
    expect((await train('--output', 'again', '--force')).code).toBe(0);
    for (const [flag, value] of [
      ['--vocab-size', '0'],
      ['--type', 'unigram'],
      ['--special-tokens', 'a,,b'],
      ['--input', 'none.txt'],
    ]) {
      expect((await train('--output', 'other', flag, value)).code, flag).toBe(2);
    }
    expect(await readdir(world.folder)).not.toContain('other');
  });
});

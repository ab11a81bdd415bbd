import { lstat, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { parseSafetensors, toFloat32 } from '../../src/safetensors/index.ts';
import { cosineSimilarity, SentenceEncoder } from '../../src/tasks/index.ts';
import { run, temporaryFolder, tinyModel } from './harness.ts';

const folder = await temporaryFolder();
const shippedModel = await tinyModel(folder);
const world = { folder, shippedModel };
const texts = ['hello world', 'a cat sat on the mat', ''];
const long = 'cat '.repeat(30).trim();
let encoder: SentenceEncoder;
let expected: number[][];

beforeAll(async () => {
  encoder = await SentenceEncoder.fromPretrained(shippedModel);
  expected = encoder.encode(texts).map(({ embedding }) => Array.from(embedding));
});

describe('embed', () => {
  test('prints every field of the contract', async () => {
    const { code, stderr, json } = await run(['embed', ...texts], world);
    expect([code, stderr]).toEqual([0, '']);
    expect(json()).toEqual([
      { index: 0, text: texts[0], embedding: expected[0], token_count: 4, truncated: false, dtype: 'f32' },
      { index: 1, text: texts[1], embedding: expected[1], token_count: 8, truncated: false, dtype: 'f32' },
      { index: 2, text: texts[2], embedding: expected[2], token_count: 2, truncated: false, dtype: 'f32' },
    ]);
    expect(Object.keys(json()[0])).toEqual(['index', 'text', 'embedding', 'token_count', 'truncated', 'dtype']);
  });

  test('pairs', async () => {
    const { json } = await run(['embed', 'a cat', '--pair', ''], world);
    const [{ embedding }] = encoder.encode([['a cat', '']]);
    expect(json()).toMatchObject([{ text: 'a cat', text_pair: '', embedding: [...embedding], token_count: 5 }]);
  });

  test('pooling, normalization and dimensions', async () => {
    const { json } = await run(
      ['embed', texts[1], '--pooling', 'cls', '--no-normalize', '--dimensions', '5', '--dtype', 'q8'],
      world,
    );
    const q8 = await SentenceEncoder.fromPretrained(shippedModel, { dtype: 'q8' });
    const [{ embedding }] = q8.encode([texts[1]], { pooling: 'cls', normalize: false, dimensions: 5 });
    expect(json()).toMatchObject([{ embedding: [...embedding], dtype: 'q8' }]);
  });

  test('truncation shows in the line, and once on stderr', async () => {
    const { code, stderr, json } = await run(['embed', long, 'cat', long], world);
    expect(code).toBe(0);
    expect(json().map(({ token_count, truncated }) => [token_count, truncated])).toEqual([
      [32, true],
      [3, false],
      [32, true],
    ]);
    expect(stderr).toBe(
      'bertscript: note: 2 of 3 texts are longer than 16 tokens and cut there; --overflow chunk reads them whole\n',
    );
  });

  test('chunks are no truncation', async () => {
    const { stderr, json } = await run(['embed', long, '--overflow', 'chunk'], world);
    const [{ embedding }] = encoder.encode([long], { overflow: 'chunk' });
    expect(json()).toMatchObject([{ embedding: [...embedding], token_count: 32, truncated: false }]);
    expect(stderr).toBe('');
  });

  test('--output F.jsonl', async () => {
    const toFile = await run(['embed', ...texts, '--output', 'e.jsonl'], world);
    expect(toFile).toMatchObject({ code: 0, stdout: '', stderr: 'bertscript: note: wrote 3 vectors to e.jsonl\n' });
    expect(await readFile(join(folder, 'e.jsonl'), 'utf8')).toBe((await run(['embed', ...texts], world)).stdout);
  });

  test('--output F.npy', async () => {
    await run(['embed', ...texts, '--output', 'e.npy'], world);
    const bytes = await readFile(join(folder, 'e.npy'));
    expect(bytes.subarray(0, 10)).toEqual(Buffer.from('\x93NUMPY\x01\x00\x76\x00', 'latin1'));
    const header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 24), }";
    expect(bytes.subarray(10, 128).toString()).toBe(`${header.padEnd(117)}\n`);
    expect([...new Float32Array(new Uint8Array(bytes).buffer, 128)]).toEqual(expected.flat());
  });

  test('--output F.safetensors', async () => {
    await run(['embed', ...texts, '--output', 'e.safetensors'], world);
    const { tensors } = parseSafetensors(await readFile(join(folder, 'e.safetensors')));
    expect(tensors.get('embeddings')).toMatchObject({ dtype: 'F32', shape: [3, 24] });
    expect([...toFloat32(tensors.get('embeddings')!)]).toEqual(expected.flat());
  });

  test('--output through a link writes what it points to', async () => {
    await writeFile(join(folder, 'target.jsonl'), 'old');
    await symlink('target.jsonl', join(folder, 'link.jsonl'));
    await symlink('made.jsonl', join(folder, 'dangling.jsonl'));
    for (const [link, target] of [
      ['link.jsonl', 'target.jsonl'],
      ['dangling.jsonl', 'made.jsonl'],
    ]) {
      // prettier-ignore
      expect((await run(['embed', 'cat', '--output', link], world)).code).toBe(0);
      expect((await lstat(join(folder, link))).isSymbolicLink()).toBe(true);
      expect(JSON.parse(await readFile(join(folder, target), 'utf8'))).toMatchObject({ text: 'cat' });
    }
  });

  test('an output that fails on the way leaves nothing behind, and keeps what was there', async () => {
    await writeFile(join(folder, 'kept.jsonl'), 'old');
    const { code } = await run(['embed', 'cat', long, '--overflow', 'error', '--output', 'kept.jsonl'], world);
    expect(code).toBe(2);
    expect(await readFile(join(folder, 'kept.jsonl'), 'utf8')).toBe('old');
    expect((await readdir(folder)).filter((name) => name.includes('tmp'))).toEqual([]);
  });

  test('what was asked for and cannot be had is said', async () => {
    const flags = ['--kernels', 'reference', '--threads', '4', '--turbo'];
    const { code, stderr } = await run(['embed', 'cat', ...flags], world);
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /^bertscript: note: turbo: reference kernels .*\nbertscript: note: threads: reference kernels .*\n$/,
    );
  });
});

describe('similarity', () => {
  const all = (scores: number[][]) => [
    { a: 0, b: 1, score: scores[0][1] },
    { a: 0, b: 2, score: scores[0][2] },
    { a: 1, b: 2, score: scores[1][2] },
  ];

  test('--json gives a line per pair', async () => {
    const { json } = await run(['similarity', ...texts, '--json'], world);
    expect(json()).toEqual(all(expected.map((a) => expected.map((b) => cosineSimilarity(a, b)))));
  });

  test('else a matrix', async () => {
    const { stdout } = await run(['similarity', 'hello world', 'hello world'], world);
    expect(stdout).toBe('                  1     2\n1 hello world ██1.0 ██1.0\n2 hello world ██1.0 ██1.0\n');
  });

  test('or, when it is too wide, a table', async () => {
    const { stdout } = await run(['similarity', 'hello', 'hello', '--dtype', 'f32'], { ...world, columns: 20 });
    expect(stdout).toBe('a  b  score   texts\n0  1  1.0000  hello | hello\n');
  });
});

describe('search', () => {
  beforeAll(() =>
    writeFile(join(folder, 'corpus.jsonl'), texts.map((text) => `${JSON.stringify({ text })}\n`).join('')),
  );

  test('--json gives ranked lines', async () => {
    const { json } = await run(['search', '--corpus', 'corpus.jsonl', '--query', texts[1], '--json'], world);
    const scores = expected.map((vector, index) => ({ index, score: cosineSimilarity(expected[1], vector) }));
    const best = scores.sort((a, b) => b.score - a.score);
    // The index keeps its vectors at length 1, in float32.
    const lines = best.map(({ index, score }, i) => {
      return { rank: i + 1, index, text: texts[index], score: expect.closeTo(score, 6) as number };
    });
    expect(json()).toEqual(lines);
    expect(json<{ score: number }>()[0].score).toBeLessThanOrEqual(1);
    expect(best[0].index).toBe(1);
  });

  test('--top-k and the table', async () => {
    const { stdout } = await run(['search', '--corpus', '-', '--query', 'cat', '--top-k', '1'], {
      ...world,
      stdin: 'mat\ncat\n',
    });
    expect(stdout).toBe('rank  index  score   text\n   1      1  1.0000  cat\n');
  });
});

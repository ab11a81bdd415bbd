import { describe, expect, test } from 'vitest';
import { CheckpointError } from '../../src/errors.ts';
import { MemoryFiles, openFiles } from '../../src/hub/index.ts';
import { loadTensors, toInt8, writeSafetensors } from '../../src/safetensors/index.ts';
import { fixture } from './files.ts';

const INDEX = 'model.safetensors.index.json';

/** A file whose tensors are one I8 each: their name → their value. */
function shard(values: Record<string, number>, metadata: Record<string, string> = {}): Uint8Array {
  const tensors = Object.entries(values).map(
    ([name, value]) => [name, { data: Int8Array.of(value), shape: [1] }] as const,
  );
  return writeSafetensors(new Map(tensors), metadata);
}

const one = shard({ a: 1, b: 2 }, { format: 'pt', part: 'one' });
const two = shard({ c: 3 }, { format: 'pt', part: 'two' });

function index(weightMap: unknown): string {
  return JSON.stringify({ metadata: { total_size: 3 }, weight_map: weightMap });
}

const map = { a: '1.safetensors', b: '1.safetensors', c: '2.safetensors' };

describe('a checkpoint', () => {
  test('of one file', async () => {
    const { tensors, metadata, unlisted } = await loadTensors(new MemoryFiles({ 'model.safetensors': one }));
    expect([...tensors.keys()]).toEqual(['a', 'b']);
    expect(tensors.get('a')?.file).toBe('memory/model.safetensors');
    expect(metadata.get('part')).toBe('one');
    expect(unlisted).toEqual([]);
  });

  test('of several files is one map', async () => {
    const files = new MemoryFiles({ [INDEX]: index(map), '1.safetensors': one, '2.safetensors': two });
    const { tensors, metadata, unlisted } = await loadTensors(files);
    expect([...tensors].map(([name, view]) => [name, toInt8(view)[0]])).toEqual([
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ]);
    expect(tensors.get('c')?.file).toBe('memory/2.safetensors');
    expect([...metadata]).toEqual([
      ['format', 'pt'],
      ['part', 'one'],
    ]);
    expect(unlisted).toEqual([]);
  });

  test('says which tensors its index does not name', async () => {
    const files = new MemoryFiles({ [INDEX]: index({ a: '1.safetensors' }), '1.safetensors': one });
    const { tensors, unlisted } = await loadTensors(files);
    expect([...tensors.keys()]).toEqual(['a', 'b']);
    expect(unlisted).toEqual(['b']);
  });

  test('that transformers split into shards is whole', async () => {
    const { tensors, unlisted } = await loadTensors(openFiles(new URL('../fixtures/bert/sharded', import.meta.url)));
    expect(new Set([...tensors.values()].map(({ file }) => file)).size).toBe(5);
    const index = JSON.parse(new TextDecoder().decode(fixture(`bert/sharded/${INDEX}`)));
    expect([...tensors.keys()].sort()).toEqual(Object.keys(index.weight_map).sort());
    expect(unlisted).toEqual([]);
  });

  test('prefers the single file, as transformers does', async () => {
    const files = new MemoryFiles({ 'model.safetensors': two, [INDEX]: 'broken' });
    expect([...(await loadTensors(files)).tensors.keys()]).toEqual(['c']);
  });
});

describe('a checkpoint is refused', () => {
  const good = { [INDEX]: index(map), '1.safetensors': one, '2.safetensors': two };
  const AGAIN = '; download the missing or mixed-up shards again';
  const BESIDE = 'expected the name of a .safetensors file beside the index';
  const weights = `memory/${INDEX}, weight_map`;
  const cases: [name: string, files: Record<string, Uint8Array | string>, message: string][] = [
    [
      'when it has no weights',
      { 'pytorch_model.bin': '' },
      `memory: expected model.safetensors or ${INDEX}, got neither; check the location; convert a pytorch_model.bin in Python: model.save_pretrained(folder, safe_serialization=True)`,
    ],
    [
      'when its one file is corrupt',
      { 'model.safetensors': one.subarray(0, 5) },
      'memory/model.safetensors: expected at least 8 bytes, got 5 bytes; download the file again',
    ],
    [
      'when a shard is missing',
      { ...good, '2.safetensors': undefined as unknown as string },
      `memory/2.safetensors: expected the shard that ${INDEX} names, got no such file${AGAIN}`,
    ],
    [
      'when a shard is corrupt',
      { ...good, '2.safetensors': two.subarray(0, -1) },
      'memory/2.safetensors: expected 113 bytes, where tensor "c" ends, got 112: the file is cut off; download the file again',
    ],
    [
      'when a tensor is in no shard',
      { ...good, [INDEX]: index({ ...map, d: '2.safetensors' }) },
      `memory/${INDEX}, tensor "d": expected it in 2.safetensors, got no such tensor${AGAIN}`,
    ],
    [
      'when a tensor is in another shard',
      { ...good, [INDEX]: index({ ...map, b: '2.safetensors' }) },
      `memory/${INDEX}, tensor "b": expected it in 2.safetensors, got it in memory/1.safetensors${AGAIN}`,
    ],
    [
      'when a tensor is in two shards',
      { ...good, '2.safetensors': shard({ c: 3, a: 1 }) },
      'memory/2.safetensors, tensor "a": expected each tensor in one shard, got it also in memory/1.safetensors',
    ],
    ['when the index is broken', { [INDEX]: '{' }, `memory/${INDEX}: expected JSON, got "{"; download the file again`],
    ['when the index is a list', { [INDEX]: '[]' }, `memory/${INDEX}: expected a JSON object, got []`],
    [
      'when the index has no weight_map',
      { [INDEX]: '{}' },
      `${weights}: expected an object of tensor names and shards, got undefined`,
    ],
    [
      'when the index names a tensor twice',
      { [INDEX]: '{"weight_map":{"a":"1.safetensors","a":"2.safetensors"}}' },
      `memory/${INDEX}: expected each key once, got "a" twice`,
    ],
    ['when a shard is a number', { [INDEX]: index({ a: 1 }) }, `${weights}, "a": ${BESIDE}, got 1`],
    [
      'when a shard lies outside',
      { [INDEX]: index({ a: '../x.safetensors' }) },
      `${weights}, "a": ${BESIDE}, got "../x.safetensors"`,
    ],
    [
      'when a shard is an absolute path',
      { [INDEX]: index({ a: '/x.safetensors' }) },
      `${weights}, "a": ${BESIDE}, got "/x.safetensors"`,
    ],
    [
      'when a shard is a path of Windows',
      { [INDEX]: index({ a: 'C:\\x.safetensors' }) },
      `${weights}, "a": ${BESIDE}, got "C:\\\\x.safetensors"`,
    ],
    [
      'when a shard is a pickle',
      { [INDEX]: index({ a: 'pytorch_model.bin' }) },
      `${weights}, "a": ${BESIDE}, got "pytorch_model.bin"`,
    ],
  ];
  test.each(cases)('%s', async (_, files, message) => {
    const failure = await loadTensors(new MemoryFiles(files)).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CheckpointError);
    expect((failure as Error).message).toBe(message);
  });
});

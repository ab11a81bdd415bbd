import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { MemoryFiles } from '../../src/hub/index.ts';
import { SentenceEncoder, StaticEmbeddings } from '../../src/tasks/index.ts';
import { parseSafetensors, writeSafetensors, type TensorInput } from '../../src/safetensors/index.ts';
import { Engine } from '../../src/tensor/index.ts';
import { readFixture } from '../support/fixtures.ts';

// Models without an encoder, against sentence-transformers (tools/reference/make_static.py).

const FOLDER = new URL('../fixtures/static/', import.meta.url);
const expected = JSON.parse(new TextDecoder().decode(readFixture('static/expected.json'))) as {
  texts: string[];
  sentenceTransformers: number[][];
  model2vec: number[][];
};
const names = ['sentenceTransformers', 'model2vec'] as const;

function contents(name: string): Record<string, Uint8Array | string> {
  const files = readdirSync(new URL(`${name}/`, FOLDER), { recursive: true, withFileTypes: true }).filter((f) =>
    f.isFile(),
  );
  const paths = files.map((file) => `${file.parentPath}/${file.name}`.split(`/${name}/`)[1].replace(/^\/+/, ''));
  return Object.fromEntries(paths.map((path) => [path, readFixture(`static/${name}/${path}`)]));
}

/** The model, its weights altered. */
function files(name: string, edit: (tensors: Map<string, TensorInput>) => void = () => {}): MemoryFiles {
  const all = contents(name);
  const path = Object.keys(all).find((file) => /^(0_StaticEmbedding\/)?model\.safetensors$/.test(file))!;
  const tensors = new Map<string, TensorInput>(parseSafetensors(all[path] as Uint8Array).tensors);
  edit(tensors);
  return new MemoryFiles({ ...all, [path]: writeSafetensors(tensors) });
}

const furthest = (vectors: { embedding: ArrayLike<number> }[], name: (typeof names)[number]) =>
  Math.max(...vectors.flatMap(({ embedding }, t) => expected[name][t].map((x, i) => Math.abs(x - embedding[i]))));

describe.each(names)('%s', (name) => {
  it.each(['reference', 'simd'] as const)('gives the vectors of sentence-transformers: %s', async (kernels) => {
    const encoder = await SentenceEncoder.fromPretrained(files(name), { engine: new Engine({ kernels }) });
    expect(encoder.model).toBeInstanceOf(StaticEmbeddings);
    const vectors = encoder.encode(expected.texts);
    expect(vectors.map(({ embedding }) => embedding.length)).toEqual(expected[name].map(({ length }) => length));
    expect(furthest(vectors, name)).toBeLessThan(1e-6);
    expect(encoder.model.loadReport!.unused).toEqual([]);
    const cut = expected.texts.map((text) => name === 'sentenceTransformers' && / is!$|^a b c a/.test(text));
    expect(vectors.map(({ truncated }) => truncated)).toEqual(cut);
  });

  it('in int8 gives nearly the same', async () => {
    const encoder = await SentenceEncoder.fromPretrained(files(name), { dtype: 'q8' });
    expect(encoder.dtype).toBe('q8');
    const vectors = encoder.encode(expected.texts);
    expect(furthest(vectors, name)).toBeLessThan(0.02);
    expect(furthest(vectors, name)).toBeGreaterThan(1e-6);
  });

  it('with special tokens around each text would not', async () => {
    const encoder = await SentenceEncoder.fromPretrained(files(name));
    const { tokenizer } = encoder;
    const encode = tokenizer.encode.bind(tokenizer);
    tokenizer.encode = (text, options) => encode(text, { ...options, addSpecialTokens: true });
    expect(furthest(encoder.encode(expected.texts), name)).toBeGreaterThan(1e-2);
  });
});

it('without its mapping, or its factors, model2vec would not', async () => {
  for (const part of ['mapping', 'weights']) {
    const load = () => SentenceEncoder.fromPretrained(files('model2vec', (tensors) => void tensors.delete(part)));
    if (part === 'mapping') await expect(load()).rejects.toThrow('mapping and weights');
    else expect(furthest((await load()).encode(expected.texts), 'model2vec')).toBeGreaterThan(1e-2);
  }
});

it('what is no table of vectors is refused', async () => {
  await expect(
    SentenceEncoder.fromPretrained(files('model2vec', (tensors) => void tensors.delete('embeddings'))),
  ).rejects.toThrow('expected a tensor "embedding.weight" or "embeddings", [tokens, size], got mapping, weights');
  const mapped = files('model2vec', (tensors) =>
    tensors.set('mapping', { data: Int32Array.from({ length: 20 }, () => 15), shape: [20] }),
  );
  await expect(SentenceEncoder.fromPretrained(mapped)).rejects.toThrow('rows 0 to 14, got row 15');
});

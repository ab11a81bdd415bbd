import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { BertscriptError } from '../../src/errors.ts';
import { BertTokenizer, type Encoding } from '../../src/tokenizer/index.ts';

export const FIXTURES = new URL('../fixtures/tokenizer/', import.meta.url);

export function readFixture<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(name, FIXTURES), 'utf8')) as T;
}

export const vocabText = readFileSync(new URL('vocab.txt', FIXTURES), 'utf8');

/** A tokenizer.json as the oracle saved it; a new copy on each call, for tests to break. */
export function tokenizerJson() {
  return readFixture<{
    normalizer: Record<string, unknown>;
    post_processor: Record<string, unknown>;
    model: { vocab: Record<string, number> } & Record<string, unknown>;
    added_tokens: Record<string, unknown>[];
    [key: string]: unknown;
  }>('tokenizer.json');
}

export const nasty = readFixture<string[]>('nasty.json');

export function tokenizerWith(normalizer: Record<string, unknown> = {}): BertTokenizer {
  const json = tokenizerJson();
  return BertTokenizer.fromJSON({ ...json, normalizer: { ...json.normalizer, ...normalizer } });
}

/** One encoding as the fixtures store it. */
export function compact(encoding: Encoding): unknown[] {
  const offsets = encoding.offsets.flat();
  const codePointOffsets = encoding.codePointOffsets.flat();
  const words = encoding.wordIds.map((word) => word ?? -1);
  const differ = codePointOffsets.some((offset, i) => offset !== offsets[i]);
  return [[...encoding.inputIds], offsets, words, ...(differ ? [codePointOffsets] : [])];
}

/** The one-line message of the typed error that `action` must throw. */
export async function refusalOf(action: () => unknown): Promise<{ name: string; message: string }> {
  try {
    await action();
  } catch (error) {
    expect(error).toBeInstanceOf(BertscriptError);
    const { name, message } = error as BertscriptError;
    expect(message).not.toContain('\n');
    return { name, message };
  }
  return expect.fail('nothing was thrown');
}

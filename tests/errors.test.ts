import { describe, expect, it } from 'vitest';
import { BertscriptError, ConfigError, expectOptions, ShapeError, show } from '../src/errors.ts';

describe('errors', () => {
  it('are one line: what, expected, got, and the fix', () => {
    const error = new ShapeError({ what: 'linear: x', expected: '[2, 3]', got: '[3, 2]', fix: 'transpose it' });
    expect(error.message).toBe('linear: x: expected [2, 3], got [3, 2]; transpose it');
    expect(error).toMatchObject({ name: 'ShapeError', what: 'linear: x', expected: '[2, 3]', got: '[3, 2]' });
    expect(error).toBeInstanceOf(BertscriptError);
    expect(new ConfigError({ what: 'a', got: 'b\r\n  c' }).message).toBe('a: got b c');
    expect(new ConfigError({ what: 'a', fix: 'b' }).message).toBe('a; b');
  });

  it('keep their cause', () => {
    const cause = new Error('inner');
    expect(new ConfigError({ what: 'a', cause }).cause).toBe(cause);
    expect('cause' in new ConfigError({ what: 'a' })).toBe(false);
  });

  it('show any value in short', () => {
    expect([show('a"b'), show([1, null]), show(undefined), show(NaN), show(-Infinity), show(7n)]).toEqual([
      '"a\\"b"',
      '[1,null]',
      'undefined',
      'NaN',
      '-Infinity',
      '7',
    ]);
    expect(show('x'.repeat(200))).toHaveLength(80);
  });

  it('show what JSON cannot: a value in itself, or nested deeper than the stack', () => {
    const deep = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000)) as unknown;
    const loop: Record<string, unknown> = {};
    loop.self = loop;
    expect([show(deep), show({ deep }), show(loop)]).toEqual(['[...]', '{...}', '{...}']);
  });
});

describe('options', () => {
  it('are an object that has none but those there are', () => {
    const check = (options: unknown) => () => expectOptions('options', options, ['dtype', 'seed'], 'look it up');
    expect(check({ seed: 1 })).not.toThrow();
    expect(check({})).not.toThrow();
    expect(check({ Seed: 1 })).toThrow('options: Seed: expected one of dtype, seed; look it up');
    for (const none of [null, 5, 'q8', ['seed']]) expect(check(none)).toThrow(ConfigError);
  });
});

import { describe, expect, it } from 'vitest';
import { BertscriptError, ConfigError, ShapeError, show } from '../src/errors.ts';

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
});

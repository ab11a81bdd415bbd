import { describe, expect, test } from 'vitest';
import { ClosedPipe } from '../../src/cli/io.ts';
import { verdict } from '../../src/cli/verdict.ts';
import { FileError } from '../../src/errors.ts';
import { run, temporaryFolder, tinyModel } from './harness.ts';

const folder = await temporaryFolder();
const world = { folder, shippedModel: await tinyModel(folder) };

describe('help', () => {
  test('of the program goes to stdout', async () => {
    const { code, stdout, stderr } = await run(['--help'], world);
    expect([code, stderr]).toEqual([0, '']);
    for (const name of [
      'tokenize',
      'decode',
      'embed',
      'similarity',
      'search',
      'forward',
      'parity',
      'inspect',
      'info',
    ]) {
      expect(stdout).toMatch(new RegExp(`\n  ${name} `));
    }
  });

  test('of a command', async () => {
    const { code, stdout } = await run(['embed', '--help'], world);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Usage: bertscript embed \[options\] \[texts...\]/);
  });

  test('version', async () => expect(await run(['--version'], world)).toMatchObject({ code: 0, stdout: '1.2.3\n' }));
});

describe('how a command ends', () => {
  test('quietly when nobody reads its output any longer', async () => {
    const write = () => Promise.reject(new ClosedPipe());
    for (const args of [['tokenize', 'a'], ['--help'], ['demo']]) {
      expect(await run(args, { ...world, write })).toMatchObject({ code: 0, stderr: '' });
    }
  });

  test('with 3 for an error of the program, which asks to be reported', async () => {
    const write = () => Promise.reject(new TypeError('x is\nnot a function'));
    const { code, stderr } = await run(['tokenize', 'a'], { ...world, write });
    expect(code).toBe(3);
    expect(stderr).toBe(
      'bertscript tokenize: internal error, please report it (--debug shows where): TypeError: x is not a function\n',
    );
  });

  test('with the name of the command once', async () => {
    const { code, stderr } = await run(['qa', '--question', 'a', '--context', 'b'], world);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^bertscript qa: (?!qa).*config\.json: expected a model …ForQuestionAnswering/);
  });

  test('with a stack only when asked for', async () => {
    const shown = /^bertscript embed: no texts;[^\n]*\nUsageError: [^]*\n +at /;
    expect((await run(['embed', '--debug'], world)).stderr).toMatch(shown);
    expect((await run(['embed'], { ...world, env: { BERTSCRIPT_DEBUG: '1' } })).stderr).toMatch(shown);
    expect((await run(['embed'], world)).stderr).not.toMatch(/\n +at /);
  });
});

describe('the reasons of the operating system', () => {
  test('have one wording, whoever met them', () => {
    const error = new FileError({ what: 'm/config.json', expected: 'a readable file', got: 'EACCES' });
    expect(verdict(error, undefined)).toEqual({
      code: 2,
      message: 'm/config.json: expected a readable file, got no permission',
    });
  });
});

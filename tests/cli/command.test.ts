import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { root, temporaryFolder, tinyModel } from './harness.ts';

// The real command in a process of its own, as a user starts it.
const folder = await temporaryFolder();
await mkdir(join(folder, 'tiny'));
await tinyModel(join(folder, 'tiny'));
const tsx = join(root, 'node_modules/.bin/tsx');
const bin = join(root, 'src/cli/bin.ts');

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

function start(command: string, args: string[], stdin = ''): Promise<Ended> {
  return new Promise((resolve) => {
    const env = { ...process.env, TINY: join(folder, 'tiny'), RUN: `${tsx} ${bin}` };
    const child = execFile(command, args, { cwd: folder, env }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
    child.stdin!.end(stdin);
  });
}

const bertscript = (...args: string[]) => start(tsx, [bin, ...args]);
const shell = (script: string) => start('bash', ['-c', script]);

describe.concurrent('the command', () => {
  test('reads stdin, and paths from where the user stands', async () => {
    const { code, stdout, stderr } = await start(
      tsx,
      [bin, 'tokenize', '--model', 'tiny', '--input', '-'],
      'cat\r\n\r\n',
    );
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout.match(/"input_ids":\[[\d,]*\]/g)).toEqual(['"input_ids":[2,8,3]', '"input_ids":[2,3]']);
  });

  test('so it does through npm, which moves to the package', async () => {
    const npm = ['--prefix', root, 'run', '-s', 'cli', '--', 'tokenize', '--model', 'tiny', '--', '-cat'];
    const { code, stdout } = await start('npm', npm);
    expect(code).toBe(0);
    expect(stdout).toContain('"tokens":["[CLS]","-","cat","[SEP]"]');
  });

  test('refuses bad input in one line', async () => {
    const { code, stdout, stderr } = await bertscript('embed', '--model', 'none', 'a');
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^bertscript embed: .*\/none: expected a folder with a model, got no such folder[^\n]*\n$/);
  });

  test('refuses an unknown command', async () => {
    expect(await bertscript('fly')).toMatchObject({ code: 2, stdout: '' });
  });

  test('ends quietly when its output is closed', async () => {
    await writeFile(join(folder, 'many.txt'), 'a cat sat on the mat\n'.repeat(20000));
    const script = '$RUN tokenize --model $TINY --input many.txt | head -n 1 | cut -c 1-10; echo ${PIPESTATUS[0]}';
    expect(await shell(script)).toEqual({ code: 0, stdout: '{"index":0\n0\n', stderr: '' });
  });

  test.runIf(existsSync('/dev/full'))('says when the disk is full', async () => {
    const { code, stderr } = await shell('$RUN tokenize --model $TINY cat > /dev/full');
    expect([code, stderr]).toEqual([
      2,
      'bertscript tokenize: stdout: expected an output that can be written, got a full disk\n',
    ]);
  });

  test.runIf(existsSync('/dev/null'))('writes to a device, and does not replace it', async () => {
    const reference = join(root, 'tests/fixtures/bert/base/reference.safetensors');
    const { code } = await bertscript('forward', '--model', 'tiny', '--input', reference, '--output', '/dev/null');
    expect(code).toBe(0);
    expect((await stat('/dev/null')).isCharacterDevice()).toBe(true);
  });

  test('leaves no half-written file when it is interrupted', async () => {
    const target = join(folder, 'interrupted');
    await mkdir(target);
    await writeFile(join(folder, 'more.txt'), 'a cat sat on the mat\n'.repeat(500_000));
    const child = spawn(
      process.execPath,
      ['--import', join(root, 'node_modules/tsx/dist/loader.mjs'), bin, 'embed', '--model', 'tiny', '--input', 'more.txt', '--output', 'interrupted/e.jsonl'], // prettier-ignore
      { cwd: folder, stdio: 'ignore' },
    );
    const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
    while ((await readdir(target)).length === 0) await new Promise((resume) => setTimeout(resume, 50));
    child.kill('SIGINT');
    expect(await ended).toBe(130);
    expect(await readdir(target)).toEqual([]);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('train saves its state at %s', async (signal) => {
    await writeFile(join(folder, 'train.tsv'), `text\tlabel\n${'a cat\t0\nthe mat\t1\n'.repeat(500)}`);
    const child = spawn(
      process.execPath,
      ['--import', join(root, 'node_modules/tsx/dist/loader.mjs'), bin, 'train', '--model', 'tiny', '--task', 'classification', '--train', 'train.tsv', '--epochs', '1000', '--threads', '1', '--output', signal], // prettier-ignore
      { cwd: folder, stdio: 'ignore' },
    );
    const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
    const log = join(folder, signal, 'metrics.jsonl');
    while (!existsSync(log) && child.exitCode === null) await new Promise((resume) => setTimeout(resume, 50));
    child.kill(signal);
    expect(await ended).toBe(1);
    expect((await readdir(join(folder, signal))).sort()).toEqual(['.training', 'metrics.jsonl']);
    expect(await readdir(join(folder, signal, '.training'))).toEqual(['state.safetensors']);
  });
});

describe.runIf(existsSync(join(root, 'weights/all-MiniLM-L6-v2/config.json')))('with the shipped model', () => {
  test('npm start finds the neighbours', async () => {
    const { code, stdout } = await start('npm', ['--prefix', root, 'start', '-s']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/\n1 A cat [^\n]* 2 The kitten /);
    expect(stdout).toMatch(/\n4 Stocks [^\n]* 5 Share /);
    expect(stdout).toMatch(/\n7 Simmer [^\n]* 8 How /);
    expect(stdout).toMatch(/[\d,]+ tokens per second\n/);
  });
});

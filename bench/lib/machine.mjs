import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { bench, root, runtimePath } from './paths.mjs';

const run = (command, ...args) => execFileSync(command, args, { encoding: 'utf8' }).trim();

/** What the figures were made on. */
export function describeMachine() {
  return {
    cpu: cpus()[0].model,
    cores: cpus().length,
    vectors: cpuFlags(['avx2', 'fma', 'avx512f', 'avx512_vnni', 'avx_vnni', 'amx_int8']),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
    load: loadavg(),
    commit: run('git', '-C', root, 'rev-parse', '--short', 'HEAD'),
    changed: run('git', '-C', root, 'status', '--porcelain', '--', 'src') !== '',
  };
}

function cpuFlags(wanted) {
  try {
    const flags =
      readFileSync('/proc/cpuinfo', 'utf8')
        .match(/^flags\s*:(.*)$/m)?.[1]
        .split(' ') ?? [];
    return wanted.filter((flag) => flags.includes(flag));
  } catch {
    return []; // not Linux
  }
}

export function describeVersions() {
  const nodes = ['node20', 'node24', 'node26'].map((name) => {
    const versions = JSON.parse(run(runtimePath(name), '-p', 'JSON.stringify(process.versions)'));
    return [name, `${versions.node} (V8 ${versions.v8})`];
  });
  const { dependencies } = JSON.parse(readFileSync(join(bench, 'package.json'), 'utf8'));
  const npm = Object.entries(dependencies).filter(([name]) => !name.startsWith('node2'));
  const script =
    'import json, sys; from importlib.metadata import version as v; ' +
    'print(json.dumps({"Python": sys.version.split()[0], **{p: v(p) for p in ["torch", "transformers", "tokenizers", "onnx", "onnxruntime"]}}))';
  return {
    ...Object.fromEntries(nodes),
    ...Object.fromEntries(npm),
    ...JSON.parse(run(runtimePath('python'), '-c', script)),
  };
}

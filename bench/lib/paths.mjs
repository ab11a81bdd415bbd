/** Where things are. Everything that the bench makes goes to `.cache/bench` in the checkout, which git ignores. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const bench = fileURLToPath(new URL('..', import.meta.url));
export const root = join(bench, '..');
export const cache = join(root, '.cache/bench');
/** The package as users get it. */
export const dist = join(cache, 'dist');
/** ONNX files and random models, made by export-onnx.py. */
export const models = join(cache, 'models');

mkdirSync(cache, { recursive: true });

/** The first of several paths that is there. @throws naming the fix */
export function firstExisting(paths, fix) {
  const found = paths.find((path) => path && existsSync(path));
  if (!found) throw new Error(`none of these is there: ${paths.filter(Boolean).join(', ')}. ${fix}`);
  return found;
}

/** Programs by name. Node's come from the packages node20, node24 and node26 of bench/package.json. */
export function runtimePath(name) {
  if (name === 'python') {
    const fix = 'See bench/README.md: python3 -m venv .cache/bench/venv, then pip install -r bench/requirements.txt.';
    return firstExisting([process.env.BENCH_PYTHON, join(cache, 'venv/bin/python')], fix);
  }
  return firstExisting([join(bench, 'node_modules', name, 'bin/node')], 'Run npm ci --ignore-scripts in bench/.');
}

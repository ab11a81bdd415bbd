/** Row 15: what a browser must be sent to embed a text, without the weights. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { bench, dist, root } from '../lib/paths.mjs';

export const rows = [15];

const entries = {
  bertscript: `import { SentenceEncoder } from ${JSON.stringify(join(dist, 'embed.js'))};
    globalThis.embed = async (folder, texts) => (await SentenceEncoder.fromPretrained(folder)).encode(texts);`,
  'transformers.js (its script)': `import { pipeline } from '@huggingface/transformers';
    globalThis.embed = async (model, texts) =>
      (await pipeline('feature-extraction', model))(texts, { pooling: 'mean', normalize: true });`,
  'onnxruntime-web (its script)': `import * as ort from 'onnxruntime-web/wasm'; globalThis.ort = ort;`,
};

export async function run({ settings }) {
  // esbuild is the root's; it bundles the package as a user's bundler would.
  const { build } = await import(createRequire(join(root, 'package.json')).resolve('esbuild'));
  const sizes = [];
  const add = (name, bytes) => {
    const size = { name, bytes: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length };
    settings.log(`${name}: ${size.bytes} bytes, ${size.gzip} after gzip`);
    sizes.push(size);
  };
  for (const [name, contents] of Object.entries(entries)) {
    const { outputFiles, metafile } = await build({
      stdin: { contents, resolveDir: bench },
      // What only waits for an import() is a file of its own, and is not needed.
      ...{ splitting: true, outdir: join(bench, 'out') },
      ...{
        bundle: true,
        minify: true,
        write: false,
        metafile: true,
        format: 'esm',
        platform: 'browser',
        target: 'es2022',
      },
      // Only reached where there is a process of Node's.
      ...{ external: ['node:*'], logLevel: 'error' },
    });
    const parts = loadedAtOnce(metafile.outputs);
    const files = outputFiles.filter(({ path }) => parts.some((part) => path.endsWith(`/${part.split('/').at(-1)}`)));
    add(name, Buffer.concat(files.map(({ contents }) => contents)));
    if (name === 'bertscript') sizes[0].folders = bytesByFolder(parts.map((part) => metafile.outputs[part]));
  }
  const wasm = join(bench, 'node_modules/onnxruntime-web/dist');
  add('onnxruntime-web (plain wasm)', readFileSync(join(wasm, 'ort-wasm-simd-threaded.wasm')));
  add(
    'onnxruntime-web (wasm that transformers.js takes)',
    readFileSync(join(wasm, 'ort-wasm-simd-threaded.asyncify.wasm')),
  );
  return { sizes };
}

/** The entry's file and those that it imports, by their paths. */
function loadedAtOnce(outputs) {
  const found = new Set();
  const add = (path) => {
    if (found.has(path)) return;
    found.add(path);
    for (const { kind, path: other } of outputs[path].imports)
      if (kind === 'import-statement' && outputs[other]) add(other);
  };
  add(Object.keys(outputs).find((path) => outputs[path].entryPoint !== undefined && path.endsWith('stdin.js')));
  return [...found];
}

/** Bytes before gzip that each folder of the package puts into the bundle, the largest first. */
function bytesByFolder(outputs) {
  const bytes = {};
  for (const [path, { bytesInOutput }] of outputs.flatMap(({ inputs }) => Object.entries(inputs))) {
    const folder = path.includes('dist/') ? path.split('dist/').at(-1).split('/').slice(0, -1).join('/') || '.' : '.';
    bytes[folder] = (bytes[folder] ?? 0) + bytesInOutput;
  }
  return Object.fromEntries(Object.entries(bytes).sort(([, a], [, b]) => b - a));
}

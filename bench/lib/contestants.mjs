/** Who takes part, and how each is set up: always one thread, unless said. */
import { join } from 'node:path';
import { dist, models } from './paths.mjs';

/** `model`: a folder under `models`, or the path of a checkpoint. */
export function ours(runtime, { dtype = 'f32', turbo = false, threads = 1, model, layers, name }) {
  const parts = [`bertscript ${dtype}`, turbo && 'turbo', threads > 1 && `${threads} threads`].filter(Boolean);
  const options = { dist, model, dtype, turbo, threads, layers };
  return { name: name ?? parts.join(' '), runtime, worker: 'bertscript.mjs', options, dtype };
}

const onnxFile = (model, dtype) => join(models, model, 'onnx', onnxNames[dtype]);
export const onnxNames = {
  f32: 'model.onnx',
  q8: 'model_quantized.onnx',
  'q8 per channel': 'model_quantized_per_channel.onnx',
};

export function onnxWeb(runtime, { dtype = 'f32', threads = 1, model }) {
  const name = `onnxruntime-web ${dtype}${threads > 1 ? ` ${threads} threads` : ''}`;
  const options = { backend: 'web', file: onnxFile(model, dtype), threads };
  return { name, runtime, worker: 'onnxruntime.mjs', options, dtype };
}

export function onnxNode(runtime, { dtype = 'f32', model }) {
  const options = { backend: 'node', file: onnxFile(model, dtype), threads: 1 };
  return { name: `onnxruntime-node ${dtype}`, runtime, worker: 'onnxruntime.mjs', options, dtype };
}

/** `folder`: a checkpoint, as bertscript reads it. */
export function pyTorch(folder) {
  return { name: 'PyTorch f32', runtime: 'python', worker: 'pytorch.py', options: { folder }, dtype: 'f32' };
}

/** transformers.js on native onnxruntime, its default in Node. `batch`: texts per call. */
export function transformersJs(runtime, { dtype = 'f32', batch, model }) {
  const options = { models, model, dtype: dtype === 'f32' ? 'fp32' : dtype, batch };
  return {
    name: `transformers.js ${dtype} native, ${batch === 1 ? 'one at a time' : `batch ${batch}`}`,
    runtime,
    worker: 'transformersjs.mjs',
    options,
    dtype,
  };
}

export const tfjs = (runtime) => ({
  name: 'tfjs wasm f32',
  runtime,
  worker: 'tfjs.mjs',
  options: {},
  dtype: 'f32',
});
export const tokenizersJs = (runtime, folder) => ({
  name: 'tokenizers.js',
  runtime,
  worker: 'tokenizersjs.mjs',
  options: { folder },
});
export const hfTokenizers = (folder) => ({
  name: 'HF tokenizers (Rust)',
  runtime: 'python',
  worker: 'hf-tokenizers.py',
  options: { folder },
});

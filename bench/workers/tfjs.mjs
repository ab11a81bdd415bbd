/** TensorFlow.js on its WebAssembly backend, one thread. */
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { setThreadsCount, setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { serve, sines } from './serve.mjs';

await serve(async () => {
  setWasmPaths(dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm')) + '/');
  setThreadsCount(1);
  await tf.setBackend('wasm');

  function linear({ rows, inFeatures, outFeatures }) {
    const x = tf.tensor2d(sines(rows * inFeatures), [rows, inFeatures]);
    const stored = tf.tensor2d(sines(outFeatures * inFeatures, 0.5), [outFeatures, inFeatures]);
    const weight = tf.transpose(stored);
    weight.dataSync();
    const run = () => tf.matMul(x, weight).dispose();
    return { run, outcome: () => ({ floats: tf.matMul(x, weight).dataSync() }) };
  }

  return { info: { tfjs: tf.version.tfjs }, prepare: (work) => ({ linear })[work.kind](work) };
});

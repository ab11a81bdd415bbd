/** transformers.js in Node: native onnxruntime, its default there. */
import { env, pipeline } from '@huggingface/transformers';
import { serve } from './serve.mjs';

await serve(async ({ models, model, dtype, batch }) => {
  env.allowRemoteModels = false;
  env.localModelPath = models;
  const options = { dtype, device: 'cpu', session_options: { intraOpNumThreads: 1, interOpNumThreads: 1 } };
  const extract = await pipeline('feature-extraction', model, options);

  async function embed({ texts }) {
    const batches = [];
    for (let i = 0; i < texts.length; i += batch) batches.push(texts.slice(i, i + batch));
    const run = async () => {
      const results = [];
      for (const some of batches) results.push((await extract(some, { pooling: 'mean', normalize: true })).data);
      return results;
    };
    const outcome = async (results) => {
      const floats = new Float32Array(results.reduce((sum, { length }) => sum + length, 0));
      let at = 0;
      for (const data of results) {
        floats.set(data, at);
        at += data.length;
      }
      let tokens = 0;
      for (const text of texts) tokens += extract.tokenizer(text, { truncation: true }).input_ids.size;
      return { floats, tokens };
    };
    return { run, outcome };
  }

  return { info: { transformersJs: env.version }, prepare: (work) => ({ embed })[work.kind](work) };
});

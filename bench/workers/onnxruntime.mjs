/** onnxruntime-web (WebAssembly) or onnxruntime-node (native). */
import { readFileSync } from 'node:fs';
import { serve } from './serve.mjs';

await serve(async ({ backend, file, threads }) => {
  const ort = await import(backend === 'web' ? 'onnxruntime-web' : 'onnxruntime-node');
  if (backend === 'web') ort.env.wasm.numThreads = threads;
  const session = await ort.InferenceSession.create(new Uint8Array(readFileSync(file)), {
    executionProviders: [backend === 'web' ? 'wasm' : 'cpu'],
    graphOptimizationLevel: 'all',
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
  });
  const int64 = (rows) =>
    new ort.Tensor('int64', BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0].length]);

  /** The tensors are made before the clock starts. All sequences have one length here: nothing is padded. */
  async function encoder({ ids }) {
    const feeds = {
      input_ids: int64(ids),
      attention_mask: int64(ids.map((row) => row.map(() => 1))),
      token_type_ids: int64(ids.map((row) => row.map(() => 0))),
    };
    const run = () => session.run(feeds);
    return { run, outcome: ({ last_hidden_state: { data } }) => ({ floats: data }) };
  }

  /** Means of the last hidden state, normalized, one text at a time: nothing is padded. */
  async function embed({ ids }) {
    const run = async () => {
      const rows = [];
      for (const sequence of ids) rows.push(meanOf(await (await encoder({ ids: [sequence] })).run()));
      return rows;
    };
    return { run, outcome: (rows) => ({ floats: Float32Array.from(rows.flatMap((row) => [...row])) }) };
  }

  return { info: { threads }, prepare: (work) => ({ encoder, embed })[work.kind](work) };
});

function meanOf({ last_hidden_state: { data, dims } }) {
  const size = dims.at(-1);
  const mean = new Float32Array(size);
  data.forEach((value, i) => (mean[i % size] += value));
  const norm = Math.hypot(...mean);
  return mean.map((value) => value / norm);
}

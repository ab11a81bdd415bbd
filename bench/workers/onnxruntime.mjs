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

  return { info: { threads }, prepare: (work) => ({ encoder })[work.kind](work) };
});

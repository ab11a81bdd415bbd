/**
 * onnxruntime-web with tokenizers.js: transformers.js uses nothing else in a browser, but in Node it takes the native
 * runtime. Less code is loaded here than transformers.js has, which is in this contestant's favour.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import * as ort from 'onnxruntime-web';
import { report, TEXT } from './first.mjs';

const [folder, file] = process.argv.slice(2);
const json = (name) => JSON.parse(readFileSync(join(folder, name), 'utf8'));
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(new Uint8Array(readFileSync(join(folder, 'onnx', file))), {
  executionProviders: ['wasm'],
});
const { ids } = new Tokenizer(json('tokenizer.json'), json('tokenizer_config.json')).encode(TEXT);
const int64 = (values) => new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
const { last_hidden_state: x } = await session.run({
  input_ids: int64(ids),
  attention_mask: int64(ids.map(() => 1)),
  token_type_ids: int64(ids.map(() => 0)),
});
const vector = new Float32Array(x.dims[2]);
x.data.forEach((value, i) => (vector[i % vector.length] += value / ids.length));
const norm = Math.hypot(...vector);
report(vector.map((value) => value / norm));

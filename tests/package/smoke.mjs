// Run where the packed package is installed, by every runtime that it must work in: smoke.mjs MODEL_FOLDER
import process from 'node:process';
import { cosineSimilarity, SentenceEncoder } from 'bertscript';
import { parseSafetensors, writeSafetensors } from 'bertscript/safetensors';
import { Engine, layerNorm } from 'bertscript/tensor';
import { BertTokenizer } from 'bertscript/tokenizer';

const folder = process.argv[2];
const tokenizer = await BertTokenizer.fromPretrained(folder);
const file = writeSafetensors({ a: { data: new Float32Array([1, 2]), shape: [2] } });
const engine = new Engine();
const normed = layerNorm(engine.tensor([1, 2, 3], [1, 3]), engine.tensor([1, 1, 1], [3]), engine.zeros([3]), 1e-5);
/** The embedding of a sentence by some engine. */
async function embed(options, dtype) {
  const encoder = await SentenceEncoder.fromPretrained(folder, { engine: new Engine(options), dtype });
  return encoder.encode(['The cat sat on the mat.'])[0];
}
// As floats, on which runtimes agree whether they have fused multiply-add or not; as int8 they differ in the fourth digit.
const { embedding, tokenCount } = await embed({}, 'f32');
// The same with paired vectors, where the runtime has them, and with int8 weights.
const others = [await embed({ turbo: true }, 'f32'), await embed({ turbo: true }, 'auto')];
console.log(
  JSON.stringify({
    tokens: tokenizer.tokenize('Hello world!'),
    tensors: [...parseSafetensors(file).tensors.keys()],
    normed: [...normed.data].map((x) => x.toFixed(4)),
    tokenCount,
    alike: others.map((other) => cosineSimilarity(other.embedding, embedding).toFixed(2)),
    embedding: [...embedding],
  }),
);

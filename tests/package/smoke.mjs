// Run where the packed package is installed, by every runtime that it must work in: smoke.mjs MODEL_FOLDER
import process from 'node:process';
import { SentenceEncoder } from 'bertscript';
import { parseSafetensors, writeSafetensors } from 'bertscript/safetensors';
import { Engine, layerNorm } from 'bertscript/tensor';
import { BertTokenizer } from 'bertscript/tokenizer';

const folder = process.argv[2];
const tokenizer = await BertTokenizer.fromPretrained(folder);
const file = writeSafetensors({ a: { data: new Float32Array([1, 2]), shape: [2] } });
const engine = new Engine();
const normed = layerNorm(engine.tensor([1, 2, 3], [1, 3]), engine.tensor([1, 1, 1], [3]), engine.zeros([3]), 1e-5);
const encoder = await SentenceEncoder.fromPretrained(folder);
const [{ embedding, tokenCount }] = encoder.encode(['The cat sat on the mat.']);
console.log(
  JSON.stringify({
    tokens: tokenizer.tokenize('Hello world!'),
    tensors: [...parseSafetensors(file).tensors.keys()],
    normed: [...normed.data].map((x) => x.toFixed(4)),
    tokenCount,
    embedding: [...embedding.slice(0, 8)].map((x) => x.toFixed(6)),
  }),
);

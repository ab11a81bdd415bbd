/** bertscript, as the built package gives it. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { prepareLimit } from './limit.mjs';
import { serve, sines } from './serve.mjs';

await serve(async ({ dist, model: folder, dtype, turbo, threads, layers }) => {
  const library = await import(pathToFileURL(join(dist, 'node/index.js')));
  const { BertConfig, BertModel, BertTokenizer, Engine, SentenceEncoder, linear, randomWeights } = library;
  const engine = new Engine({ turbo, threads });
  let loaded;
  const model = async () => (loaded ??= await load());

  async function load() {
    if (!layers) return BertModel.fromPretrained(folder, { engine, dtype });
    const sizes = { hiddenSize: 384, numAttentionHeads: 12, intermediateSize: 1536, numHiddenLayers: layers };
    const config = new BertConfig({ ...sizes });
    return new BertModel(config, randomWeights(config, { engine }));
  }

  const kinds = {
    /** Token ids to the last hidden state, copied out as a plain array. */
    async encoder({ ids }) {
      const bert = await model();
      const run = () => engine.scope(() => bert.forward({ inputIds: ids }).lastHiddenState.data.slice());
      return { run, outcome: (floats) => ({ floats }) };
    },
    /** The same with every layer's output: hidden states one after the other. */
    async hiddenStates({ ids }) {
      const bert = await model();
      const run = () =>
        engine.scope(() =>
          bert.forward({ inputIds: ids }, { outputHiddenStates: true }).hiddenStates.map(({ data }) => data.slice()),
        );
      return { run, outcome: (states) => ({ floats: concatenate(states) }) };
    },
    /** Texts to vectors. */
    async embed({ texts, oneByOne }) {
      const encoder = await SentenceEncoder.fromPretrained(folder, { engine, dtype });
      const run = oneByOne ? () => texts.map((text) => encoder.encode([text])[0]) : () => encoder.encode(texts);
      const outcome = (results) => ({
        floats: concatenate(results.map(({ embedding }) => embedding)),
        tokens: results.reduce((sum, { tokenCount }) => sum + tokenCount, 0),
      });
      return { run, outcome };
    },
    /** One product with a weight matrix. */
    async linear({ rows, inFeatures, outFeatures }) {
      const x = sines(rows * inFeatures);
      const matrix = engine.keepMatrix(outFeatures, inFeatures, 'f32');
      matrix.set(sines(outFeatures * inFeatures, 0.5));
      const bias = engine.keep([outFeatures]);
      const input = engine.keep([rows, inFeatures]);
      input.data.set(x);
      const run = () => engine.scope(() => void linear(input, matrix, bias));
      const outcome = () => ({ floats: engine.scope(() => linear(input, matrix, bias).data.slice()) });
      return { run, outcome };
    },
    /** Texts to ids and offsets. */
    async tokenize({ texts }) {
      const tokenizer = await BertTokenizer.fromPretrained(folder);
      const run = () =>
        tokenizer.encodeBatch(texts).encodings.map(({ inputIds, starts, ends }) => [inputIds, starts, ends]);
      const outcome = () => {
        const { encodings } = tokenizer.encodeBatch(texts);
        return {
          ids: encodings.map(({ inputIds }) => [...inputIds]),
          offsets: encodings.map(({ codePointOffsets }) => codePointOffsets.flat()),
        };
      };
      return { run, outcome };
    },
    /** Forward passes of random lengths; the memory in use every so often. */
    async soak({ passes, warmUp }) {
      const bert = await model();
      const samples = [];
      const run = () => {
        for (let pass = 1; pass <= passes; pass++) {
          const length = 1 + ((pass * 7919) % 64);
          const ids = Array.from({ length }, (_, i) => 1000 + ((i * 104729 + pass) % 20000));
          bert.forward({ inputIds: [ids] });
          if (pass >= warmUp && (pass - warmUp) % Math.ceil((passes - warmUp) / 20) === 0) {
            collectGarbage();
            const { rss, arrayBuffers } = process.memoryUsage();
            samples.push({ pass, engine: engine.info().memory, arrayBuffers, rss });
          }
        }
      };
      return { run, outcome: () => ({ samples }) };
    },
    limit: (work) => prepareLimit(dist, work),
  };

  // What the engine is like with the model in it, which is loaded before the clock starts.
  if (layers || (folder && dtype)) await model();
  return { info: { engine: engine.info() }, prepare: (work) => kinds[work.kind](work) };
});

/** So that what is measured is what is in use. */
function collectGarbage() {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
}

function concatenate(arrays) {
  const result = new Float32Array(arrays.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const array of arrays) {
    result.set(array, at);
    at += array.length;
  }
  return result;
}

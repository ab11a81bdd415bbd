/** tokenizers.js: ids only, it has no offsets. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { serve } from './serve.mjs';

await serve(async ({ folder }) => {
  const json = (name) => JSON.parse(readFileSync(join(folder, name), 'utf8'));
  const tokenizer = new Tokenizer(json('tokenizer.json'), json('tokenizer_config.json'));

  function tokenize({ texts }) {
    const run = () => texts.map((text) => tokenizer.encode(text).ids);
    return { run, outcome: (ids) => ({ ids }) };
  }

  return { info: {}, prepare: (work) => ({ tokenize })[work.kind](work) };
});

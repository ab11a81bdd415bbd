/**
 * The bench against every peer: node run.mjs [--quick] [--only 1,2,12] [--out results.json] [--data FOLDER]
 *   [--checkpoint FOLDER] [--rounds N] [--skip-base]. See README.md.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { describeMachine, describeVersions } from './lib/machine.mjs';
import { cache, firstExisting, root } from './lib/paths.mjs';
import { setUp } from './lib/setup.mjs';
import { Texts } from './lib/texts.mjs';
import * as accuracy from './rows/accuracy.mjs';
import * as bundle from './rows/bundle.mjs';
import * as documents from './rows/documents.mjs';
import * as encoder from './rows/encoder.mjs';
import * as limit from './rows/limit.mjs';
import * as newProcess from './rows/newProcess.mjs';
import * as scaling from './rows/scaling.mjs';
import * as tokenizers from './rows/tokenizers.mjs';

const modules = { encoder, documents, newProcess, tokenizers, bundle, limit, scaling, accuracy };

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    out: { type: 'string', default: join(cache, 'results.json') },
    data: { type: 'string' },
    checkpoint: { type: 'string' },
    rounds: { type: 'string' },
    'skip-base': { type: 'boolean', default: false },
  },
});

const log = (line) => console.error(`[${new Date().toTimeString().slice(0, 8)}] ${line}`);
const settings = {
  quick: options.quick,
  rounds: Number(options.rounds ?? (options.quick ? 3 : 9)),
  /** How long one contestant computes before it is the next one's turn. */
  sliceMilliseconds: options.quick ? 150 : 400,
  skipBase: options['skip-base'],
  log,
};
/** Row numbers, or names of files in rows/. */
const wanted = options.only?.split(',');
const chosen = Object.entries(modules).filter(
  ([name, { rows }]) => !wanted || wanted.includes(name) || rows.some((row) => wanted.includes(String(row))),
);
if (chosen.length === 0)
  throw new Error(`--only ${options.only}: no such row (known: 1 to 16, ${Object.keys(modules)})`);

const checkpoints = await setUp({ checkpoint: options.checkpoint, log });
const data = firstExisting([options.data, join(root, '../shared/data')], 'Give --data FOLDER.');
const tokenizer = await checkpoints.library.BertTokenizer.fromPretrained(checkpoints.original);
const texts = new Texts(data, tokenizer);

// Parts that were not chosen stay as they are in the file.
const results = existsSync(options.out) && wanted ? JSON.parse(readFileSync(options.out, 'utf8')) : { parts: {} };
for (const [name, { run }] of chosen) {
  log(`== ${name}`);
  const machine = describeMachine();
  try {
    const part = await run({ texts, checkpoints, settings });
    results.parts[name] = { machine, quick: settings.quick, rounds: settings.rounds, ...part };
  } catch (error) {
    log(`${name} failed: ${error.stack}`);
    process.exitCode = 1;
    continue; // the other parts do not depend on it
  }
  results.versions = describeVersions();
  writeFileSync(options.out, JSON.stringify(results, null, 1));
  log(`wrote ${name} to ${options.out}`);
}

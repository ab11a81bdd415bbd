import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { report, TEXT } from './first.mjs';

const [dist, folder, dtype] = process.argv.slice(2);
const { Engine, SentenceEncoder } = await import(pathToFileURL(join(dist, 'node/index.js')));
const encoder = await SentenceEncoder.fromPretrained(folder, { engine: new Engine({ threads: 1 }), dtype });
report(encoder.encode([TEXT])[0].embedding);

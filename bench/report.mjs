/** Turns results into BENCHMARKS.md and plots: node report.mjs [results.json]. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bench, cache, root } from './lib/paths.mjs';
import { plots } from './report/plots.mjs';
import { sections } from './report/sections.mjs';
import { Results } from './report/results.mjs';

const results = new Results(JSON.parse(readFileSync(process.argv[2] ?? join(cache, 'results.json'), 'utf8')));
mkdirSync(join(bench, 'plots'), { recursive: true });
for (const [name, svg] of Object.entries(plots(results))) writeFileSync(join(bench, 'plots', `${name}.svg`), svg);
// Measured by hand: what families.ts, training.ts and others printed.
const byHand = ['training', 'families', 'machines'].map((name) => readFileSync(join(bench, `${name}.md`), 'utf8'));
writeFileSync(join(root, 'BENCHMARKS.md'), [...sections(results), ...byHand].join('\n\n'));
console.log('wrote BENCHMARKS.md and bench/plots');

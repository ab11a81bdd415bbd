/** Rows 8 to 11: text to vectors. */
import { vectorsAgree } from '../lib/agreement.mjs';
import { ours, pyTorch, transformersJs } from '../lib/contestants.mjs';
import { race } from '../lib/race.mjs';

export const rows = [8, 9, 10, 11];

const model = 'all-MiniLM-L6-v2';

export async function run({ texts, checkpoints, settings }) {
  const documents = texts.documents(settings.quick ? 64 : 256);
  const folder = checkpoints.original;
  const common = { agree: vectorsAgree(384), settings };
  const cases = [{ name: 'documents', work: { kind: 'embed', texts: documents } }];
  const query = [{ name: 'one query', work: { kind: 'embed', texts: ['how do I reset my password on a new phone?'] } }];
  const measurements = [];
  for (const runtime of ['node20', 'node26']) {
    const mine = ['f32', 'q8'].map((dtype) => ours(runtime, { dtype, model: folder }));
    if (runtime !== 'node20')
      mine.push(...['f32', 'q8'].map((dtype) => ours(runtime, { dtype, model: folder, turbo: true })));
    const peers = ['f32', 'q8'].flatMap((dtype) =>
      [32, 1].map((batch) => transformersJs(runtime, { dtype, batch, model })),
    );
    const specs = [pyTorch(folder), ...mine, ...peers];
    measurements.push(...(await race({ ...common, group: `documents ${runtime}`, specs, cases })));
    const alone = specs.filter(({ options }) => options.batch !== 32);
    measurements.push(...(await race({ ...common, group: `query ${runtime}`, specs: alone, cases: query })));
  }
  const lengths = documents.map((text) => texts.idsOf(text).length);
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const facts = { documents: lengths.length, tokens, shortest: Math.min(...lengths), longest: Math.max(...lengths) };
  return { facts, measurements };
}

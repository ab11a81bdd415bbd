/** Row 14: text to ids and offsets, one thread. */
import { tokensAgree } from '../lib/agreement.mjs';
import { hfTokenizers, ours, tokenizersJs } from '../lib/contestants.mjs';
import { race } from '../lib/race.mjs';

export const rows = [14];

export async function run({ texts, checkpoints, settings }) {
  const folder = checkpoints.original;
  const mine = (runtime) => ({ ...ours(runtime, { model: folder, dtype: null, name: `bertscript on ${runtime}` }) });
  const specs = [hfTokenizers(folder), mine('node20'), mine('node26'), tokenizersJs('node20', folder)];
  const cases = [
    { name: 'English', texts: texts.english() },
    { name: 'multilingual', texts: texts.multilingual() },
  ].map(({ name, texts }) => ({
    name,
    work: { kind: 'tokenize', texts },
    bytes: texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0),
  }));
  const measurements = await race({ group: 'tokenizers', specs, cases, agree: tokensAgree, settings });
  for (const measurement of measurements) {
    const { bytes } = cases.find(({ name }) => name === measurement.case);
    measurement.megabytesPerSecond = bytes / measurement.median / 1e3;
    settings.log(`${measurement.case} ${measurement.contestant}: ${measurement.megabytesPerSecond.toFixed(2)} MB/s`);
  }
  return { measurements };
}

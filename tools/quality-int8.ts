/**
 * How far the embeddings of quantized models are from those of the model that they were made of, as Markdown:
 *
 *     npx tsx tools/quality-int8.ts --full DIR --int8 DIR … --pairs sick.train.tsv [--texts FILE …]
 *
 * `--pairs` has a header and, tab-separated, an id, two sentences and how related people found them; the first 500 pairs
 * are read. Of each file of texts, a text a line (`.jsonl`: in its field "text"), the 50 that lie evenly over the long
 * lines are read, cut at 128 tokens. Exits 1 unless on the pairs the cosine to full precision is at least 0.9994 in the mean
 * and 0.998 at worst, and Spearman's correlation with people within 0.002.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { cosineSimilarity, SentenceEncoder } from '../src/tasks/index.ts';

const PAIRS = 500;
const TEXTS = 50;
const MAX_TOKENS = 128;

const { values } = parseArgs({
  options: {
    full: { type: 'string', default: 'weights/original/all-MiniLM-L6-v2' },
    int8: { type: 'string', multiple: true, default: ['weights/all-MiniLM-L6-v2'] },
    pairs: { type: 'string' },
    texts: { type: 'string', multiple: true, default: [] },
  },
});
if (values.pairs === undefined) throw new Error('--pairs FILE is needed');

const lines = (path: string) => readFileSync(path, 'utf8').split(/\r?\n/);

const pairs = lines(values.pairs)
  .slice(1, 1 + PAIRS)
  .map((line) => line.split('\t'));
const gold = pairs.map(([, , , score]) => Number(score));
const full = await SentenceEncoder.fromPretrained(values.full);
const sets = new Map<string, string[]>([
  [`${pairs.length} pairs of ${basename(values.pairs)}`, pairs.flatMap(([, a, b]) => [a, b])],
]);
for (const path of values.texts) {
  const texts = longTexts(path);
  sets.set(`${texts.length} texts of ${basename(path)}, ${MAX_TOKENS} tokens`, texts);
}
const expected = embedSets(full);
const [reference] = expected;

console.log('| model | texts | cosine to float32: mean | worst | Spearman with people | of float32 |');
console.log('|---|---|---|---|---|---|');
for (const folder of values.int8) {
  const found = embedSets(await SentenceEncoder.fromPretrained(folder));
  [...sets.keys()].forEach((name, i) => {
    const cosines = found[i].map((vector, k) => cosineSimilarity(vector, expected[i][k]));
    const mean = cosines.reduce((sum, x) => sum + x, 0) / cosines.length;
    const worst = Math.min(...cosines);
    const [rho, rhoFull] = i === 0 ? [correlation(found[0]), correlation(reference)] : [];
    const row = [folder, name, ...[mean, worst, rho, rhoFull].map((x) => x?.toFixed(6) ?? '')];
    console.log(`| ${row.join(' | ')} |`);
    const wrong = rho !== undefined && (mean < 0.9994 || worst < 0.998 || Math.abs(rho - rhoFull!) > 0.002);
    if (wrong) process.exitCode = 1;
  });
}

/** Texts that are long enough to fill most of a model's window, from all over a file. */
function longTexts(path: string): string[] {
  const all = lines(path)
    .filter((line) => line !== '')
    .map((line) => (path.endsWith('.jsonl') ? (JSON.parse(line) as { text: string }).text : line).trim())
    .filter((text) => text.length >= 300);
  return Array.from({ length: Math.min(TEXTS, all.length) }, (_, i) => {
    const text = all[Math.floor((i * all.length) / Math.min(TEXTS, all.length))];
    const { offsets } = full.tokenizer.encode(text, { maxLength: MAX_TOKENS, truncation: 'only_first' });
    return text.slice(0, Math.max(...[...offsets].map(([, end]) => end)));
  });
}

/** The vectors of each set of texts. */
function embedSets(encoder: SentenceEncoder): Float64Array[][] {
  return [...sets.values()].map((texts) => encoder.encode(texts).map(({ embedding }) => Float64Array.from(embedding)));
}

/** Spearman's, between the similarities of pairs of vectors and what people said. */
function correlation(vectors: Float64Array[]): number {
  const similarities = gold.map((_, i) => cosineSimilarity(vectors[2 * i], vectors[2 * i + 1]));
  const [a, b] = [ranks(similarities), ranks(gold)];
  const middle = (gold.length - 1) / 2;
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < gold.length; i++) {
    ab += (a[i] - middle) * (b[i] - middle);
    aa += (a[i] - middle) ** 2;
    bb += (b[i] - middle) ** 2;
  }
  return ab / Math.sqrt(aa * bb);
}

/** Place of each value when sorted, from 0; equal values share the mean of their places. */
function ranks(values: readonly number[]): number[] {
  const sorted = [...values].sort((a, b) => a - b);
  return values.map((value) => (sorted.indexOf(value) + sorted.lastIndexOf(value)) / 2);
}

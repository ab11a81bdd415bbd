/** What each speed costs: distance from PyTorch, tensor by tensor and text by text; batch against single; memory. */
import { onnxNode, ours, pyTorch } from '../lib/contestants.mjs';
import { Contestant } from '../lib/contestant.mjs';
import { maxAbsDifference, mean, rmsDifference, rowCosines, spearman } from '../lib/statistics.mjs';

export const rows = [];

const model = 'all-MiniLM-L6-v2';
const SIZE = 384;

export async function run(context) {
  return {
    tensors: await tensorErrors(context),
    int8: context.checkpoints.int8.includes('.cache') ? 'rounded from the original' : 'the shipped model',
    sentences: await sentenceQuality(context),
    batches: await batchesEqualSingles(context),
    memory: await memoryOverTime(context),
  };
}

/** Errors of each layer's output against float64, beside PyTorch's own in float32. */
async function tensorErrors({ texts, checkpoints, settings }) {
  const ids = texts.ids(8, 128);
  const [exactly, wanted] = await outcomes(pyTorch(checkpoints.original), [
    { kind: 'hiddenStates', ids, dtype: 'f64' },
    { kind: 'hiddenStates', ids, dtype: 'f32' },
  ]);
  const exact = Float64Array.from(firstHalf(exactly), (x, i) => x + secondHalf(exactly)[i]);
  const pytorch = firstHalf(wanted);
  const contestants = [
    ours('node20', { model: checkpoints.original }),
    ours('node26', { model: checkpoints.original }),
    ours('node26', { model: checkpoints.original, turbo: true }),
  ];
  const results = [];
  for (const spec of contestants) {
    const [floats] = await outcomes(spec, [{ kind: 'hiddenStates', ids }]);
    const count = 8 * 128 * SIZE;
    for (let at = 0; at < floats.length; at += count) {
      const [mine, theirs, truth] = [floats, pytorch, exact].map((all) => all.subarray(at, at + count));
      results.push({
        contestant: `${spec.name}, ${spec.runtime}`,
        tensor: at === 0 ? 'embeddings' : `layer ${at / count}`,
        maxAbsToPyTorch: maxAbsDifference(mine, theirs),
        largest: truth.reduce((max, x) => Math.max(max, Math.abs(x)), 0),
        rmsRatio: rmsDifference(mine, truth) / rmsDifference(theirs, truth),
        maxRatio: maxAbsDifference(mine, truth) / maxAbsDifference(theirs, truth),
      });
    }
    const last = results.at(-1);
    settings.log(
      `${last.contestant}: RMS error ${last.rmsRatio.toFixed(2)} times PyTorch's, max ${last.maxRatio.toFixed(2)}`,
    );
  }
  return results;
}

/** Sentence vectors of SICK's training part: cosine to PyTorch float32, and Spearman's correlation with people. */
async function sentenceQuality({ texts, checkpoints, settings }) {
  const pairs = texts.sick().slice(0, settings.quick ? 250 : undefined);
  const sentences = [...new Set(pairs.flatMap(({ a, b }) => [a, b]))];
  const indexOf = new Map(sentences.map((sentence, i) => [sentence, i]));
  const embed = { kind: 'embed', texts: sentences };
  const tokenized = { kind: 'embed', ids: sentences.map((text) => texts.idsOf(text)) };
  const contestants = [
    [pyTorch(checkpoints.original), embed],
    [ours('node20', { model: checkpoints.original }), embed],
    [ours('node26', { model: checkpoints.original, turbo: true }), embed],
    [{ ...ours('node20', { model: checkpoints.int8, dtype: 'auto' }), name: 'bertscript q8 (W8A12)' }, embed],
    [onnxNode('node20', { model }), tokenized],
    [onnxNode('node20', { model, dtype: 'q8' }), tokenized],
    [onnxNode('node20', { model, dtype: 'q8 per channel' }), tokenized],
  ];
  let expected;
  const results = [];
  for (const [spec, work] of contestants) {
    const [floats] = await outcomes(spec, [work]);
    expected ??= floats;
    const cosines = rowCosines(floats, expected, SIZE);
    const row = (text) => floats.subarray(indexOf.get(text) * SIZE, (indexOf.get(text) + 1) * SIZE);
    const scores = pairs.map(({ a, b }) => rowCosines(row(a), row(b), SIZE)[0]);
    const result = {
      contestant: `${spec.name}, ${spec.runtime}`,
      sentences: sentences.length,
      pairs: pairs.length,
      meanCosine: mean(cosines),
      worstCosine: cosines.reduce((a, b) => Math.min(a, b)),
      spearman: spearman(
        scores,
        pairs.map(({ score }) => score),
      ),
    };
    settings.log(
      `${result.contestant}: cosine ${result.meanCosine.toFixed(5)}, worst ${result.worstCosine.toFixed(5)}, Spearman ${result.spearman.toFixed(4)}`,
    );
    results.push(result);
  }
  return results;
}

/** Vectors of many texts at once, on one thread and on two, against one text at a time: bit for bit. */
async function batchesEqualSingles({ texts, checkpoints, settings }) {
  const documents = texts.documents(settings.quick ? 32 : 128);
  const results = [];
  for (const runtime of ['node20', 'node26']) {
    for (const dtype of ['f32', 'q8']) {
      let single;
      for (const threads of [1, 2]) {
        const works = [
          { kind: 'embed', texts: documents, oneByOne: true },
          { kind: 'embed', texts: documents },
        ];
        const [one, all] = await outcomes(ours(runtime, { model: checkpoints.original, dtype, threads }), works);
        single ??= one;
        const differing = [one, all].map((floats) => countDiffering(floats, single));
        results.push({ runtime, dtype, threads, differingSingle: differing[0], differingBatch: differing[1] });
      }
    }
  }
  const wrong = results.filter(({ differingSingle, differingBatch }) => differingSingle + differingBatch > 0);
  settings.log(`batch = single: ${wrong.length === 0 ? 'bit for bit' : JSON.stringify(wrong)}`);
  return results;
}

/** Passes over random lengths: memory must stay what it was after the first ones. */
async function memoryOverTime({ checkpoints, settings }) {
  const passes = settings.quick ? 1000 : 20_000;
  const results = [];
  for (const dtype of ['f32', 'q8']) {
    const spec = ours('node20', { model: checkpoints.original, dtype });
    const contestant = await Contestant.start(spec);
    const { samples } = await contestant.prepare({ kind: 'soak', passes, warmUp: 500 });
    await contestant.stop();
    const result = { dtype, passes, samples };
    results.push(result);
    const [first, last] = [samples[0], samples.at(-1)];
    settings.log(`memory ${dtype}: ${JSON.stringify(first)} → ${JSON.stringify(last)}`);
  }
  return results;
}

/** What a contestant makes of several pieces of work. */
async function outcomes(spec, works) {
  const contestant = await Contestant.start(spec);
  try {
    const results = [];
    for (const work of works) results.push((await contestant.prepare(work)).floats);
    return results;
  } finally {
    await contestant.stop();
  }
}

const firstHalf = (floats) => floats.subarray(0, floats.length / 2);
const secondHalf = (floats) => floats.subarray(floats.length / 2);
const countDiffering = (a, b) => a.reduce((count, x, i) => count + (Object.is(x, b[i]) ? 0 : 1), 0);

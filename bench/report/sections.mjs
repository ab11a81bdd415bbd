/** The parts of BENCHMARKS.md. */
import { fixed, table } from './markdown.mjs';
import { gigaflops } from './results.mjs';
import { targets } from './targets.mjs';

export function sections(results) {
  const { rows, base } = targets(results);
  return [
    '# Benchmarks',
    `Made by \`node bench/run.mjs\` and \`node bench/report.mjs\`; how, and what is compared, is in [bench/README.md](bench/README.md).
All speeds are of one thread unless said, and side by side: contestants take turns (A B C A B C …) on the same weights and
inputs, and each output was checked against PyTorch's before it was timed (tokens against the Rust tokenizers'). Times are medians over the turns; ratios are medians of the
ratios within a turn. GFLOP/s count the products of the encoder (attention included), nothing else.`,
    results.quick ? '**A quick run: too few turns to be quoted.**' : '',
    '## Machine',
    machine(results),
    '## Targets',
    'Speed relative to the peer (more is better), unless the target says "at most".',
    targetTable(rows),
    '### The encoder rows on a BERT-base-sized model (random weights)',
    'The targets were set for all-MiniLM-L6-v2; here they are only a yardstick.',
    targetTable(base),
    '## Encoder: token ids to the last hidden state',
    '![Encoder speed](bench/plots/encoder.svg)',
    ...encoderTables(results),
    '## Text to vectors',
    documentFacts(results),
    ...['documents', 'query'].flatMap((kind) => textTables(results, kind)),
    '## New process: load and embed one text',
    'Wall time from starting Node to its end, and the most memory it ever had in RAM (VmHWM).',
    newProcess(results),
    '## Tokenizers',
    'tokenizers.js and the Rust tokenizers are timed without reading anything out of the results; bertscript with its offsets read. tokenizers.js has no offsets.',
    tokenizers(results),
    '## What a browser downloads, without weights',
    bundle(results),
    '## The 128-bit limit, and tfjs',
    limit(results),
    '## Tokens, sequences, layers',
    '![Time by tokens](bench/plots/tokens.svg) ![Time by sequences](bench/plots/sequences.svg) ![Time by layers](bench/plots/layers.svg)',
    ...scaling(results),
    '## Accuracy',
    ...accuracy(results),
    '## Which code was timed',
    engines(results),
  ].filter(Boolean);
}

function machine({ parts, versions }) {
  const machines = Object.entries(parts).map(([name, { machine, rounds }]) => ({ name, rounds, ...machine }));
  const [{ cpu, cores, vectors, memoryGiB, kernel }] = machines;
  const byPart = machines.map(({ name, date, load, commit, changed, rounds }) => [
    name,
    date,
    `${commit}${changed ? ' + changes' : ''}`,
    load.map((x) => x.toFixed(1)).join(' '),
    rounds,
  ]);
  return [
    `${cpu}, ${cores} cores, ${vectors.join(' ')}; ${memoryGiB} GiB; Linux ${kernel}. Every peer may use all of the CPU's vectors; WebAssembly has 128 bits (256 in turbo).`,
    table(['software', 'version'], Object.entries(versions)),
    table(['part', 'date (UTC)', 'commit', 'load average at its start', 'turns'], byPart),
  ].join('\n\n');
}

function targetTable(rows) {
  return table(
    ['#', 'what', 'against', 'case', 'target', 'measured', 'verdict'],
    rows.flatMap(({ number, what, peer, measured }) =>
      measured.map(({ of, value, target, stretch, atMost }) => [
        number,
        what,
        peer,
        of,
        target === undefined ? '–' : `${atMost ? 'at most' : '≥'} ${target}${stretch ? `, stretch ${stretch}` : ''}`,
        fixed(value, 2),
        verdict(value, target, stretch, atMost),
      ]),
    ),
  );
}

function verdict(value, target, stretch, atMost) {
  if (value === undefined || target === undefined) return '–';
  if (atMost ? value > target : value < target)
    return `**short by ${Math.round(100 * Math.abs(1 - value / target))}%**`;
  return stretch && value >= stretch ? 'stretch reached' : 'reached';
}

function encoderTables(results) {
  return ['all-MiniLM-L6-v2', 'bert-base-random', 'threads'].flatMap((model) =>
    ['node20', 'node24', 'node26'].map((runtime) => {
      const measurements = results.in(`${model} ${runtime}`);
      if (measurements.length === 0) return '';
      const title = `### ${model}, ${runtime.replace('node', 'Node ')}`;
      const rows = measurements.map((m) => [
        m.contestant,
        m.case,
        fixed(m.median, 2),
        fixed(m.min, 2),
        fixed(gigaflops(m), 1),
        fixed(m.agreement.meanCosine, 6),
        m.load.map((x) => x.toFixed(1)).join(' – '),
      ]);
      return `${title}\n\n${table(['contestant', 'case', 'ms', 'best ms', 'GFLOP/s', 'cosine to PyTorch f32', 'load'], rows)}`;
    }),
  );
}

function documentFacts({ parts }) {
  if (!parts.documents) return 'Not measured.';
  const { documents, tokens, shortest, longest } = parts.documents.facts;
  return `${documents} documents of real text, ${shortest} to ${longest} tokens (mean ${(tokens / documents).toFixed(0)}), ${tokens} tokens in all, in mixed order; the tokens of every contestant are counted and equal. "cosine" is to PyTorch, which embeds one text at a time here.`;
}

function textTables(results, kind) {
  return ['node20', 'node26'].map((runtime) => {
    const measurements = results.in(`${kind} ${runtime}`);
    if (measurements.length === 0) return '';
    const rows = measurements.map((m) => [
      m.contestant,
      fixed(m.median, 2),
      fixed(m.min, 2),
      fixed((1e3 * m.agreement.tokens) / m.median, 0),
      fixed(m.agreement.meanCosine, 5),
    ]);
    const title = kind === 'documents' ? 'Mixed documents' : `One query of ${measurements[0].agreement.tokens} tokens`;
    return `### ${title}, ${runtime.replace('node', 'Node ')}\n\n${table(['contestant', 'ms', 'best ms', 'tokens/s', 'cosine'], rows)}`;
  });
}

function newProcess(results) {
  const rows = results
    .in('new process')
    .map((m) => [m.contestant, fixed(m.median, 0), fixed(m.min, 0), fixed(m.peakMiB, 0)]);
  return table(['contestant', 'ms', 'best ms', 'peak MiB'], rows);
}

function tokenizers(results) {
  const rows = results
    .in('tokenizers')
    .map((m) => [
      m.case,
      m.contestant,
      fixed(m.megabytesPerSecond, 2),
      m.agreement.textsWithOtherIds,
      m.agreement.textsWithOtherOffsets,
      m.agreement.texts,
    ]);
  return table(['text', 'contestant', 'MB/s', 'texts with other ids', 'with other offsets', 'texts'], rows);
}

function bundle({ parts }) {
  if (!parts.bundle) return 'Not measured.';
  const { sizes } = parts.bundle;
  const folders = Object.entries(sizes[0].folders).map(([folder, bytes]) => `${folder} ${(bytes / 1000).toFixed(1)}`);
  return [
    table(
      ['what', 'kB min', 'kB min + gzip'],
      sizes.map(({ name, bytes, gzip }) => [name, fixed(bytes / 1000, 1), fixed(gzip / 1000, 1)]),
    ),
    `Of bertscript's, by folder (kB min): ${folders.join(', ')}.`,
  ].join('\n\n');
}

function limit(results) {
  const rows = ['node20', 'node24', 'node26'].flatMap((runtime) =>
    results
      .in(`limit ${runtime}`)
      .map((m) => [
        runtime.replace('node', 'Node '),
        m.case,
        m.contestant,
        fixed(gigaflops(m), 1),
        fixed(m.operations / m.min / 1e6, 1),
      ]),
  );
  return table(['Node', 'case', 'contestant', 'GFLOP/s', 'best'], rows);
}

function scaling(results) {
  return ['scaling node20', 'scaling node26', 'layers node20'].map((group) => {
    const measurements = results.in(group);
    if (measurements.length === 0) return '';
    const contestants = [...new Set(measurements.map((m) => m.contestant))];
    const rows = [...new Set(measurements.map((m) => m.case))].sort(byNumbers).map((name) => [
      name,
      ...contestants.map((contestant) => {
        const m = results.find(group, name, contestant);
        return m && `${fixed(m.median, 2)} (${fixed(gigaflops(m), 0)})`;
      }),
    ]);
    return `### ${group.replace('node', 'Node ')}: ms (GFLOP/s)\n\n${table(['case', ...contestants], rows)}`;
  });
}

function accuracy({ parts }) {
  if (!parts.accuracy) return ['Not measured.'];
  const { tensors, sentences, batches, memory, int8 } = parts.accuracy;
  const differing = batches.filter((b) => b.differingSingle + b.differingBatch > 0);
  return [
    `Sentences of SICK (training part), one at a time: cosine of their vectors to PyTorch float32, Spearman correlation of similarity with people. bertscript q8 is ${int8}; wanted of it: mean ≥ 0.9994, worst ≥ 0.998. onnxruntime's q8 is dynamic int8 as quantize_dynamic makes it by default, which the speeds above are of, and with a scale per channel and 7 bits.`,
    table(
      ['contestant', 'sentences', 'mean cosine', 'worst cosine', 'Spearman'],
      sentences.map((s) => [
        s.contestant,
        s.sentences,
        fixed(s.meanCosine, 5),
        fixed(s.worstCosine, 5),
        fixed(s.spearman, 4),
      ]),
    ),
    "f32 tensor by tensor, 8 x 128 tokens: distance from PyTorch float32, and errors to float64 as multiples of PyTorch's own. Wanted: ≤ 1e-5 of the tensor's scale, RMS ≤ 2, maximum ≤ 3.",
    table(
      ['contestant', 'tensor', 'max abs to PyTorch', 'relative to the largest', 'RMS ratio', 'maximum ratio'],
      tensors.map((t) => [
        t.contestant,
        t.tensor,
        t.maxAbsToPyTorch.toExponential(1),
        (t.maxAbsToPyTorch / t.largest).toExponential(1),
        fixed(t.rmsRatio, 2),
        fixed(t.maxRatio, 2),
      ]),
    ),
    `Batch against single, one and two threads, f32 and q8, Node 20 and 26: ${differing.length === 0 ? 'the same, bit for bit' : `**differing** ${JSON.stringify(differing)}`}.`,
    table(
      ['memory over passes of random lengths', 'after pass', 'engine MiB', 'array buffers MiB', 'RSS MiB'],
      memory.flatMap(({ dtype, samples }) =>
        [samples[0], samples[samples.length >> 1], samples.at(-1)].map((s) => [
          dtype,
          s.pass,
          ...[s.engine, s.arrayBuffers, s.rss].map((bytes) => fixed(bytes / 2 ** 20, 1)),
        ]),
      ),
    ),
  ];
}

/** engine.info() of every way that ours was run. */
function engines({ measurements }) {
  const seen = new Map();
  for (const { contestant, runtime, info } of measurements) {
    if (!info?.engine) continue;
    const { kernels, arithmetic, tile, turbo, threads } = info.engine;
    const name = contestant.replace(/ on node\d+/, '');
    seen.set(`${name} ${runtime}`, [
      name,
      `${info.runtime} (V8 ${info.v8})`,
      kernels,
      arithmetic,
      tile,
      turbo,
      threads,
    ]);
  }
  return table(['contestant', 'runtime', 'kernels', 'arithmetic', 'tile', 'turbo', 'threads'], [...seen.values()]);
}

/** 1x16, 1x64, 1x512, 2x64 …; 1 layers, 2 layers … */
function byNumbers(a, b) {
  const [x, y] = [a, b].map((name) => name.match(/\d+/g).map(Number));
  return x[0] - y[0] || (x[1] ?? 0) - (y[1] ?? 0);
}

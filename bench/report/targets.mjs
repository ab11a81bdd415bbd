/**
 * The 16 rows: what is measured, against whom, and what it should reach. Each entry of `measured` is one figure:
 * `{ of, value, target, stretch? }`; `value` is undefined while it was not measured.
 */
import { gigaflops } from './results.mjs';

const MINILM = 'all-MiniLM-L6-v2';
const sizes = ['1x128', '8x128'];
const newer = ['node24', 'node26'];
const nodeName = (runtime) => runtime.replace('node', 'Node ');

export function targets(results) {
  /** One figure for each runtime and size: our speed over the peer's. */
  const encoder = (model, runtimes, mine, peer, target, stretch) =>
    runtimes.flatMap((runtime) =>
      sizes.map((size) => ({
        of: `${nodeName(runtime)}, ${size}`,
        value: results.ratio(`${model} ${runtime}`, size, mine, peer),
        target: typeof target === 'object' ? target[size] : target,
        stretch,
      })),
    );
  const encoderRows = (model) => [
    row(
      1,
      'f32, plain SIMD',
      'onnxruntime-web f32',
      encoder(model, ['node20'], 'bertscript f32', 'onnxruntime-web f32', { '1x128': 1.7, '8x128': 2 }),
    ),
    row(
      2,
      'f32, relaxed FMA',
      'onnxruntime-web f32',
      encoder(model, newer, 'bertscript f32', 'onnxruntime-web f32', 2),
    ),
    row(
      3,
      'f32 turbo',
      'onnxruntime-node f32',
      encoder(model, newer, 'bertscript f32 turbo', 'onnxruntime-node f32', 1, 1.15),
    ),
    row(4, 'q8', 'onnxruntime-web q8', encoder(model, ['node20'], 'bertscript q8', 'onnxruntime-web q8', 1.35, 1.6)),
    row(
      5,
      'q8',
      'onnxruntime-node f32',
      encoder(model, ['node20'], 'bertscript q8', 'onnxruntime-node f32', 0.75, 0.9),
    ),
    row(
      6,
      'q8 turbo',
      'onnxruntime-node q8',
      encoder(model, ['node26'], 'bertscript q8 turbo', 'onnxruntime-node q8', 0.6, 0.8),
    ),
  ];
  const documents = (runtime, mine, peer, target, stretch) => ({
    of: `${nodeName(runtime)}, ${mine}`,
    value: results.ratio(`documents ${runtime}`, 'documents', mine, peer),
    ...{ target, stretch },
  });
  const threads = ['node20', 'node26'].flatMap((runtime) =>
    ['f32', 'q8'].flatMap((dtype) =>
      [...sizes].reverse().map((size) => ({
        of: `${nodeName(runtime)}, ${dtype}, ${size}`,
        value: results.ratio(`threads ${runtime}`, size, `bertscript ${dtype} 2 threads`, `bertscript ${dtype}`),
        target: size === '8x128' ? 1.8 : 1.5,
      })),
    ),
  );
  return {
    rows: [
      ...encoderRows(MINILM),
      row(7, 'two threads', 'one thread', threads),
      row(8, 'mixed documents, text to vectors, f32', 'transformers.js f32 native, batch 32', [
        documents('node20', 'bertscript f32', 'transformers.js f32 native, batch 32', 1.6),
        documents('node26', 'bertscript f32 turbo', 'transformers.js f32 native, batch 32', 3.5),
      ]),
      row(9, 'the same, q8', 'transformers.js q8 native, batch 32', [
        documents('node20', 'bertscript q8', 'transformers.js q8 native, batch 32', 1.4, 1.8),
      ]),
      row(10, 'the same, f32 turbo', 'transformers.js f32 native, one at a time', [
        documents('node26', 'bertscript f32 turbo', 'transformers.js f32 native, one at a time', 1.2),
      ]),
      row(11, 'one short query, q8', 'transformers.js f32 native', [
        {
          of: 'Node 20',
          value: results.ratio(
            'query node20',
            'one query',
            'bertscript q8',
            'transformers.js f32 native, one at a time',
          ),
          target: 1,
        },
      ]),
      row(
        12,
        'new process: load + first embedding',
        'transformers.js native, onnxruntime-web',
        newProcessTimes(results),
      ),
      row(13, 'its peak memory', 'the same', newProcessMemory(results)),
      row(14, 'WordPiece, ids + offsets', 'HF tokenizers, tokenizers.js', tokenizers(results)),
      row(15, 'kB of a browser bundle, min + gzip', 'onnxruntime-web', bundle(results)),
      row(16, 'share of the 128-bit limit, f32', 'multiply-adds in registers', limit(results)),
    ],
    base: encoderRows('bert-base-random'),
  };
}

const row = (number, what, peer, measured) => ({ number, what, peer, measured });

const dtypes = ['f32', 'q8'];
const NEW = ['new process', 'load + first embedding'];

function newProcessTimes(results) {
  return dtypes.flatMap((dtype) =>
    [`transformers.js ${dtype} native`, `onnxruntime-web ${dtype}`].map((peer) => ({
      of: `${dtype} over ${peer}`,
      value: results.ratio(...NEW, `bertscript ${dtype}`, peer),
      target: 1,
    })),
  );
}

function newProcessMemory(results) {
  return dtypes.flatMap((dtype) =>
    [
      [`transformers.js ${dtype} native`, 1],
      [`onnxruntime-web ${dtype}`, 0.5],
    ].map(([peer, target]) => {
      const [mine, theirs] = [`bertscript ${dtype}`, peer].map((name) => results.find(...NEW, name)?.peakMiB);
      return { of: `${dtype} over ${peer}`, value: mine / theirs || undefined, target, atMost: true };
    }),
  );
}

function tokenizers(results) {
  return ['English', 'multilingual'].flatMap((text) =>
    ['node20', 'node26'].flatMap((runtime) =>
      ['HF tokenizers (Rust)', 'tokenizers.js'].map((peer) => ({
        of: `${text}, ${nodeName(runtime)} over ${peer}`,
        value: results.ratio('tokenizers', text, `bertscript on ${runtime}`, peer),
        target: 6,
      })),
    ),
  );
}

function bundle(results) {
  const size = results.parts.bundle?.sizes.find(({ name }) => name === 'bertscript');
  return [{ of: 'engine, tokenizer, loader', value: size && size.gzip / 1000, target: 40, atMost: true }];
}

function limit(results) {
  return ['node20', ...newer].flatMap((runtime) => {
    const group = `limit ${runtime}`;
    const speeds = results.in(group).filter((m) => m.case.startsWith('limit'));
    const most = Math.max(...speeds.map(({ operations, min }) => operations / min / 1e6));
    return ['linear 128x384x384', '1x128', '8x128'].map((name) => {
      const measurement = results.find(group, name, 'bertscript f32');
      const isLinear = name.startsWith('linear');
      return {
        of: `${nodeName(runtime)}, ${isLinear ? name : `whole encoder ${name}`}`,
        value: measurement && gigaflops(measurement) / most,
        target: isLinear ? 0.85 : undefined,
      };
    });
  });
}

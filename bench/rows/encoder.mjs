/** Rows 1 to 7: token ids to the last hidden state, on all-MiniLM-L6-v2 and on BERT-base's size. */
import { vectorsAgree } from '../lib/agreement.mjs';
import { onnxNode, onnxWeb, ours, pyTorch } from '../lib/contestants.mjs';
import { race } from '../lib/race.mjs';

export const rows = [1, 2, 3, 4, 5, 6, 7];

const sizes = {
  'all-MiniLM-L6-v2': { hidden: 384, intermediate: 1536, layers: 6 },
  'bert-base-random': { hidden: 768, intermediate: 3072, layers: 12 },
};

/** Multiplications and additions of an encoder's products; the rest is not counted. */
export function encoderOperations({ hidden, intermediate, layers }, sequences, length) {
  const weights = 4 * hidden ** 2 + 2 * hidden * intermediate;
  return 2 * sequences * length * layers * (weights + 2 * length * hidden);
}

export function encoderCase(texts, model, sequences, length, kind = 'encoder') {
  return {
    name: `${sequences}x${length}`,
    work: { kind, ids: texts.ids(sequences, length) },
    operations: encoderOperations(sizes[model], sequences, length),
  };
}

export async function run({ texts, checkpoints, settings }) {
  const models = [
    {
      model: 'all-MiniLM-L6-v2',
      folder: checkpoints.original,
      cases: [
        [1, 128],
        [8, 128],
      ],
    },
  ];
  const baseCases = settings.quick
    ? [[1, 128]]
    : [
        [1, 128],
        [8, 128],
      ];
  if (!settings.skipBase) models.push({ model: 'bert-base-random', folder: checkpoints.base, cases: baseCases });

  const measurements = [];
  for (const { model, folder, cases } of models) {
    const common = {
      cases: cases.map(([sequences, length]) => encoderCase(texts, model, sequences, length)),
      agree: vectorsAgree(sizes[model].hidden),
      settings,
    };
    for (const runtime of ['node20', 'node24', 'node26']) {
      const dtypes = ['f32', 'q8'];
      const turbo = runtime !== 'node20';
      const specs = [
        pyTorch(folder),
        ...dtypes.map((dtype) => ours(runtime, { dtype, model: folder })),
        ...(turbo ? dtypes.map((dtype) => ours(runtime, { dtype, model: folder, turbo })) : []),
        ...dtypes.map((dtype) => onnxWeb(runtime, { dtype, model })),
        ...dtypes.map((dtype) => onnxNode(runtime, { dtype, model })),
      ];
      measurements.push(...(await race({ ...common, group: `${model} ${runtime}`, specs })));
    }
    if (model !== 'all-MiniLM-L6-v2') continue;
    for (const runtime of ['node20', 'node26']) {
      const specs = [
        ...['f32', 'q8'].flatMap((dtype) => [1, 2].map((threads) => ours(runtime, { dtype, model: folder, threads }))),
        ...[1, 2].map((threads) => onnxWeb(runtime, { model, threads })),
      ];
      measurements.push(...(await race({ ...common, group: `threads ${runtime}`, specs })));
    }
  }
  return { measurements };
}

/** How time grows with tokens, sequences and layers. */
import { vectorsAgree } from '../lib/agreement.mjs';
import { onnxNode, onnxWeb, ours } from '../lib/contestants.mjs';
import { race } from '../lib/race.mjs';
import { encoderCase, encoderOperations } from './encoder.mjs';

export const rows = [];

const model = 'all-MiniLM-L6-v2';

export async function run({ texts, checkpoints, settings }) {
  const folder = checkpoints.original;
  const agree = vectorsAgree(384);
  const measurements = [];
  const short = settings.quick;
  const tokens = short ? [16, 128, 512] : [16, 32, 64, 128, 256, 384, 512];
  const batches = short ? [1, 8] : [1, 2, 4, 8, 16, 32];
  const cases = [
    ...tokens.map((length) => encoderCase(texts, model, 1, length)),
    ...batches.map((size) => encoderCase(texts, model, size, 64)),
  ];
  for (const runtime of ['node20', 'node26']) {
    const turbo = runtime === 'node26';
    const specs = [
      ...['f32', 'q8'].map((dtype) => ours(runtime, { dtype, model: folder, turbo })),
      onnxWeb(runtime, { model }),
      onnxNode(runtime, { model }),
    ];
    measurements.push(...(await race({ group: `scaling ${runtime}`, specs, cases, agree, settings })));
  }
  // Random models of MiniLM's width: of different depths, so there is nothing for them to agree with.
  const ids = texts.ids(1, 128);
  const sizes = { hidden: 384, intermediate: 1536 };
  for (const layers of short ? [1, 6] : [1, 2, 3, 4, 6, 8, 10, 12]) {
    const operations = encoderOperations({ ...sizes, layers }, 1, 128);
    const layerCases = [{ name: `${layers} layers`, work: { kind: 'encoder', ids }, operations }];
    const finite = ({ floats }) => {
      if (!floats.every(Number.isFinite)) throw new Error(`${layers} layers: not finite`);
      return {};
    };
    const specs = [ours('node20', { layers })];
    const result = await race({ group: 'layers node20', specs, cases: layerCases, agree: finite, settings });
    measurements.push(...result);
  }
  return { measurements };
}

import { Command } from 'commander';
import { BertModel, loadAnyModel, type BertPreTrainedModel } from '../../bert/index.ts';
import { InputError } from '../../errors.ts';
import { openFiles } from '../../hub/index.ts';
import {
  compareWithReference,
  firstDivergingModule,
  parseReference,
  runReference,
  type Comparison,
  type NumericTensor,
  type Reference,
  type Report,
} from '../../parity/index.ts';
import { readSentenceModules, sentenceVectors } from '../../tasks/index.ts';
import { CheckFailed, note, type Io } from '../io.ts';
import { addModelOptions, loadOptions, modelLocation, noteUnused, type ModelFlags } from '../modelOptions.ts';
import { listed, printRows } from '../output.ts';
import { nonNegative } from '../values.ts';

interface ParityFlags extends ModelFlags {
  reference: string;
  tolerance: number;
  absolute?: boolean;
  float64?: boolean;
}

type Shown = Omit<Comparison, 'compared' | 'module'>;
/** A row of the report; numbers are null for an output that the model does not have. */
type Row = { [K in keyof Shown]: K extends 'tensor' | 'ok' ? Shown[K] : Shown[K] | null };

/** Whether a model computes what a reference file holds, tensor by tensor. */
export function parity(io: Io): Command {
  const command = new Command('parity').description("compare a model's numbers with those of a reference file");
  return addModelOptions(command)
    .requiredOption(
      '--reference <file>',
      'safetensors file of inputs and outputs, as tools/reference/capture.py writes',
    )
    .option('--tolerance <t>', 'limit of max|error| / max|reference| of each tensor', nonNegative('--tolerance'), 1e-5)
    .option('--absolute', 'limit max|error| itself')
    .option('--float64', 'compute in float64')
    .action(async ({ reference: file, tolerance, absolute = false, float64, json, ...flags }: ParityFlags) => {
      const reference = parseReference(await io.readFile(file), file);
      const options = await loadOptions(flags, io, float64 ? 'float64' : 'float32');
      const location = modelLocation(flags, io);
      const model = await loadAnyModel(location, options);
      await noteUnused(model, location, io);
      const outputs: Map<string, NumericTensor> = runReference(model, reference, heldBy(reference));
      if (reference.tensors.has('sentence_embedding')) {
        const vectors = await sentenceEmbedding(model, reference, location);
        if (vectors !== null) outputs.set('sentence_embedding', vectors);
      }
      const report = compareWithReference(reference, outputs, { tolerance, absolute });
      const rows = rowsOf(report);
      if (rows.length === 0) {
        throw new InputError({
          what: file,
          expected: 'outputs to compare with',
          got: insteadOfOutputs(report, reference),
        });
      }
      await printRows(io, json, rows, columns);
      if (report.skipped.length > 0) await note(io, `not compared: ${listed(report.skipped)}`);
      const limit = `${tolerance.toExponential()} ${absolute ? 'in absolute value' : 'of the largest value'}`;
      const verdict = report.ok ? `all ${rows.length} tensors are within ${limit}` : failure(report, limit);
      if (!json) await io.stdout.write(`\n${verdict}\n`);
      if (!report.ok) throw new CheckFailed(verdict);
    });
}

/** What the sentence-transformers modules of the folder make of the encoder's output; null where there are none. */
async function sentenceEmbedding(
  model: BertPreTrainedModel,
  { inputs }: Reference,
  location: string,
): Promise<NumericTensor | null> {
  const files = openFiles(location);
  if (!(model instanceof BertModel) || (await files.read('modules.json')) === undefined) return null;
  const modules = await readSentenceModules(files, model.engine);
  return model.engine.scope(() => {
    const { lastHiddenState, batch } = model.forward(inputs);
    return sentenceVectors(lastHiddenState, batch.offsets, modules);
  });
}

function insteadOfOutputs({ skipped }: Report, { mask }: Reference): string {
  if (!mask.includes(1)) return mask.length > 0 ? 'an attention_mask that keeps no token' : 'no token';
  return skipped.length > 0 ? `only what is not compared, ${listed(skipped)}` : 'inputs only';
}

/** Which of the traces to ask the model for: those that the reference holds, for they cost memory. */
function heldBy({ tensors }: Reference) {
  const holds = (kind: string) => [...tensors.keys()].some((name) => name.startsWith(`${kind}.`));
  return {
    hiddenStates: holds('hidden_states'),
    attentions: holds('attentions'),
    activations: holds('activations'),
  };
}

function rowsOf({ comparisons, missing }: Report): Row[] {
  // JSON has no infinity, which is the error of a NaN: the largest double is as wrong.
  const finite = (value: number) => Math.min(value, Number.MAX_VALUE);
  const none = { max_abs: null, rms: null, max_rel: null, cosine: null, where: null };
  return [
    ...comparisons.map(({ compared: _, module: __, ...row }) => ({
      ...row,
      max_abs: finite(row.max_abs),
      rms: finite(row.rms),
      max_rel: finite(row.max_rel),
    })),
    ...missing.map((tensor) => ({ tensor, ...none, ok: false })),
  ];
}

const scientific = (value: number | null) => (value === null ? 'none' : value.toExponential(2));
const columns = {
  tensor: ({ tensor }: Row) => tensor,
  'max abs': ({ max_abs }: Row) => scientific(max_abs),
  rms: ({ rms }: Row) => scientific(rms),
  'max rel': ({ max_rel }: Row) => scientific(max_rel),
  cosine: ({ cosine }: Row) => (cosine === null ? 'none' : cosine.toFixed(9)),
  where: ({ where }: Row) => (where === null ? 'none' : `[${where.join(', ')}]`),
  ok: ({ ok }: Row) => (ok ? 'yes' : 'NO'),
};

function failure(report: Report, limit: string): string {
  const over = report.comparisons.filter(({ ok }) => !ok).length;
  const parts = [
    over > 0 && `${over} of ${report.comparisons.length} tensors are over ${limit}`,
    over > 0 && `first diverging module: ${firstDivergingModule(report)}`,
    report.missing.length > 0 && `the model does not give ${listed(report.missing)}`,
  ];
  return parts.filter(Boolean).join('; ');
}

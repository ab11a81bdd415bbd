import { Command } from 'commander';
import { loadAnyModel } from '../../bert/index.ts';
import { InputError } from '../../errors.ts';
import {
  compareWithReference,
  firstDivergingModule,
  parseReference,
  runReference,
  type Comparison,
  type Reference,
  type Report,
} from '../../parity/index.ts';
import { CheckFailed, note, type Io } from '../io.ts';
import { addModelOptions, loadOptions, modelLocation, type ModelFlags } from '../modelOptions.ts';
import { printRows } from '../output.ts';
import { nonNegative } from '../values.ts';

interface ParityFlags extends ModelFlags {
  reference: string;
  tolerance: number;
  absolute?: boolean;
  float64?: boolean;
}

/** A row of the report; numbers are null for an output that the model does not have. */
type Row = { [K in keyof Comparison]: K extends 'tensor' | 'ok' ? Comparison[K] : Comparison[K] | null };

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
      const model = await loadAnyModel(modelLocation(flags, io), options);
      const outputs = runReference(model, reference, heldBy(reference));
      const report = compareWithReference(reference, outputs, { tolerance, absolute });
      const rows = rowsOf(report);
      if (rows.length === 0) {
        throw new InputError({ what: file, expected: 'outputs to compare with', got: 'inputs only' });
      }
      await printRows(io, json, rows, columns);
      if (report.skipped.length > 0) await note(io, `not compared: ${listed(report.skipped)}`);
      const limit = `${tolerance.toExponential()} ${absolute ? 'in absolute value' : 'of the largest value'}`;
      const verdict = report.ok ? `all ${rows.length} tensors are within ${limit}` : failure(report, limit);
      if (!json) await io.stdout.write(`\n${verdict}\n`);
      if (!report.ok) throw new CheckFailed(verdict);
    });
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
    ...comparisons.map((row) => ({
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

function listed(names: readonly string[]): string {
  return names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ');
}

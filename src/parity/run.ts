import { padded, padTokens, type AnyOutput, type BertPreTrainedModel } from '../bert/index.ts';
import { Linear, PackedBatch } from '../layers/index.ts';
import { Tensor, type FloatArray } from '../tensor/index.ts';
import { moduleOf } from './divergence.ts';
import type { Reference } from './reference.ts';

/** Numbers under the name that a reference file gives them. */
export interface NamedTensor {
  data: FloatArray;
  shape: readonly number[];
}

export interface RunOptions {
  hiddenStates?: boolean;
  attentions?: boolean;
  /** The output of every module, as `activations.<module name>`. */
  activations?: boolean;
}

const outputNames = [
  ['last_hidden_state', 'lastHiddenState'],
  ['pooler_output', 'poolerOutput'],
  ['logits', 'logits'],
  ['prediction_logits', 'predictionLogits'],
  ['seq_relationship_logits', 'seqRelationshipLogits'],
  ['start_logits', 'startLogits'],
  ['end_logits', 'endLogits'],
] as const;

/**
 * Runs a model on the inputs of a reference file.
 *
 * @returns every output under its name in reference files, padded with zeros to [B, S, …], in the order in which the
 *          model computes them
 */
export function runReference(
  model: BertPreTrainedModel,
  reference: Reference,
  { hiddenStates = false, attentions = false, activations = false }: RunOptions = {},
): Map<string, NamedTensor> {
  const batch = new PackedBatch(reference.inputs);
  const results: [name: string, tensor: NamedTensor][] = [];
  // An empty batch has no sequence that tells its width; the columns of the file do.
  const widened = (shape: readonly number[]) =>
    shape.map((size, axis) => (axis > 0 && size === 0 ? reference.columns : size));
  const put = (name: string, { data, shape }: Tensor) =>
    results.push([name, { data: data.slice(), shape: widened(shape) }]);
  const executed: string[] = [];

  const stop = model.observe((module, output, inputs) => {
    const name = module instanceof Linear && inputs.length > 1 ? nameOfFused(module.name) : module.name;
    executed.push(withoutPrefix(name));
    if (!activations || !(output instanceof Tensor) || name === '') return;
    const perSequence =
      /(^|\.)(pooler|seq_relationship)(\.|$)/.test(module.name) || output.shape[0] !== batch.totalTokens;
    put(`activations.${name}`, perSequence ? output : padTokens(output, batch));
  });
  try {
    const options = { outputHiddenStates: hiddenStates, outputAttentions: attentions, choices: reference.choices };
    const output: AnyOutput = padded(model.forward(batch, options));
    output.hiddenStates?.forEach((x, i) => put(`hidden_states.${i}`, x));
    output.attentions?.forEach((x, i) => put(`attentions.${i}`, x));
    for (const [name, key] of outputNames) {
      const x = output[key];
      if (x) put(name, x);
    }
  } finally {
    stop();
  }
  const position = (name: string) => {
    const at = executed.indexOf(withoutPrefix(moduleOf(name)));
    return at < 0 ? executed.length : at; // what a head returns comes last
  };
  return new Map(results.sort(([a], [b]) => position(a) - position(b)));
}

/**
 * The module of PyTorch whose output a linear layer with its activation gives: there the two are modules of their own, and
 * the sum between them is nowhere here.
 */
function nameOfFused(linear: string): string {
  return linear
    .replace(/\btransform\.dense$/, 'transform.transform_act_fn')
    .replace(/\b(intermediate|pooler)\.dense$/, '$1');
}

/** Models with a head hold their encoder under `bert.`. */
const withoutPrefix = (name: string) => name.replace(/^bert\./, '');

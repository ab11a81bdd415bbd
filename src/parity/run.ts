import { BertLayer, padded, padTokens, type AnyOutput, type BertPreTrainedModel } from '../bert/index.ts';
import { Linear, MatrixParameter, PackedBatch, SelfAttention, type Module } from '../layers/index.ts';
import { Tensor, withGradients, zeroGradients, type FloatArray, type RunBackward } from '../tensor/index.ts';
import type { Reference } from './reference.ts';

/** Numbers under the name that a reference file gives them. */
export interface NamedTensor {
  data: FloatArray;
  shape: readonly number[];
  /** Whether there is a row, or a number, per token. */
  perToken: boolean;
  /** The module that computes it; without a name there, the output's. */
  module: string;
}

export interface RunOptions {
  hiddenStates?: boolean;
  attentions?: boolean;
  /** The output of every module, as `activations.<module name>`; of a module that runs again, `…@1` and so on. */
  activations?: boolean;
  /** The gradient of the loss by every parameter, as `grad.<parameter name>`; the file must have labels. */
  gradients?: boolean;
}

const outputNames = [
  ['last_hidden_state', 'lastHiddenState'],
  ['pooler_output', 'poolerOutput'],
  ['logits', 'logits'],
  ['prediction_logits', 'predictionLogits'],
  ['seq_relationship_logits', 'seqRelationshipLogits'],
  ['sop_logits', 'sopLogits'],
  ['start_logits', 'startLogits'],
  ['end_logits', 'endLogits'],
] as const;

/** Heads' modules that have an output per sequence: as many as there are tokens, when every sequence has one. */
const perSequence = /(^|\.)(pooler\w*|seq_relationship|sop_classifier|pre_classifier|sequence_summary|out_proj)(\.|$)/;

/**
 * Runs a model on the inputs of a reference file.
 *
 * @returns every output under its name in reference files, padded with zeros to [B, S, …], in the order in which the
 *          model computes them
 */
export function runReference(
  model: BertPreTrainedModel,
  reference: Reference,
  { hiddenStates = false, attentions = false, activations = false, gradients = false }: RunOptions = {},
): Map<string, NamedTensor> {
  const batch = new PackedBatch(reference.inputs);
  const results: { name: string; at: number; tensor: NamedTensor }[] = [];
  // An empty batch has no sequence that tells its width; the columns of the file do.
  const widened = (shape: readonly number[]) =>
    shape.map((size, axis) => (axis > 0 && size === 0 ? reference.columns : size));
  const put = (name: string, { data, shape }: Tensor, perToken: boolean, at: number, module: string) =>
    results.push({ name, at, tensor: { data: data.slice(), shape: widened(shape), perToken, module } });
  /** Every forward of a module, in the order in which they end. */
  const executed: { module: Module; name: string; output: unknown }[] = [];

  const stop = model.observe((module, output, inputs) => {
    const fused = module instanceof Linear && inputs.length > 1 && inputs[1] !== 'linear';
    const name = fused ? nameOfFused(module.name, inputs[1] as string) : module.name;
    const times = executed.filter((earlier) => earlier.module === module).length;
    const at = executed.push({ module, name, output }) - 1;
    if (!activations || !(output instanceof Tensor) || name === '') return;
    const perToken = output.shape[0] === batch.totalTokens && !perSequence.test(module.name);
    const key = `activations.${name}${times > 0 ? `@${times}` : ''}`;
    put(key, perToken ? padTokens(output, batch) : output, perToken, at, name);
  });
  try {
    const options = { outputHiddenStates: hiddenStates, outputAttentions: attentions, choices: reference.choices };
    const run = (backward?: RunBackward) => {
      const output: AnyOutput = model.forward(batch, options);
      const shaped = padded(output);
      const returning = (x: unknown) => executed.findLastIndex(({ output }) => output === x);
      const runsOf = (kind: abstract new (...args: never[]) => Module) =>
        executed.flatMap(({ module }, at) => (module instanceof kind ? [at] : []));
      const states = [returning(output.hiddenStates?.[0]), ...runsOf(BertLayer)];
      const attending = runsOf(SelfAttention);
      const nameAt = (at: number) => executed[at]?.name ?? '';
      shaped.hiddenStates?.forEach((x, i) => put(`hidden_states.${i}`, x, true, states[i], nameAt(states[i])));
      shaped.attentions?.forEach((x, i) => put(`attentions.${i}`, x, true, attending[i], nameAt(attending[i])));
      for (const [name, key] of outputNames) {
        const x = shaped[key];
        if (!x) continue;
        const state = key === 'lastHiddenState' || key === 'poolerOutput';
        const at = state ? returning(output[key]) : executed.length; // what a head returns comes last
        const perToken = key !== 'poolerOutput' && (key !== 'logits' || output.logitsPer === 'token');
        put(name, x, perToken && x.shape[1] === batch.paddedLength, at, state ? nameAt(at) : name);
      }
      const hasHead = Object.keys(output).some((name) => /logits$/i.test(name));
      if (!reference.labels || !hasHead) return;
      const loss = model.loss(output, reference.labels);
      put('loss', loss, false, executed.length, 'loss');
      backward?.(loss);
    };
    if (gradients) {
      const parameters = model.parameters().filter(({ requiresGrad }) => requiresGrad);
      zeroGradients(parameters);
      withGradients(parameters, run);
      for (const parameter of parameters) {
        const gradient = parameter instanceof MatrixParameter ? parameter.gradToTensor()! : parameter.grad!;
        put(`grad.${parameter.name}`, gradient.reshape(parameter.shape), false, executed.length, parameter.name);
      }
    } else run();
  } finally {
    stop();
  }
  return new Map(results.sort((a, b) => a.at - b.at).map(({ name, tensor }) => [name, tensor]));
}

/** Linear layers with an activation, and the module of PyTorch whose output both give: there they are modules of their own. */
const fusedNames: [linear: RegExp, theirs: string][] = [
  [/\btransform\.dense$/, 'transform.transform_act_fn'],
  [/\b(intermediate|pooler)\.dense$/, '$1'],
  [/\bffn\.lin1$/, 'ffn.activation'],
  [/\bffn$/, 'activation'],
  [/\bpooler$/, 'pooler_activation'],
  [/\b(predictions|\w+_predictions)\.dense$/, '$1.activation'],
  [/\bsequence_summary\.summary$/, 'sequence_summary.activation'],
];

/** The sum between the two is nowhere here; where PyTorch has the activation without a module, its result is nowhere there. */
function nameOfFused(linear: string, activation: string): string {
  const rule = fusedNames.find(([pattern]) => pattern.test(linear));
  return rule ? linear.replace(...rule) : `${linear} + ${activation}`;
}

import type { Report } from './compare.ts';

/**
 * The module in which an error over the tolerance first shows. With activations in the reference file it is that module
 * itself; with hidden states and attentions alone, the layer, or its attention.
 *
 * @param report with its comparisons in the order of computation, as `runReference` gives outputs
 * @returns a module's name (an output's, for what a head returns), or null when every tensor is within the tolerance
 */
export function firstDivergingModule({ comparisons }: Report): string | null {
  const first = comparisons.find(({ ok }) => !ok);
  return first ? (first.module ?? moduleOf(first.tensor)) : null;
}

/** The module whose output a tensor of a reference file is, in BERT. */
function moduleOf(tensor: string): string {
  const [kind, number] = tensor.split('.');
  if (kind === 'activations') return tensor.slice('activations.'.length);
  if (kind === 'hidden_states') return number === '0' ? 'embeddings' : `encoder.layer.${Number(number) - 1}`;
  if (kind === 'attentions') return `encoder.layer.${number}.attention.self`;
  if (tensor === 'last_hidden_state') return 'encoder';
  return tensor === 'pooler_output' ? 'pooler' : tensor;
}

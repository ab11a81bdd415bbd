import { ConfigError, show } from '../errors.ts';
import type { TextInput } from '../tokenizer/index.ts';
import { expectTokenizer, maxLengthOf, type TaskModel } from './load.ts';
import { expectOneOf } from './scores.ts';
import { readText } from './windows.ts';

export interface AttentionRolloutOptions {
  /** How the heads of a layer become one. Default 'mean', as in the paper. */
  heads?: 'mean' | 'max' | 'min';
  /** What part of a token's vector passes a layer by, on the residual path. Default 0.5, as in the paper. */
  residual?: number;
}

export interface AttentionRollout {
  tokens: string[];
  /** Where each token stands in its text, in UTF-16 units; [0, 0] for special tokens. */
  offsets: [number, number][];
  /** How much each token has to do with the first token's vector, which classifiers read: they sum to 1. */
  scores: Float64Array;
  /** The same for every token: row i has what each token has to do with the vector of token i. */
  rollout: Float64Array[];
}

/**
 * Which tokens a model looks at, by following its attention through all layers (Abnar & Zuidema 2020, "Quantifying Attention
 * Flow in Transformers"). It needs no gradients; it tells where information may come from, not what the model makes of it.
 *
 * @param text a text, or a pair of them as `tokenizer.encode` takes it
 * @throws InputError if the text is longer than the model reads
 */
export function attentionRollout(
  loaded: TaskModel,
  text: TextInput,
  { heads = 'mean', residual = 0.5 }: AttentionRolloutOptions = {},
): AttentionRollout {
  expectTokenizer(loaded);
  expectOneOf('heads', heads, ['mean', 'max', 'min']);
  if (!(residual >= 0 && residual < 1)) {
    throw new ConfigError({ what: 'residual', expected: 'a number from 0 up to 1', got: show(residual) });
  }
  const { model, tokenizer } = loaded;
  const reading = { what: 'text', maxLength: maxLengthOf(loaded), overflow: 'error' } as const;
  const [encoding] = readText(tokenizer, text, reading).windows;
  const { length, inputIds, tokenTypeIds, tokens, offsets } = encoding;
  const rollout = model.engine.scope(() => {
    const inputs = { inputIds: [inputIds], tokenTypeIds: [tokenTypeIds] };
    const { attentions } = model.forward(inputs, { outputAttentions: true });
    let rows = Array.from({ length }, (_, i) => Float64Array.from({ length }, (_, j) => (i === j ? 1 : 0)));
    for (const { data, shape } of attentions!) {
      const layer = fuseHeads(data, shape[0], length, heads);
      rows = layer.map((weights, i) => {
        const row = new Float64Array(length);
        weights.forEach((weight, j) => {
          const share = (1 - residual) * weight + (i === j ? residual : 0);
          for (let k = 0; k < length; k++) row[k] += share * rows[j][k];
        });
        return row;
      });
    }
    return rows;
  });
  return { tokens, offsets, scores: rollout[0], rollout };
}

/** [heads, length · length] → rows of one matrix, each of which sums to 1. */
function fuseHeads(
  attentions: ArrayLike<number>,
  heads: number,
  length: number,
  how: 'mean' | 'max' | 'min',
): Float64Array[] {
  return Array.from({ length }, (_, i) => {
    const row = Float64Array.from({ length }, (_, j) => {
      const values = Array.from({ length: heads }, (_, h) => attentions[(h * length + i) * length + j]);
      return how === 'mean' ? values.reduce((a, b) => a + b, 0) / heads : Math[how](...values);
    });
    const sum = row.reduce((a, b) => a + b, 0);
    return row.map((x) => x / sum);
  });
}

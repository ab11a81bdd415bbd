import { ShapeError } from '../../errors.ts';
import { record } from '../autograd.ts';
import { sharedEngine } from '../engine.ts';
import type { AttentionDropout } from '../kernels/backwardKernels.ts';
import { expectRank, expectShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { dropoutMask, openTape } from './dropout.ts';

export interface AttentionOptions {
  /** Sequence s is rows offsets[s] to offsets[s+1]; [sequences + 1], from 0 to the number of rows. */
  offsets: Int32Array;
  /** The same of q, where the contexts of some tokens alone are wanted; no sequence has more queries than tokens. Default: `offsets`. */
  queryOffsets?: Int32Array;
  heads: number;
  /** By which scores are multiplied. Default 1 / √headSize. */
  scale?: number;
  /** Added to the scaled scores, in the layout of `probabilities`. */
  bias?: Tensor | null;
  /** Lets a token see only those whose columns are at most `reach` from its own. */
  window?: Window | null;
  /** Keep the attention probabilities, which costs memory in the square of each length. */
  wantProbabilities?: boolean;
  /** What dropout takes out of the probabilities that weigh v; needs an open tape, from which it draws. */
  dropout?: { probability: number; tokens: TokenKeys } | null;
}

/** What names the rows of a packed batch for dropout, however it is packed. */
export interface TokenKeys {
  /** One number for each query, of its sequence and column. [rows of q] */
  keys: Int32Array;
  /** Column of each token in its sequence. [totalTokens] */
  columns: Int32Array;
}

/** Part of a sequence around each token, all of them queries. */
export interface Window {
  /** Place of each token in its original sequence, dropped tokens counted; rising within a sequence. [totalTokens] */
  columns: Int32Array;
  /** Columns that a token sees on either side. */
  reach: number;
}

export interface AttentionResult {
  /** [rows of q, heads·headSize] */
  context: Tensor;
  /** [heads, Σ queries·length]: for each head, the [queries, length] of each sequence in turn; null unless asked for. */
  probabilities: Tensor | null;
}

/**
 * Multi-head scaled dot-product attention within each sequence of a packed batch:
 * softmax(q · kᵀ · scale + bias) · v, head by head. Tokens never see another sequence, and there is no padding to mask.
 * Source: Vaswani et al. 2017, §3.2.
 *
 * @param q,k,v [totalTokens, heads·headSize], q with as many rows as there are queries; head h is columns h·headSize to (h+1)·headSize
 * @throws ShapeError if the shapes differ, the width is not a multiple of heads, or the offsets do not span the rows
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): AttentionResult {
  const { offsets, heads, bias = null, window = null, wantProbabilities = false, dropout = null } = options;
  const { queryOffsets = offsets } = options;
  const engine = sharedEngine('attention', q, k, v, bias);
  expectRank('attention: q', q.shape, 2);
  const [queries, width] = q.shape;
  expectRank('attention: k', k.shape, 2);
  const totalTokens = queryOffsets === offsets ? queries : k.shape[0];
  expectShape('attention: k', k.shape, [totalTokens, width]);
  expectShape('attention: v', v.shape, k.shape);
  const headSize = width / heads;
  if (!(heads >= 1) || width % heads !== 0 || !Number.isInteger(heads)) {
    throw new ShapeError({ what: 'attention: q', expected: `a width divisible by ${heads} heads`, got: `${width}` });
  }
  expectOffsets('attention', offsets, totalTokens);
  expectOffsets('attention: queries', queryOffsets, queries);
  const most = (end: number, s: number) => end - (queryOffsets[s - 1] ?? 0) <= offsets[s] - (offsets[s - 1] ?? 0);
  if (queryOffsets.length !== offsets.length || !queryOffsets.every(most)) {
    const expected = 'as many sequences, none with more queries than tokens';
    throw new ShapeError({ what: 'attention: queries', expected, got: `offsets ${queryOffsets.join()}` });
  }
  const pairs = pairsOf(offsets, queryOffsets);
  if (bias) expectShape('attention: bias', bias.shape, [heads, pairs]);
  if (window) {
    expectShape('attention: columns of the window', [window.columns.length], [totalTokens]);
    expectShape('attention: queries within a window', [queries], [totalTokens]);
  }

  const context = engine.empty(q.shape);
  const probabilities = wantProbabilities ? engine.empty([heads, pairs]) : null;
  const scale = options.scale ?? 1 / Math.sqrt(headSize);
  const spans = window && spansOf(window, offsets);
  const sizes = [offsets, heads, headSize, scale] as const;
  const outputs = [context.data, probabilities && probabilities.data] as const;
  const given = [q.data, k.data, v.data, ...sizes, bias && bias.data, spans] as const;
  let mask: AttentionDropout | null = null;
  if (dropout && dropout.probability > 0) {
    const { keys, columns } = dropout.tokens;
    const tape = openTape(engine);
    mask = { ...dropoutMask(tape, dropout.probability, keys, queries), columns };
    tape.kernels.attentionDropout(...outputs, ...given, mask, queryOffsets);
  } else {
    engine.kernels.attention(...outputs, ...given, queryOffsets);
  }
  record(context, [q, k, v, bias], (dy, [dq, dk, dv, dBias], backward, areFirst) => {
    const writes = areFirst(dq, dk, dv);
    const gradients = [dq && dq.data, dk && dk.data, dv && dv.data, dBias && dBias.data] as const;
    const inputs = [dy.data, q.data, k.data, v.data] as const;
    const added = bias && bias.data;
    backward.attentionBackward(...gradients, ...inputs, ...sizes, added, spans, mask, queryOffsets, writes);
  });
  return { context, probabilities };
}

/** @throws ShapeError unless offsets rise from 0 to totalTokens. */
export function expectOffsets(op: string, offsets: Int32Array, totalTokens: number): void {
  const rises = offsets.every((offset, s) => s === 0 || offset >= offsets[s - 1]);
  if (offsets.length < 1 || offsets[0] !== 0 || offsets.at(-1) !== totalTokens || !rises) {
    throw new ShapeError({
      what: `${op}: offsets`,
      expected: `rising numbers from 0 to ${totalTokens}`,
      got: `${offsets.length} of them, from ${offsets[0]} to ${offsets.at(-1)}`,
    });
  }
}

/** First token that each token sees, and the one after the last, counted within its sequence: [totalTokens, 2] */
function spansOf({ columns, reach }: Window, offsets: Int32Array): Int32Array {
  const spans = new Int32Array(2 * columns.length);
  for (let s = 0; s + 1 < offsets.length; s++) {
    const [begin, end] = [offsets[s], offsets[s + 1]];
    for (let i = begin, first = begin, last = begin; i < end; i++) {
      while (columns[i] - columns[first] > reach) first++;
      while (last < end && columns[last] - columns[i] <= reach) last++;
      spans[2 * i] = first - begin;
      spans[2 * i + 1] = last - begin;
    }
  }
  return spans;
}

/** Σ queries·length: how many pairs of tokens there are. */
export function pairsOf(offsets: Int32Array, queryOffsets = offsets): number {
  let pairs = 0;
  for (let s = 0; s + 1 < offsets.length; s++) {
    pairs += (queryOffsets[s + 1] - queryOffsets[s]) * (offsets[s + 1] - offsets[s]);
  }
  return pairs;
}

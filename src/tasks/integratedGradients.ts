import { BertModel, modelInputs, type AnyOutput, type BertPreTrainedModel } from '../bert/index.ts';
import { ConfigError, InputError, show } from '../errors.ts';
import type { ModelInputs } from '../layers/index.ts';
import { gather, sum, withGradients, type FloatArray, type Tensor } from '../tensor/index.ts';
import type { TextInput } from '../tokenizer/index.ts';
import { expectTokenizer, maxLengthOf, type TaskModel } from './load.ts';
import { argmax, expectCount, expectOneOf } from './scores.ts';
import { readText } from './windows.ts';

export interface IntegratedGradientsOptions {
  /**
   * The logit to explain: a label or its number, of a masked language model a token's number, of answers 'start' or 'end'.
   * Default: the highest.
   */
  target?: number | string;
  /** Of a model with logits per token, whose: its place, special tokens counted. */
  token?: number;
  /** What the text is compared with: the same with padding in place of all but its special tokens, or vectors of zeros. Default 'pad'. */
  baseline?: 'pad' | 'zeros';
  /** Points of the path where the gradient is taken, by Gauss and Legendre's rule. Default 50. */
  steps?: number;
}

export interface IntegratedGradients {
  tokens: string[];
  /** Where each token stands in its text, in UTF-16 units; [0, 0] for special tokens. */
  offsets: [number, number][];
  /** What each token adds to the logit, beyond what the baseline gives. */
  scores: Float64Array;
  /** The name of the label that was explained, or its number where there is no name. */
  target: string | number;
  /** The logit, and what it is for the baseline. */
  logit: number;
  baselineLogit: number;
  /** How far the scores are from adding up to the difference of the two: the error of the integral. More steps make it smaller. */
  error: number;
}

/**
 * What a model makes of each token of a text: the gradient of a logit by the embeddings, along the straight path from a baseline to
 * the text, times the way gone (Sundararajan, Taly & Yan 2017, "Axiomatic Attribution for Deep Networks"). The scores add up
 * to the logit less the baseline's (completeness), which `error` measures. Embeddings are what the module of that name gives:
 * words, positions and token types, after its norm.
 *
 * @param text a text, or a pair of them as `tokenizer.encode` takes it
 * @throws InputError if the text is longer than the model reads; ConfigError for a target that the model does not have, or
 *         int8 weights, which have no gradients: load with dtype "f32"
 */
export function integratedGradients(
  loaded: TaskModel,
  text: TextInput,
  options: IntegratedGradientsOptions = {},
): IntegratedGradients {
  expectTokenizer(loaded);
  const { baseline = 'pad', steps = 50 } = options;
  expectOneOf('baseline', baseline, ['pad', 'zeros']);
  expectCount('steps', steps);
  const { model, tokenizer } = loaded;
  const padding = tokenizer.padTokenId;
  if (baseline === 'pad' && padding === undefined) {
    const fix = 'let baseline be "zeros"';
    throw new ConfigError({ what: 'integratedGradients: tokenizer', expected: 'a padding token', got: 'none', fix });
  }
  const reading = { what: 'text', maxLength: maxLengthOf(loaded), overflow: 'error' } as const;
  const [encoding] = readText(tokenizer, text, reading).windows;
  const { length, inputIds, tokenTypeIds, sequenceIds, tokens, offsets } = encoding;
  const padded = Int32Array.from(inputIds, (id, i) => (sequenceIds[i] === null ? id : padding!));
  const [inputs, baselineInputs] = [inputIds, padded].map((ids) =>
    modelInputs(model, [{ inputIds: ids, tokenTypeIds }]),
  );

  const end = embeddingsOf(model, inputs);
  const start = baseline === 'zeros' ? end.map(() => 0) : embeddingsOf(model, baselineInputs);
  const goal = goalOf(model, run(model, inputs, end, 1, logitsOf), options, length);
  const valueAt = (embeddings: FloatArray) =>
    run(model, inputs, embeddings, 1, (output) => goal.pick(output, 1).data[0]);
  const [logit, baselineLogit] = [valueAt(end), valueAt(start)];

  const scores = new Float64Array(length);
  const size = end.length / length;
  const points = gaussLegendre(steps);
  const together = Math.max(1, Math.floor(TOKENS_PER_PASS / length));
  for (let first = 0; first < steps; first += together) {
    const part = points.slice(first, first + together);
    const path = new Float64Array(part.length * end.length);
    part.forEach(({ place }, p) =>
      end.forEach((x, i) => (path[p * end.length + i] = start[i] + place * (x - start[i]))),
    );
    const gradients = run(model, inputs, path, part.length, null, goal.pick);
    part.forEach(({ weight }, p) => {
      end.forEach((x, i) => {
        scores[Math.floor(i / size)] += weight * gradients[p * end.length + i] * (x - start[i]);
      });
    });
  }
  const total = scores.reduce((a, b) => a + b, 0);
  return { tokens, offsets, scores, target: goal.name, logit, baselineLogit, error: total - (logit - baselineLogit) };
}

const TOKENS_PER_PASS = 512;

const encoderOf = (model: BertPreTrainedModel) =>
  model instanceof BertModel ? model : (model as BertPreTrainedModel & { bert: BertModel }).bert;

/** What the embeddings give: [tokens · embeddingSize] */
function embeddingsOf(model: BertPreTrainedModel, inputs: ModelInputs): FloatArray {
  const { embeddings } = encoderOf(model);
  let copy: FloatArray | undefined;
  const unhook = embeddings.hook(embeddings.name, ({ data }) => void (copy = data.slice()));
  try {
    model.engine.scope(() => void model.forward(inputs));
  } finally {
    unhook();
  }
  return copy!;
}

type Pick = (output: AnyOutput, copies: number) => Tensor;

/** Runs the model on copies of a text with other embeddings: what `read` makes of it, or the gradient by the embeddings. */
function run<T>(
  model: BertPreTrainedModel,
  inputs: ModelInputs,
  embeddings: ArrayLike<number>,
  copies: number,
  read: (output: AnyOutput) => T,
): T;
function run(
  model: BertPreTrainedModel,
  inputs: ModelInputs,
  embeddings: ArrayLike<number>,
  copies: number,
  read: null,
  pick: Pick,
): FloatArray;
function run<T>(
  model: BertPreTrainedModel,
  inputs: ModelInputs,
  embeddings: ArrayLike<number>,
  copies: number,
  read: ((output: AnyOutput) => T) | null,
  pick?: Pick,
): T | FloatArray {
  const { engine } = model;
  const module = encoderOf(model).embeddings;
  const repeat = <V>(rows: ArrayLike<V> | undefined) => rows && Array.from({ length: copies }, () => rows[0]);
  const many = { inputIds: repeat(inputs.inputIds)!, tokenTypeIds: repeat(inputs.tokenTypeIds) };
  return engine.scope(() => {
    let leaf: Tensor | undefined;
    const unhook = module.hook(module.name, ({ shape }) => {
      return (leaf ??= engine.tensor(Array.from(embeddings), shape));
    });
    try {
      if (read !== null) return read(model.forward(many));
      const tokens = many.inputIds.reduce((n, { length }) => n + length, 0);
      leaf = engine.tensor(Array.from(embeddings), [tokens, embeddings.length / tokens]);
      leaf.grad = engine.zeros([leaf.size]);
      withGradients([leaf], (backward) => backward(sum(pick!(model.forward(many), copies))));
      return leaf.grad.data.slice();
    } finally {
      unhook();
    }
  });
}

/** A copy of the logits of one text, and what they are per. */
interface Logits {
  values: FloatArray;
  /** 'answer' for the start of an answer of each token, then its end. */
  per: 'sequence' | 'token' | 'answer';
  columns: number;
}

function logitsOf(output: AnyOutput): Logits {
  const { logits, logitsPer, startLogits, endLogits } = output;
  const words = output.predictionLogits ?? logits;
  if (startLogits && endLogits) {
    return { values: Float64Array.of(...startLogits.data, ...endLogits.data), per: 'answer', columns: 1 };
  }
  if (words === undefined) {
    const fix = 'load a class …For…';
    throw new ConfigError({ what: 'integratedGradients: model', expected: 'one with logits', got: 'an encoder', fix });
  }
  const perToken = output.predictionLogits !== undefined || logitsPer === 'token';
  const columns = words.rank > 1 ? words.shape[1] : 1;
  return { values: words.data.slice(), per: perToken ? 'token' : 'sequence', columns };
}

/** Which logit is meant, its name, and how to take it from an output. */
function goalOf(
  { config }: BertPreTrainedModel,
  { values, per, columns }: Logits,
  { target, token }: IntegratedGradientsOptions,
  length: number,
): { name: string | number; pick: Pick } {
  const isPlace = Number.isInteger(token) && token! >= 0 && token! < length;
  const wantsPlace = per === 'token' || (per === 'answer' && token !== undefined);
  if ((wantsPlace && !isPlace) || (per === 'sequence' && token !== undefined)) {
    const expected =
      per === 'sequence' ? 'none, for the model has a logit per text' : `a place from 0 to ${length - 1}`;
    throw new InputError({ what: 'token', expected, got: show(token) });
  }
  const ofWords = columns !== config.numLabels;
  const label = (id: number) => (ofWords ? id : (config.id2label[id] ?? id));
  const highest = (begin: number, count: number) => argmax(values.subarray(begin, begin + count));
  if (per === 'answer') {
    if (target !== undefined && target !== 'start' && target !== 'end') {
      throw new ConfigError({ what: 'target', expected: '"start" or "end"', got: show(target) });
    }
    const name = target ?? 'start';
    const place = token ?? highest(name === 'start' ? 0 : length, length);
    return {
      name,
      pick: (output, n) => pickFrom(name === 'start' ? output.startLogits! : output.endLogits!, n, place),
    };
  }
  const place = per === 'token' ? token! : 0;
  const named = typeof target === 'string' && !ofWords ? config.id2label.indexOf(target) : target;
  const column = named ?? highest(place * columns, columns);
  if (typeof column !== 'number' || !Number.isInteger(column) || column < 0 || column >= columns) {
    const expected = ofWords ? `a number from 0 to ${columns - 1}` : `a number below ${columns}, or one of ${config.id2label.join(', ')}`; // prettier-ignore
    throw new ConfigError({ what: 'target', expected, got: show(target) });
  }
  const pick: Pick = (output, n) => pickFrom((output.predictionLogits ?? output.logits)!, n, place * columns + column);
  return { name: label(column), pick };
}

/** The number at one place of each copy's: [copies] */
function pickFrom(x: Tensor, copies: number, place: number): Tensor {
  const each = x.size / copies;
  return gather(
    x,
    Int32Array.from({ length: copies }, (_, c) => c * each + place),
    [copies],
  );
}

/** Places in [0, 1] and their weights, exact for polynomials of degree 2n - 1 (Abramowitz & Stegun 1964, 25.4.29). */
export function gaussLegendre(n: number): { place: number; weight: number }[] {
  return Array.from({ length: n }, (_, i) => {
    let x = Math.cos((Math.PI * (i + 0.75)) / (n + 0.5));
    let slope = 0;
    for (let round = 0; round < 100; round++) {
      let [before, p] = [1, x]; // Legendre polynomials of degree k - 1 and k
      for (let k = 2; k <= n; k++) [before, p] = [p, ((2 * k - 1) * x * p - (k - 1) * before) / k];
      slope = (n * (x * p - before)) / (x * x - 1);
      const step = p / slope;
      x -= step;
      if (Math.abs(step) < 1e-15) break;
    }
    return { place: (1 + x) / 2, weight: 1 / ((1 - x * x) * slope * slope) };
  });
}

import { ConfigError, InputError, show } from '../errors.ts';
import { expectTokenizer, forwardWindows, maxLengthOf, sequenceLogits, type TaskModel } from './load.ts';
import { checkRunOptions, collect, runJobs, type Inputs, type RunOptions, type TextReport } from './run.ts';
import { softmax, topIndices, weightedMean } from './scores.ts';
import { expectText, readText } from './windows.ts';

export interface ZeroShotOptions extends RunOptions {
  /** The sentence that a label is put into, at `{}`. Default "This example is {}." */
  hypothesisTemplate?: string;
  /** Whether any number of labels may be right: each then gets a score of its own. Default false: the scores sum to 1. */
  multiLabel?: boolean;
}

export interface ZeroShotResult extends TextReport {
  sequence: string;
  /** The best first. */
  labels: string[];
  /** A score for each label. */
  scores: number[];
}

export interface ZeroShotClassification {
  (text: string, candidateLabels: readonly string[], options?: ZeroShotOptions): Promise<ZeroShotResult>;
  (texts: readonly string[], candidateLabels: readonly string[], options?: ZeroShotOptions): Promise<ZeroShotResult[]>;
  stream(
    texts: Inputs<string>,
    candidateLabels: readonly string[],
    options?: ZeroShotOptions,
  ): AsyncGenerator<ZeroShotResult, void, undefined>;
}

/**
 * Which of any labels fits a text, from a model of natural language inference: does the text entail that it is about the
 * label? (Yin et al. 2019.) The logits of a long text read in chunks are the means of those of its
 * windows.
 *
 * @throws ConfigError if no label of the model is called entailment
 */
export function zeroShotClassification(loaded: TaskModel): ZeroShotClassification {
  expectTokenizer(loaded);
  const maxLength = maxLengthOf(loaded);
  const { entailment, contradiction } = inferenceLabels(loaded);

  function stream(texts: Inputs<string>, candidateLabels: readonly string[], options: ZeroShotOptions = {}) {
    checkRunOptions('zero-shot-classification', options, ['hypothesisTemplate', 'multiLabel']);
    const { hypothesisTemplate = 'This example is {}.', multiLabel = false, overflow = 'truncate' } = options;
    expectLabels(candidateLabels);
    if (typeof hypothesisTemplate !== 'string' || !hypothesisTemplate.includes('{}')) {
      const got = show(hypothesisTemplate);
      throw new ConfigError({ what: 'hypothesisTemplate', expected: 'a text with {} for the label', got });
    }
    return runJobs(
      texts,
      (windows) => forwardWindows(loaded, windows, sequenceLogits),
      (input, index) => {
        const what = `text ${index}`;
        const text = expectText(input, what);
        const readings = candidateLabels.map((label) => {
          const hypothesis = hypothesisTemplate.replaceAll('{}', () => label);
          const options = { what, maxLength, overflow, strategy: 'only_first' } as const;
          return readText(loaded.tokenizer, [text, hypothesis], options);
        });
        // A longer hypothesis leaves less room for the text, and so its windows may be more: each label has its own mean.
        const ends = readings.map(
          (
            (end) => (r) =>
              (end += r.windows.length)
          )(0),
        );
        return {
          windows: readings.flatMap(({ windows }) => windows),
          finish: (logits): ZeroShotResult => {
            const means = readings.map(({ windows }, i) => {
              const rows = logits.slice(ends[i] - windows.length, ends[i]);
              return weightedMean(
                rows,
                windows.map(({ length }) => length),
              );
            });
            const scores =
              multiLabel || candidateLabels.length === 1
                ? means.map((row) => softmax([row[contradiction], row[entailment]])[1])
                : softmax(means.map((row) => row[entailment]));
            const order = topIndices(scores, null);
            return {
              sequence: text,
              labels: order.map((i) => candidateLabels[i]),
              scores: order.map((i) => scores[i]),
              tokenCount: Math.max(...readings.map(({ report }) => report.tokenCount)),
              truncated: readings.some(({ report }) => report.truncated),
            };
          },
        };
      },
      options,
    );
  }

  const call = async (text: string | readonly string[], labels: readonly string[], options?: ZeroShotOptions) => {
    const results = await collect(stream(Array.isArray(text) ? text : [text as string], labels, options));
    return Array.isArray(text) ? results : results[0];
  };
  return Object.assign(call as ZeroShotClassification, { stream });
}

function expectLabels(labels: readonly string[]): void {
  const isList = Array.isArray(labels) && labels.length > 0 && labels.every((l) => typeof l === 'string' && l !== '');
  if (isList) {
    const twice = labels.find((label, i) => labels.indexOf(label) < i);
    if (twice === undefined) return;
    const got = `${show(twice)} more than once`;
    throw new InputError({ what: 'candidateLabels', expected: 'each label once', got });
  }
  const got = Array.isArray(labels) && labels.length === 0 ? 'none' : show(labels);
  throw new InputError({ what: 'candidateLabels', expected: 'a list of labels, one at least', got });
}

/** The numbers of the classes that say yes and no. */
function inferenceLabels({ model, label2id }: TaskModel): { entailment: number; contradiction: number } {
  const { id2label, numLabels } = model.config;
  const named = [...id2label.entries(), ...Object.entries(label2id ?? {}).map(([name, id]) => [id, name] as const)];
  const find = (start: string) => named.find(([, name]) => name.toLowerCase().startsWith(start))?.[0];
  const entailment = find('entail');
  if (entailment === undefined || numLabels < 2) {
    throw new ConfigError({
      what: 'zero-shot-classification: labels of the model',
      expected: 'one called entailment, and another',
      got: id2label.join(', '),
      fix: 'use a model of natural language inference, or correct label2id in its config.json',
    });
  }
  return { entailment, contradiction: find('contradict') ?? (entailment === 0 ? numLabels - 1 : 0) };
}

import { ConfigError } from '../errors.ts';
import { expectTokenizer, forwardWindows, maxLengthOf, sequenceLogits, type TaskModel } from './load.ts';
import { callable, checkRunOptions, runJobs, type RunOptions, type Task, type TextReport } from './run.ts';
import { expectCount, expectOneOf, sigmoid, softmax, topIndices, weightedMean } from './scores.ts';
import { readText, textOrPair, type TextOrPair } from './windows.ts';

export interface TextClassificationOptions extends RunOptions {
  /** How many labels, the best first; null is all of them. Default 1. */
  topK?: number | null;
  /**
   * Default: as the model was trained. 'none' for a regression; 'sigmoid' for independent labels and for a single one;
   * 'softmax' for labels of which one is right.
   */
  functionToApply?: 'softmax' | 'sigmoid' | 'none';
}

export interface LabelScore {
  label: string;
  score: number;
}

/** The best labels, and how the text was read. */
export type TextClassificationResult = LabelScore[] & TextReport;

export type TextClassification = Task<TextOrPair, TextClassificationOptions, TextClassificationResult>;

/**
 * Which label a text has, or a pair of texts. The scores of a long text read in chunks are the means of those of its
 * windows, weighted by their tokens.
 */
export function textClassification(loaded: TaskModel): TextClassification {
  expectTokenizer(loaded);
  const { id2label, problemType, numLabels } = loaded.model.config;
  const maxLength = maxLengthOf(loaded);

  return callable((inputs, options = {}) => {
    checkRunOptions('text-classification', options, ['topK', 'functionToApply']);
    const { topK = 1, overflow = 'truncate' } = options;
    const { functionToApply = usualFunction(problemType, numLabels) } = options;
    if (topK !== null) expectCount('topK', topK);
    expectOneOf('functionToApply', functionToApply, ['softmax', 'sigmoid', 'none']);
    if (functionToApply === 'softmax' && numLabels === 1) {
      const fix = 'use "sigmoid" or "none"';
      throw new ConfigError({ what: 'functionToApply "softmax"', expected: 'two labels or more', got: '1', fix });
    }
    const scoresOf = (logits: ArrayLike<number>) => {
      if (functionToApply === 'softmax') return softmax(logits);
      return Float64Array.from(logits, functionToApply === 'sigmoid' ? sigmoid : (x) => x);
    };
    return runJobs(
      inputs,
      (windows) => forwardWindows(loaded, windows, sequenceLogits),
      (input, index) => {
        const what = `text ${index}`;
        const { windows, report } = readText(loaded.tokenizer, textOrPair(input, what), { what, maxLength, overflow });
        return {
          windows,
          finish: (logits): TextClassificationResult => {
            const lengths = windows.map(({ length }) => length);
            const scores = weightedMean(logits.map(scoresOf), lengths);
            const labels = topIndices(scores, topK).map((id) => ({ label: id2label[id], score: scores[id] }));
            return Object.assign(labels, report);
          },
        };
      },
      options,
    );
  });
}

function usualFunction(problemType: string | null, numLabels: number): 'softmax' | 'sigmoid' | 'none' {
  if (problemType === 'regression') return 'none';
  return problemType === 'multi_label_classification' || numLabels === 1 ? 'sigmoid' : 'softmax';
}

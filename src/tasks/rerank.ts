import { ConfigError, InputError, show } from '../errors.ts';
import { expectTokenizer, forwardWindows, maxLengthOf, sequenceLogits, type TaskModel } from './load.ts';
import { checkRunOptions, collect, runJobs, type Inputs, type RunOptions, type TextReport } from './run.ts';
import { expectCount, sigmoid } from './scores.ts';
import { expectText, readText } from './windows.ts';

export interface RerankOptions extends RunOptions {
  /** How many documents, the best first. Default: all. */
  topK?: number;
}

export interface RankedDocument extends TextReport {
  /** Place in the list that was given. */
  index: number;
  text: string;
  /** What the model says. Scores near 1 may be equal when these still differ. */
  logit: number;
  /** The same between 0 and 1, by the sigmoid. */
  score: number;
}

export interface Rerank {
  /** The documents, the best first; equal ones in their order. */
  (query: string, documents: readonly string[], options?: RerankOptions): Promise<RankedDocument[]>;
  /** The documents in their own order, as they are scored. */
  stream(
    query: string,
    documents: Inputs<string>,
    options?: RunOptions,
  ): AsyncGenerator<RankedDocument, void, undefined>;
}

/**
 * How well each document answers a query, from a cross-encoder (Nogueira & Cho 2019). A long document read in chunks has
 * the highest logit of its windows.
 *
 * @throws ConfigError for a model with more than one label
 */
export function rerank(loaded: TaskModel): Rerank {
  expectTokenizer(loaded);
  const { numLabels, id2label } = loaded.model.config;
  const maxLength = maxLengthOf(loaded);
  if (numLabels !== 1) {
    const fix = 'use a cross-encoder that was trained to rank, or text-classification';
    throw new ConfigError({ what: 'rerank: model', expected: 'one label', got: id2label.join(', '), fix });
  }

  function stream(query: string, documents: Inputs<string>, options: RunOptions = {}) {
    checkRunOptions('rerank', options, []);
    const { overflow = 'truncate' } = options;
    expectText(query, 'query');
    return runJobs(
      documents,
      (windows) => forwardWindows(loaded, windows, sequenceLogits),
      (input, index) => {
        const what = `document ${index}`;
        const text = expectText(input, what);
        const strategy = overflow === 'chunk' ? 'only_second' : 'longest_first';
        const { windows, report } = readText(loaded.tokenizer, [query, text], { what, maxLength, overflow, strategy });
        return {
          windows,
          finish: (logits): RankedDocument => {
            const logit = logits.reduce((most, [x]) => Math.max(most, x), -Infinity);
            return { index, text, logit, score: sigmoid(logit), ...report };
          },
        };
      },
      options,
    );
  }

  const call = async (query: string, documents: readonly string[], { topK, ...options }: RerankOptions = {}) => {
    if (!Array.isArray(documents)) {
      throw new InputError({ what: 'documents', expected: 'a list of texts', got: show(documents) });
    }
    if (topK !== undefined) expectCount('topK', topK);
    const ranked = await collect(stream(query, documents, options));
    return ranked.sort((a, b) => b.logit - a.logit).slice(0, topK);
  };
  return Object.assign(call, { stream });
}

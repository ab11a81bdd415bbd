import { InputError, show } from '../errors.ts';
import type { FloatArray } from '../tensor/index.ts';
import type { Encoding } from '../tokenizer/index.ts';
import { expectOutput, expectTokenizer, forwardWindows, maxLengthOf, tokenRows, type TaskModel } from './load.ts';
import { checkRunOptions, collect, runJobs, type Inputs, type RunOptions, type TextReport } from './run.ts';
import { expectCount, expectOneOf, softmax, topIndices } from './scores.ts';
import { readText } from './windows.ts';

export interface QuestionAnsweringOptions extends RunOptions {
  /** How many answers `answers` holds. Default 1. */
  topK?: number;
  /** Longest answer, in tokens. Default 15. */
  maxAnswerLength?: number;
  /** Whether there may be no answer: an empty one, with the score that the model gives to that. Default false. */
  handleImpossibleAnswer?: boolean;
  /** Longest window of question and context, in tokens. Default: 384, or as many as the model reads. */
  maxLength?: number;
  /** Tokens that neighbouring windows share. Default: 128, or half of the room that the question leaves. */
  stride?: number;
  /** Widen answers to whole words. Default true. */
  alignToWords?: boolean;
  /** What `start` and `end` count: UTF-16 units, as `text.slice` does, or code points, as Python. Default 'utf16'. */
  offsets?: 'utf16' | 'codepoint';
}

export interface Answer {
  /** '' when there is none. */
  answer: string;
  score: number;
  /** Where it stands in the context. */
  start: number;
  end: number;
}

/** The best answer, and how the context was read. */
export interface QuestionAnsweringResult extends Answer, TextReport {
  /** The best answers, this one first. */
  answers: Answer[];
}

export interface QuestionInContext {
  question: string;
  context: string;
}

export interface QuestionAnswering {
  (question: string, context: string, options?: QuestionAnsweringOptions): Promise<QuestionAnsweringResult>;
  (input: QuestionInContext, options?: QuestionAnsweringOptions): Promise<QuestionAnsweringResult>;
  (inputs: readonly QuestionInContext[], options?: QuestionAnsweringOptions): Promise<QuestionAnsweringResult[]>;
  stream(
    inputs: Inputs<QuestionInContext>,
    options?: QuestionAnsweringOptions,
  ): AsyncGenerator<QuestionAnsweringResult, void, undefined>;
}

/**
 * The stretch of a context that answers a question (Devlin et al. 2019, §4.2). A long context is read in windows that
 * overlap. Scores are probabilities within a window, so that they add up for one answer in it; of several windows an answer
 * has the highest.
 */
export function questionAnswering(loaded: TaskModel): QuestionAnswering {
  expectTokenizer(loaded);
  const longest = maxLengthOf(loaded);

  function stream(inputs: Inputs<QuestionInContext>, options: QuestionAnsweringOptions = {}) {
    const own = ['topK', 'maxAnswerLength', 'handleImpossibleAnswer', 'maxLength', 'stride', 'alignToWords', 'offsets'];
    checkRunOptions('question-answering', options, own);
    const { topK = 1, maxAnswerLength = 15, overflow = 'chunk', offsets = 'utf16' } = options;
    const { handleImpossibleAnswer = false, alignToWords = true } = options;
    expectCount('topK', topK);
    expectCount('maxAnswerLength', maxAnswerLength);
    expectOneOf('offsets', offsets, ['utf16', 'codepoint']);
    const maxLength = Math.min(expectCount('maxLength', options.maxLength ?? 384), longest);
    if (options.stride !== undefined) expectCount('stride', options.stride, 0);
    return runJobs(
      inputs,
      (windows) =>
        forwardWindows(loaded, windows, (output) => {
          const starts = tokenRows(output, expectOutput('start and end logits', output.startLogits));
          const ends = tokenRows(output, expectOutput('start and end logits', output.endLogits));
          return starts.map((rows, s) => rows.map((row, i): FloatArray[] => [row, ends[s][i]]));
        }),
      (input, index) => {
        const what = `question ${index}`;
        const { question, context } = expectQuestion(input, what);
        const reading = { what, maxLength, overflow, strategy: 'only_second' } as const;
        const room = maxLength - loaded.tokenizer.encode([question, '']).length;
        const usual = Math.min(128, Math.floor(maxLength / 2));
        const stride = options.stride ?? (usual < room ? usual : Math.max(0, Math.floor(room / 2)));
        const { windows, report } = readText(loaded.tokenizer, [question, context], { ...reading, stride });
        return {
          windows,
          finish: (logits): QuestionAnsweringResult => {
            const candidates: Answer[] = [];
            let none = Infinity;
            windows.forEach((window, w) => {
              const inContext = contextOf(window, loaded.tokenizer.clsTokenId);
              const [starts, ends] = [0, 1].map((column) => probabilities(logits[w], column, inContext));
              const cls = inContext.indexOf('cls');
              if (cls >= 0) none = Math.min(none, starts[cls] * ends[cls]);
              const count = alignToWords ? 2 * topK + 10 : topK;
              const spans = bestSpans(window, starts, ends, inContext, maxAnswerLength, count);
              const here: Answer[] = [];
              for (const span of spans) add(here, answerOf(window, span, context, alignToWords, offsets), 'sum');
              for (const candidate of here) add(candidates, candidate, 'most');
            });
            const nothing = { answer: '', score: none === Infinity ? 0 : none, start: 0, end: 0 };
            if (handleImpossibleAnswer) candidates.push(nothing);
            candidates.sort((a, b) => b.score - a.score);
            const answers = candidates.slice(0, topK);
            const [best = nothing] = answers; // a context may have no token
            return { ...best, answers, ...report };
          },
        };
      },
      options,
    );
  }

  const call = async (
    input: string | QuestionInContext | readonly QuestionInContext[],
    second?: string | QuestionAnsweringOptions,
    third?: QuestionAnsweringOptions,
  ) => {
    if (typeof input === 'string') {
      return (await collect(stream([{ question: input, context: second as string }], third)))[0];
    }
    const options = second as QuestionAnsweringOptions | undefined;
    if (Array.isArray(input)) return collect(stream(input, options));
    return (await collect(stream([input as QuestionInContext], options)))[0];
  };
  return Object.assign(call as QuestionAnswering, { stream });
}

function expectQuestion(input: unknown, what: string): QuestionInContext {
  const { question, context } = (input ?? {}) as Partial<QuestionInContext>;
  for (const [name, text] of Object.entries({ question, context })) {
    if (typeof text === 'string' && text.trim() !== '') continue;
    const fix = 'give both, { question, context }';
    throw new InputError({ what: `${what}: ${name}`, expected: 'a text', got: show(text), fix });
  }
  return { question: question!, context: context! };
}

/** Which tokens may be in an answer; and the first token, where models without an answer point to. */
function contextOf({ sequenceIds, inputIds }: Encoding, clsTokenId: number | undefined): (boolean | 'cls')[] {
  return sequenceIds.map((id, i) => (id === null && inputIds[i] === clsTokenId ? 'cls' : id === 1));
}

/** Softmax over the tokens that may be meant, 0 elsewhere. */
function probabilities(
  logits: readonly FloatArray[][],
  column: number,
  inContext: readonly (boolean | 'cls')[],
): Float64Array {
  return softmax(inContext.map((allowed, i) => (allowed === false ? -Infinity : logits[i][column][0])));
}

interface Span {
  first: number;
  last: number;
  score: number;
}

/** The most probable stretches of tokens, the best first; none without text, as a lone space may be in byte-level BPE. */
function bestSpans(
  { offsets }: Encoding,
  starts: Float64Array,
  ends: Float64Array,
  inContext: readonly (boolean | 'cls')[],
  maxLength: number,
  count: number,
): Span[] {
  const spans: Span[] = [];
  for (let first = 0; first < starts.length; first++) {
    if (inContext[first] !== true) continue;
    for (let last = first; last < Math.min(starts.length, first + maxLength); last++) {
      if (inContext[last] === true && offsets[first][0] < offsets[last][1])
        spans.push({ first, last, score: starts[first] * ends[last] });
    }
  }
  const scores = spans.map(({ score }) => score);
  return topIndices(scores, count).map((i) => spans[i]);
}

function answerOf(
  window: Encoding,
  { first, last, score }: Span,
  context: string,
  alignToWords: boolean,
  offsets: 'utf16' | 'codepoint',
): Answer {
  const { wordIds, sequenceIds } = window;
  if (alignToWords) {
    const sameWord = (a: number, b: number) => sequenceIds[b] === 1 && wordIds[a] === wordIds[b];
    while (first > 0 && sameWord(first, first - 1)) first--;
    while (last + 1 < wordIds.length && sameWord(last, last + 1)) last++;
  }
  const [from, to] = [window.offsets[first][0], window.offsets[last][1]];
  const counted = offsets === 'utf16' ? window.offsets : window.codePointOffsets;
  return { answer: context.slice(from, to), score, start: counted[first][0], end: counted[last][1] };
}

/** Answers of one text are one answer, at the place where it came first. */
function add(candidates: Answer[], candidate: Answer, scores: 'sum' | 'most'): void {
  const key = ({ answer }: Answer) => answer.toLowerCase();
  const i = candidates.findIndex((other) => key(other) === key(candidate));
  if (i < 0) candidates.push({ ...candidate });
  else if (scores === 'sum') candidates[i].score += candidate.score;
  else if (candidate.score > candidates[i].score) candidates[i] = candidate;
}

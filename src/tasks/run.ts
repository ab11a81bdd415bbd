import { AbortError, ConfigError, expectOptions, InputError, show } from '../errors.ts';
import type { Encoding } from '../tokenizer/index.ts';

/** What every task takes beside its own options. */
export interface RunOptions {
  /**
   * What to do with a text longer than the model reads: 'truncate' drops the rest and says so in the result, 'error'
   * throws, 'chunk' reads it in windows and puts their results together, as each task says.
   */
  overflow?: Overflow;
  /** Called after each batch with the number of inputs done, and how many there are, if that is known. */
  onProgress?: (done: number, total: number | undefined) => void;
  /** Ends the computation, between two batches, with an AbortError. */
  signal?: AbortSignal;
}

export type Overflow = 'truncate' | 'error' | 'chunk';

/** What a result says of how its text was read. */
export interface TextReport {
  /** Tokens of the whole text, special ones included, before any truncation. */
  tokenCount: number;
  /** Whether a part of the text had no influence on the result. */
  truncated: boolean;
}

/** One value, or a list of them, from wherever. */
export type Inputs<Input> = Iterable<Input> | AsyncIterable<Input>;

/** A task at work: call it with an input, or with a list of them; or give `stream` as many as there are. */
export interface Task<Input, Options extends RunOptions, Result> {
  (input: Input, options?: Options): Promise<Result>;
  (inputs: readonly Input[], options?: Options): Promise<Result[]>;
  /** Results in the order of the inputs, as they are computed: a batch at a time, held together by a budget of tokens. */
  stream(inputs: Inputs<Input>, options?: Options): AsyncGenerator<Result, void, undefined>;
}

/** What a task makes of one input: windows for the model, and a result from what that says of each. */
export interface Job<Output, Result> {
  windows: readonly Encoding[];
  finish: (outputs: readonly Output[]) => Result;
}

/** As in `SentenceEncoder`: more at a time is no faster, and takes more memory. */
const TOKENS_PER_BATCH = 1024;

/** A task from the function that streams it. */
export function callable<Input, Options extends RunOptions, Result>(
  stream: (inputs: Inputs<Input>, options?: Options) => AsyncGenerator<Result, void, undefined>,
): Task<Input, Options, Result> {
  const call = async (input: Input | readonly Input[], options?: Options) => {
    const many = Array.isArray(input);
    const results = await collect(stream(many ? input : [input as Input], options));
    return many ? results : results[0];
  };
  return Object.assign(call as Task<Input, Options, Result>, { stream });
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/**
 * Runs the jobs of all inputs in batches, in order, and gives the event loop its turn between them. Calls may overlap: each
 * pass of the model is one synchronous step.
 *
 * @param forward an output for each window
 */
export async function* runJobs<Input, Output, Result>(
  inputs: Inputs<Input>,
  forward: (windows: readonly Encoding[]) => readonly Output[],
  prepare: (input: Input, index: number) => Job<Output, Result>,
  { signal, onProgress }: RunOptions,
  tokensPerBatch = TOKENS_PER_BATCH,
): AsyncGenerator<Result, void, undefined> {
  expectInputs(inputs);
  const total = Array.isArray(inputs) ? inputs.length : undefined;
  const size = ({ windows }: Job<Output, Result>) => windows.reduce((sum, { length }) => sum + length, 0);
  let [prepared, done] = [0, 0];
  expectGoingOn(signal);
  for await (const jobs of batches(inputs, (input) => prepare(input, prepared++), size, tokensPerBatch, signal)) {
    const outputs: Output[] = [];
    // The windows of a long text are too many for one pass.
    for await (const windows of batches(
      jobs.flatMap((job) => job.windows),
      (window) => window,
      ({ length }) => length,
      tokensPerBatch,
    )) {
      outputs.push(...(await step(signal, () => forward(windows))));
    }
    let first = 0;
    for (const { windows, finish } of jobs) {
      const result = finish(outputs.slice(first, first + windows.length));
      first += windows.length;
      done++;
      yield result;
    }
    onProgress?.(done, total);
  }
}

/** Milliseconds of computation since the event loop last had its turn. */
let busy = 0;

/** In milliseconds: half a frame of a screen. A single short text is not held up by a timer. */
const LONGEST_STRETCH = 8;

/** One step of a computation, after the event loop had its turn. @throws AbortError once the signal says so */
export async function step<T>(signal: AbortSignal | undefined, body: () => T): Promise<T> {
  if (busy >= LONGEST_STRETCH) {
    await new Promise((resume) => setTimeout(resume, 0));
    busy = 0;
  }
  expectGoingOn(signal);
  const begin = performance.now();
  const result = body();
  busy += performance.now() - begin;
  return result;
}

function expectGoingOn(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal);
}

function abortError({ reason: cause }: AbortSignal): AbortError {
  return new AbortError({ what: 'task', got: 'an end by its AbortSignal', cause });
}

/** What a promise comes to, or an AbortError as soon as the signal says so. */
function orAbort<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(abortError(signal));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort);
    void promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/**
 * Items, made ready one by one, as many at a time as are `budget` large together; a larger one is alone. What arrives slowly
 * does not hold up what is there: when the next item is not at hand, those before it go ahead. Nor does it hold up an abort.
 */
export async function* batches<T, Item>(
  source: Inputs<T>,
  ready: (value: T) => Item,
  size: (item: Item) => number,
  budget: number,
  signal?: AbortSignal,
): AsyncGenerator<Item[], void, undefined> {
  let batch: Item[] = [];
  let total = 0;
  const take = (): Item[] => {
    const full = batch;
    [batch, total] = [[], 0];
    return full;
  };
  for await (const value of Symbol.iterator in source ? source : withPauses(source, signal)) {
    if (value === PAUSE) {
      if (batch.length > 0) yield take();
      continue;
    }
    const item = ready(value);
    if (batch.length > 0 && total + size(item) > budget) yield take();
    batch.push(item);
    total += size(item);
  }
  if (batch.length > 0) yield batch;
}

const PAUSE = Symbol('the next item is not at hand');

async function* withPauses<T>(
  source: AsyncIterable<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T | typeof PAUSE, void, undefined> {
  const iterator = source[Symbol.asyncIterator]();
  let finished = false;
  try {
    for (;;) {
      const next = orAbort(iterator.next(), signal);
      next.catch(() => {}); // it is awaited below; until then it is nobody's fault
      const pause = new Promise<typeof PAUSE>((resume) => setTimeout(resume, 0, PAUSE));
      if ((await Promise.race([next, pause])) === PAUSE) yield PAUSE;
      finished = true; // what throws is at its end
      const { done, value } = await next;
      if (done) return;
      finished = false;
      yield value;
    }
  } finally {
    // A source that stalls would never say that it is closed.
    if (signal?.aborted) Promise.resolve(iterator.return?.()).catch(() => {});
    else if (!finished) await iterator.return?.();
  }
}

export function expectInputs(inputs: unknown): void {
  const isSource =
    typeof inputs === 'object' && inputs !== null && (Symbol.iterator in inputs || Symbol.asyncIterator in inputs);
  if (isSource) return;
  const fix = 'put one input into [ ]';
  throw new InputError({ what: 'inputs', expected: 'an array or another iterable', got: show(inputs), fix });
}

/** @throws ConfigError for an option that the task does not know, or a run option that makes no sense */
export function checkRunOptions(task: string, options: RunOptions, own: readonly string[]): void {
  expectOptions(`options of ${task}`, options, [...own, 'overflow', 'onProgress', 'signal']);
  const { overflow, onProgress, signal } = options;
  if (overflow !== undefined && !['truncate', 'error', 'chunk'].includes(overflow)) {
    throw new ConfigError({ what: 'overflow', expected: 'truncate, error or chunk', got: show(overflow) });
  }
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw new ConfigError({ what: 'onProgress', expected: 'a function', got: show(onProgress) });
  }
  if (signal !== undefined && typeof signal?.aborted !== 'boolean') {
    throw new ConfigError({ what: 'signal', expected: 'an AbortSignal', got: show(signal) });
  }
}

import { InputError, show } from '../errors.ts';
import type { Encoding, TextInput, Tokenizer, TruncationStrategy } from '../tokenizer/index.ts';
import type { Overflow, TextReport } from './run.ts';

/** A text, or two that belong together. */
export type TextOrPair = string | { text: string; textPair: string };

/** A text as the model reads it. */
export interface TextWindows {
  /** One, unless the text is long and read in chunks. */
  windows: Encoding[];
  report: TextReport;
}

export interface WindowOptions {
  /** How messages name the text. */
  what: string;
  maxLength: number;
  overflow: Overflow;
  /** Which text of a pair gives way. Default: the longer one, and then there are no chunks of a pair. */
  strategy?: TruncationStrategy;
  /** Tokens that windows share. Default 0. */
  stride?: number;
}

/** @throws InputError if it is no text, too long for what `overflow` says, or one of a pair that the other leaves no room for */
export function readText(tokenizer: Tokenizer, text: TextInput, options: WindowOptions): TextWindows {
  const { what, maxLength, overflow, strategy = 'longest_first', stride = 0 } = options;
  if (typeof text !== 'string' && strategy !== 'longest_first') expectRoom(tokenizer, text, options);
  const encoding = tokenizer.encode(text, { maxLength, truncation: strategy, stride, truncationSide: 'right' });
  const { tokenCount, truncated } = encoding;
  const expected = `at most ${maxLength} tokens`;
  if (truncated && overflow === 'error') {
    const fix = 'shorten it, or let overflow be "truncate" or "chunk"';
    throw new InputError({ what, expected, got: `${tokenCount}`, fix });
  }
  if (truncated && overflow === 'chunk') {
    if (typeof text === 'string' || strategy !== 'longest_first') {
      return { windows: [encoding, ...encoding.overflowing], report: { tokenCount, truncated: false } };
    }
    const fix = 'shorten it, or let overflow be "truncate"';
    throw new InputError({ what, expected: `a pair of ${expected}, which have no chunks`, got: `${tokenCount}`, fix });
  }
  return { windows: [encoding], report: { tokenCount, truncated } };
}

/** @throws InputError if the text of a pair that may not be cut is as long as the model reads */
function expectRoom(tokenizer: Tokenizer, pair: TextInput, { what, maxLength, strategy }: WindowOptions): void {
  const [kept, cut] = strategy === 'only_first' ? [1, 0] : [0, 1];
  const others = tokenizer.encode(kept === 0 ? [pair[0], ''] : ['', pair[1]]).length;
  if (others < maxLength || pair[cut] === '') return;
  const expected = `room for it in the ${maxLength} tokens that are read at a time`;
  const got = `${others} tokens of the text that goes with it`;
  throw new InputError({ what, expected, got, fix: `shorten ${show(pair[kept])}` });
}

/** @throws InputError if it is neither a text nor a pair */
export function textOrPair(input: unknown, what: string): TextInput {
  if (typeof input === 'string') return input;
  const { text, textPair } = (input ?? {}) as { text?: unknown; textPair?: unknown };
  if (typeof text === 'string' && typeof textPair === 'string') return [text, textPair];
  throw new InputError({ what, expected: 'a string, or { text, textPair }', got: show(input) });
}

/** @throws InputError if it is no text */
export function expectText(input: unknown, what: string): string {
  if (typeof input === 'string') return input;
  throw new InputError({ what, expected: 'a string', got: show(input) });
}

/** A token of a text that was read in windows: where it stands in which of them. */
export interface PlacedToken {
  window: number;
  /** Its place in the window, special tokens counted. */
  index: number;
}

/**
 * Each token of a text once, in order. Of the windows that hold a token, the one that shows most on both sides of it is
 * taken, as the original BERT does for its answers; the ends of the text itself hide nothing.
 *
 * @param stride   tokens that neighbouring windows share
 * @param sequence of a pair, the text that was cut
 */
export function placeTokens(windows: readonly Encoding[], stride: number, sequence = 0): PlacedToken[] {
  const rows = windows.map(({ sequenceIds }) => sequenceIds.flatMap((id, i) => (id === sequence ? [i] : [])));
  const step = rows[0].length - stride;
  const count = (rows.length - 1) * step + rows[rows.length - 1].length;
  const places: PlacedToken[] = [];
  for (let token = 0; token < count; token++) {
    let [best, most] = [-1, -1];
    const last = Math.min(rows.length - 1, step > 0 ? Math.floor(token / step) : 0);
    for (let window = last; window >= 0 && token - window * step < rows[window].length; window--) {
      const before = window === 0 ? Infinity : token - window * step;
      const after = window === rows.length - 1 ? Infinity : rows[window].length - 1 - (token - window * step);
      if (Math.min(before, after) >= most) [best, most] = [window, Math.min(before, after)]; // of equals the first
    }
    places.push({ window: best, index: rows[best][token - best * step] });
  }
  return places;
}

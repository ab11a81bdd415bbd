import { ConfigError, InputError } from '../errors.ts';

/**
 * Which text gives way when the tokens are too many: the longer one (of a pair, both in the end), only the first,
 * only the second.
 */
export type TruncationStrategy = 'longest_first' | 'only_first' | 'only_second';

/** The side that tokens are taken from, or padding is put on. */
export type Side = 'left' | 'right';

/** A range of tokens, [start, end). */
export type Window = readonly [start: number, end: number];

/**
 * How many tokens of each text to keep so that together they are at most `room`, as Rust's `truncate_encodings`.
 *
 * @throws InputError when the text that must give way is missing or too short for it
 */
export function keptLengths(lengths: readonly number[], room: number, strategy: TruncationStrategy): number[] {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  if (total <= room) return [...lengths];
  if (room === 0) return lengths.map(() => 0);
  if (strategy === 'longest_first') return keepLongest(lengths, room);
  const target = strategy === 'only_first' ? 0 : 1;
  const length = lengths[target];
  if (length === undefined) {
    throw new InputError({
      what: 'truncation "only_second"',
      expected: 'a pair of texts',
      got: 'one text',
      fix: 'use "longest_first" or "only_first"',
    });
  }
  const kept = length - (total - room);
  if (kept <= 0) {
    throw new InputError({
      what: `truncation "${strategy}"`,
      expected: `room for at least one token of the ${target === 0 ? 'first' : 'second'} text`,
      got: `${total - length} tokens in the other, and room for ${room} in all`,
      fix: 'raise maxLength or use "longest_first"',
    });
  }
  return lengths.map((other, index) => (index === target ? kept : other));
}

/** The shorter text is kept whole while it fits in half of the room; the odd token goes to the longer one. */
function keepLongest(lengths: readonly number[], room: number): number[] {
  const [first, second] = lengths as [number, number?];
  if (second === undefined) return [room];
  const half = Math.floor(room / 2);
  const shorter = Math.min(first, second, half);
  return first > second ? [room - shorter, shorter] : [shorter, room - shorter];
}

/**
 * Cuts `length` tokens into windows of `kept`, each overlapping the next by `stride`, from one end to the other; the
 * first is what stays. As Rust does, keeping nothing leaves one overflow window with everything.
 *
 * @throws ConfigError when the stride leaves no progress
 */
export function windowsOf(length: number, kept: number, stride: number, side: Side): Window[] {
  const whole: Window = [0, length];
  if (kept >= length) return [whole];
  if (kept === 0) return [[0, 0], whole];
  checkStride(stride, kept);
  const windows: Window[] = [];
  for (let offset = 0; ; offset += kept - stride) {
    const end = Math.min(offset + kept, length);
    windows.push(side === 'right' ? [offset, end] : [length - end, length - offset]);
    if (end === length) return windows;
  }
}

/** @throws ConfigError unless a window of `room` tokens moves on when it keeps `stride` of them */
export function checkStride(stride: number, room: number): void {
  if (stride === 0 || stride < room) return;
  throw new ConfigError({
    what: 'stride',
    expected: `less than the ${room} tokens a window holds beside the special tokens`,
    got: String(stride),
    fix: 'lower stride or raise maxLength',
  });
}

/** General categories of code points, for those pre-tokenizers that tell letters from numbers. */
import * as tables from './categoryTables.ts';
import { decodeRuns } from './tableReader.ts';

/** Bits of `categories()`. */
export const LETTER = 1; // as Oniguruma has them (property L), the regular expressions of the Rust `tokenizers`
export const NUMBER = 2; // of the same (property N)
export const NUMERIC = 4; // Rust's `char::is_numeric`, at a later Unicode version

let decoded: Uint8Array | undefined;

/** The categories of each code point, decoded on first use. */
export function categories(): Uint8Array {
  decoded ??= decode();
  return decoded;
}

function decode(): Uint8Array {
  const result = new Uint8Array(0x110000);
  const sets: [string, number][] = [
    [tables.letters, LETTER],
    [tables.numbers, NUMBER | NUMERIC],
    [tables.otherNumerics, NUMERIC],
  ];
  for (const [table, bits] of sets) for (const [first, end] of decodeRuns(table)) result.fill(bits, first, end);
  return result;
}

/** What the scripts of rows 12 and 13 have in common. */
import { readFileSync } from 'node:fs';

export const TEXT = 'The quick brown fox jumps over the lazy dog.';

/**
 * Prints the vector and the most memory that this process ever had in RAM. Not resourceUsage().maxRSS: that one starts at
 * what the parent had when it started us.
 */
export function report(vector) {
  const peakBytes = 1024 * Number(/VmHWM:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
  console.log(JSON.stringify({ vector: vector && Array.from(vector), peakBytes }));
}

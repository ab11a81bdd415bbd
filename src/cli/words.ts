import { REASONS } from './reasons.ts';

/** What the library says to those who call it, and what it comes to on the command line. */
const WORDS: readonly [RegExp, string][] = [
  [/, or start the missing ones with initializeMissing/, ''],
  [/, or give their names$/, ', or pass --columns'],
  [/set addSpecialTokens to false/, 'pass --no-special-tokens'],
  [/let overflow be "truncate" or "chunk"/, 'pass --overflow truncate or --overflow chunk'],
  [/let overflow be "truncate"/, 'pass --overflow truncate'],
  [/or use "longest_first"/, 'or pass --truncation longest_first'],
  [/give both, \{ question, context \}/, 'pass --question and --context'],
  [/\blower stride\b/, 'lower --stride'],
  [/begin anew, without resume$/, 'begin anew in another folder, without --resume'],
  [/\(turbo: true\)/, '(--turbo)'],
  [/threads: "auto"/, '--threads auto'],
  [/\(maxLength\)/, '(tokenize --max-length)'],
  [/\binputIds\b/g, 'input_ids'],
  [/\battentionMask\b/g, 'attention_mask'],
  [/\btokenTypeIds\b/g, 'token_type_ids'],
  [/\bpositionIds\b/g, 'position_ids'],
  ...Object.entries(REASONS).map(([code, reason]): [RegExp, string] => [
    new RegExp(`\\bgot ${code}\\b`),
    `got ${reason}`,
  ]),
];

/** A message of the library, in the words of the command line. */
export function inFlags(message: string): string {
  return WORDS.reduce((text, [word, here]) => text.replace(word, here), message);
}

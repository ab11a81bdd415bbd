/** What went wrong, in four parts: the thing, what was expected of it, what was found, and what to do. */
export interface Fault {
  /** The thing at fault: an op and its argument, a file and its tensor, an option. */
  what: string;
  expected?: string;
  got?: string;
  /** What the user can do about it, as an imperative. */
  fix?: string;
  cause?: unknown;
}

/** Every error the library throws on bad input. `message` is one line made of the four parts of the fault. */
export abstract class BertscriptError extends Error {
  readonly what: string;
  readonly expected: string | undefined;
  readonly got: string | undefined;
  readonly fix: string | undefined;

  constructor(fault: Fault) {
    super(describe(fault), fault.cause === undefined ? undefined : { cause: fault.cause });
    this.name = new.target.name;
    this.what = fault.what;
    this.expected = fault.expected;
    this.got = fault.got;
    this.fix = fault.fix;
  }
}

function describe({ what, expected, got, fix }: Fault): string {
  const facts = [expected && `expected ${expected}`, got && `got ${got}`].filter(Boolean).join(', ');
  const message = [what, facts].filter(Boolean).join(': ') + (fix ? `; ${fix}` : '');
  return message.replace(/\s*[\r\n]+\s*/g, ' ');
}

/** A tensor has another shape, rank or dtype than the operation needs. */
export class ShapeError extends BertscriptError {}

/** A tensor was used after the scope that owned its memory had closed. */
export class ScopeError extends BertscriptError {}

/** A config file or an option has a value that is missing, malformed or not supported. */
export class ConfigError extends BertscriptError {}

/** A weights file is corrupt, or its tensors do not fit the model. */
export class CheckpointError extends BertscriptError {}

/** A tokenizer file is malformed, or asks for something that is not supported. */
export class TokenizerError extends BertscriptError {}

/** Text, token ids or another input to a model is out of its limits. */
export class InputError extends BertscriptError {}

/** A file or folder is missing, unreadable or cannot be written. */
export class FileError extends BertscriptError {}

/** There is not as much memory as a computation asks for. */
export class MemoryError extends BertscriptError {}

/** A computation was ended by its caller's `AbortSignal`. */
export class AbortError extends BertscriptError {
  override readonly name = 'AbortError'; // what callers ask for, whatever a bundler calls the class
}

/** A command was called the wrong way. */
export class UsageError extends BertscriptError {}

/** The part of an unknown value that helps in a message: short, on one line. */
export function show(value: unknown): string {
  const isJson = typeof value !== 'number' && typeof value !== 'bigint'; // JSON has no NaN, no Infinity and no bigint
  const text = (isJson ? toJson(value) : undefined) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function toJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return Array.isArray(value) ? '[...]' : '{...}'; // nested deeper than the stack, or in itself
  }
}

/** @throws ConfigError unless the options are an object that has none but the known ones */
export function expectOptions(what: string, options: unknown, known: readonly string[], fix?: string): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new ConfigError({ what, expected: 'an object of options', got: show(options) });
  }
  const unknown = Object.keys(options).find((key) => !known.includes(key));
  if (unknown === undefined) return;
  throw new ConfigError({ what: `${what}: ${unknown}`, expected: `one of ${known.join(', ')}`, ...(fix && { fix }) });
}

const letters = (name: string) => name.toLowerCase().replace(/[\s_-]/g, '');

/**
 * The names of columns or fields that differ from this one in case, spaces, `_` and `-` alone, such as `Text-Pair` from
 * `text_pair`, when the name itself is not there: it is then most likely misspelt, and to leave such a column out would change
 * the texts without a word.
 *
 * @param cache of what names come to, for names that are compared row by row
 */
export function misspelt(name: string, names: readonly string[], cache = new Map<string, string>()): string[] {
  if (names.includes(name)) return [];
  const wanted = letters(name);
  return names.filter((other) => {
    let found = cache.get(other);
    if (found === undefined) cache.set(other, (found = letters(other)));
    return found === wanted;
  });
}

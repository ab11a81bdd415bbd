import { show, UsageError } from '../errors.ts';

/** Parsers of option values, for commander's `option(flags, description, parser)`. Each names its flag when it refuses. */
export function wholeNumber(flag: string, minimum: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= minimum) return value;
    throw refused(flag, `a whole number of at least ${minimum}`, text);
  };
}

export function nonNegative(flag: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isFinite(value) && value >= 0) return value;
    throw refused(flag, 'a number of at least 0, such as 1e-5', text);
  };
}

export function oneOf<T extends string>(flag: string, choices: readonly T[]): (text: string) => T {
  return (text) => {
    const choice = choices.find((name) => name === text);
    if (choice !== undefined) return choice;
    throw refused(flag, `one of ${choices.join(', ')}`, text);
  };
}

function refused(flag: string, expected: string, text: string): UsageError {
  return new UsageError({ what: flag, expected, got: show(text) });
}

/** Options that were given, without those that were not: optional keys in this code base are absent, never `undefined`. */
export function given<T extends object>(options: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

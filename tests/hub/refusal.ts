import { BertscriptError } from '../../src/errors.ts';

/** The name and message of the typed error that a call ends in; fails on any other outcome. */
export async function refusal(call: () => unknown): Promise<string> {
  try {
    await call();
  } catch (error) {
    if (error instanceof BertscriptError) return `${error.name}: ${error.message}`;
    throw error;
  }
  throw new Error('nothing was thrown');
}

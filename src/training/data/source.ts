import { InputError } from '../../errors.ts';

/** A text file: its content, or pieces of it as they arrive, such as Node's `createReadStream(path)` or a `ReadableStream`. */
export type TextSource = string | Uint8Array | AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>;

/** A line of a file, and how messages name it: `file:7`. */
export interface Line {
  text: string;
  where: string;
}

/**
 * Lines that end in LF or CRLF, without the end; the end of the last one begins no further line.
 *
 * @param name of the file, for messages
 * @throws InputError naming the first line that is not UTF-8
 */
export async function* linesOf(source: TextSource, name: string): AsyncGenerator<Line> {
  let rest = '';
  let number = 0;
  for await (const piece of decoded(source, () => `${name}:${number + 1}`)) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop()!;
    for (const line of lines) yield lineOf(line, name, ++number);
  }
  if (rest !== '') yield lineOf(rest, name, ++number);
}

const lineOf = (text: string, name: string, number: number): Line => ({
  text: text.endsWith('\r') ? text.slice(0, -1) : text,
  where: `${name}:${number}`,
});

/** All of a source. */
export async function textOf(source: TextSource, name: string): Promise<string> {
  let text = '';
  for await (const piece of decoded(source, () => name)) text += piece;
  return text;
}

/** Pieces of text, without a byte order mark. */
async function* decoded(source: TextSource, where: () => string): AsyncGenerator<string> {
  let begun = false;
  const whole = typeof source === 'string' || source instanceof Uint8Array;
  const decoder = new TextDecoder('utf-8', { fatal: true });
  for await (const piece of whole ? [source] : source) {
    const text = typeof piece === 'string' ? piece : decode(decoder, piece, where);
    yield begun ? text : text.replace(/^\ufeff/, '');
    begun ||= text !== '';
  }
  yield decode(decoder, undefined, where);
}

function decode(decoder: TextDecoder, bytes: Uint8Array | undefined, where: () => string): string {
  try {
    return bytes ? decoder.decode(bytes, { stream: true }) : decoder.decode();
  } catch (cause) {
    const fix = 'convert the file to UTF-8';
    throw new InputError({ what: `${where()} or after`, expected: 'UTF-8', got: 'other bytes', fix, cause });
  }
}

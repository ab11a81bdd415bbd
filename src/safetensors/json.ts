import { CheckpointError, show } from '../errors.ts';

export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * A JSON object in UTF-8. Read its keys with `Object.entries`: they may be any string, `__proto__` too.
 *
 * @param what names the file in errors
 * @throws CheckpointError when the bytes are not UTF-8, not JSON, not an object, or say a key twice
 */
export function parseObject(bytes: Uint8Array, what: string): JsonObject {
  const text = decodeUtf8(bytes, what);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError({ what, expected: 'JSON', got: show(text), fix: 'download the file again', cause });
  }
  if (!isObject(value)) throw new CheckpointError({ what, expected: 'a JSON object', got: show(value) });
  const key = repeatedKey(text);
  if (key !== undefined) throw new CheckpointError({ what, expected: 'each key once', got: `${show(key)} twice` });
  return value;
}

function decodeUtf8(bytes: Uint8Array, what: string): string {
  try {
    // A copy, because browsers do not decode memory that is shared between threads.
    return new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array(bytes));
  } catch (cause) {
    throw new CheckpointError({ what, expected: 'UTF-8', got: 'other bytes', fix: 'download the file again', cause });
  }
}

/** The first key that one object of valid JSON says twice. `JSON.parse` hides it: there the last one wins. */
function repeatedKey(json: string): string | undefined {
  const open: Set<string>[] = [];
  for (let at = 0; at < json.length; at++) {
    if (json[at] === '{') open.push(new Set());
    else if (json[at] === '}') open.pop();
    else if (json[at] === '"') {
      const begin = at;
      for (at++; json[at] !== '"'; at++) if (json[at] === '\\') at++;
      let next = at + 1;
      while (' \n\r\t'.includes(json[next] ?? '.')) next++;
      if (json[next] !== ':') continue;
      const key = JSON.parse(json.slice(begin, at + 1)) as string;
      const keys = open.at(-1);
      if (keys?.has(key)) return key;
      keys?.add(key);
    }
  }
  return undefined;
}

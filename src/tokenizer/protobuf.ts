import { TokenizerError } from '../errors.ts';

/** A field of a protocol buffer message: its number, and either bytes or a number. */
export interface ProtoField {
  readonly id: number;
  readonly bytes?: Uint8Array;
  readonly value?: number;
}

/**
 * The fields of a message, in order, by the wire format of protocol buffers: varints, 32 and 64 bits (as floats) and
 * bytes.
 *
 * @param name what messages call the message: its file
 * @throws TokenizerError when the bytes are no message
 */
export function* protoFields(bytes: Uint8Array, name: string): Generator<ProtoField, undefined> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const fail = (got: string): never => {
    const fix = 'check that it is a SentencePiece model, and whole';
    throw new TokenizerError({ what: name, expected: 'a protocol buffer', got, fix });
  };
  const take = (count: number): number => {
    if (count > bytes.length - at) fail(`an end after ${bytes.length} bytes, in the middle of a field`);
    at += count;
    return at - count;
  };
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 63; scale *= 128) {
      const byte = bytes[take(1)];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    return fail(`a number without end at byte ${at}`);
  };
  while (at < bytes.length) {
    const begin = at;
    const key = varint();
    const id = Math.floor(key / 8);
    const type = key % 8;
    if (id === 0) fail(`a field of number 0 at byte ${begin}`);
    if (type === 0) yield { id, value: varint() };
    else if (type === 1) yield { id, value: view.getFloat64(take(8), true) };
    else if (type === 2) {
      const length = varint();
      const start = take(length);
      yield { id, bytes: bytes.subarray(start, start + length) };
    } else if (type === 5) yield { id, value: view.getFloat32(take(4), true) };
    else fail(`a field of type ${type} at byte ${begin}`);
  }
  return undefined;
}

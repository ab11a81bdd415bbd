import { CheckpointError } from '../errors.ts';

/** Bytes read from front to back, with protocol buffers' numbers. What is not there, or not so, is refused. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #what: string;
  #at = 0;

  /** @param what names the bytes in messages */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.#at) this.refuse(`${length} bytes`, `${this.#bytes.length - this.#at}`);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /** A number of seven bits a byte, the low ones first. */
  varint(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 63; scale *= 128) {
      const [byte] = this.take(1);
      value += (byte % 128) * scale;
      if (byte < 128 && Number.isSafeInteger(value)) return value;
      if (byte < 128) break;
    }
    return this.refuse('a number of at most 53 bits', 'more');
  }

  /** The fields of a protocol buffer: numbers and bytes; a number may come again. */
  *fields(): Generator<[field: number, value: number | Uint8Array]> {
    while (!this.atEnd) {
      const tag = this.varint();
      const wire = tag % 8;
      if (wire === 0) yield [Math.floor(tag / 8), this.varint()];
      else if (wire === 1) yield [Math.floor(tag / 8), this.take(8)];
      else if (wire === 2) yield [Math.floor(tag / 8), this.take(this.varint())];
      else if (wire === 5) yield [Math.floor(tag / 8), this.take(4)];
      else this.refuse('a protocol buffer', `wire type ${wire}`);
    }
  }

  refuse(expected: string, got: string): never {
    throw new CheckpointError({ what: this.#what, expected, got, fix: 'download the file again' });
  }
}

/** CRC-32C (Castagnoli), bit-reversed polynomial 0x82f63b78, in tables of a byte. */
const table = /* @__PURE__ */ Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = (byte >>> 1) ^ (byte & 1 ? 0x82f63b78 : 0);
  return byte;
});

/** The checksum that LevelDB stores, which turns and shifts the CRC so that one of bytes that hold one is not weak. */
export function maskedCrc32c(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) crc = table[(crc ^ byte) & 255] ^ (crc >>> 8);
  crc = ~crc;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

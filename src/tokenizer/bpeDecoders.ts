import { byteLevelDecoder } from './byteLevel.ts';
import type { Decoder } from './decoder.ts';
import type { Readers } from './jsonField.ts';

/** The `decoder`s of a tokenizer.json with BPE. */
export const bpeDecoders: Readers<Decoder> = {
  ByteLevel: () => byteLevelDecoder,
  BPEDecoder: (json) => bpeDecoder(json.get('suffix').string()),
  ByteFallback: () => byteFallbackDecoder,
  Fuse: () => ({ decodeChain: (tokens) => [tokens.join('')] }),
  Strip: (json) => {
    const content = json.get('content').string();
    return stripDecoder(content, json.get('start').count(), json.get('stop').count());
  },
  Sequence: (json, readItem) => {
    const decoders = json.get('decoders').array(readItem);
    return { decodeChain: (tokens) => decoders.reduce((pieces, decoder) => decoder.decodeChain(pieces), tokens) };
  },
};

/** The suffix that ends a word becomes a space, but at the end of the text. */
export function bpeDecoder(suffix: string): Decoder {
  return {
    decodeChain: (tokens) =>
      tokens.map((token, index) => token.replaceAll(suffix, index === tokens.length - 1 ? '' : ' ')),
  };
}

/** Runs of tokens `<0x00>` to `<0xFF>` become the text that these bytes are; if they are none, a U+FFFD each. */
const byteFallbackDecoder: Decoder = {
  decodeChain(tokens) {
    const pieces: string[] = [];
    let bytes: number[] = [];
    const flush = () => {
      if (bytes.length === 0) return;
      try {
        const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
        pieces.push(decoder.decode(Uint8Array.from(bytes)));
      } catch {
        pieces.push(...bytes.map(() => '\ufffd'));
      }
      bytes = [];
    };
    for (const token of tokens) {
      const byte = /^<0x([0-9a-fA-F]{2}|\+[0-9a-fA-F])>$/.exec(token); // Rust's from_str_radix takes a plus sign
      if (byte) {
        bytes.push(parseInt(byte[1], 16));
        continue;
      }
      flush();
      pieces.push(token);
    }
    flush();
    return pieces;
  },
};

/** Takes up to `start` and `stop` times a character away from the ends of each token. */
function stripDecoder(content: string, start: number, stop: number): Decoder {
  return {
    decodeChain: (tokens) =>
      tokens.map((token) => {
        const characters = Array.from(token);
        let first = 0;
        let end = characters.length;
        while (first < Math.min(start, characters.length) && characters[first] === content) first++;
        while (characters.length - end < stop && end > 0 && characters[end - 1] === content) end--;
        return characters.slice(first, Math.max(first, end)).join('');
      }),
  };
}

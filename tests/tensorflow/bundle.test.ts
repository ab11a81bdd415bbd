import { describe, expect, it } from 'vitest';
import { BertscriptError, CheckpointError } from '../../src/errors.ts';
import { maskedCrc32c } from '../../src/tensorflow/bytes.ts';
import { parseBundleIndex } from '../../src/tensorflow/index.ts';
import { readFixture } from '../support/fixtures.ts';

const index = readFixture('tensorflow/bert_model.ckpt.index');
const changed = (change: (bytes: Uint8Array) => void) => {
  const bytes = index.slice();
  change(bytes);
  return () => parseBundleIndex(bytes, 'x.index');
};

describe('the index of a TensorFlow checkpoint', () => {
  const { shards, tensors } = parseBundleIndex(index);

  it('tells where each tensor is, and what it is', () => {
    expect(shards).toBe(1);
    expect(tensors.size).toBe(2 * 16 + 5 + 2 + 5 + 2 + 6 + 1); // layers, embeddings, pooler, heads, moments, a counter
    const { dtype, shape, shard, size } = tensors.get('bert/encoder/layer_1/intermediate/dense/kernel')!;
    expect({ dtype, shape, shard, size }).toEqual({ dtype: 'F32', shape: [24, 37], shard: 0, size: 4 * 24 * 37 });
    expect(tensors.get('global_step')).toMatchObject({ dtype: null, shape: [], size: 8 });
    const ends = [...tensors.values()].map(({ offset, size }) => offset + size);
    expect(Math.max(...ends)).toBe(readFixture('tensorflow/bert_model.ckpt.data-00000-of-00001').length);
  });

  it('has checksums, those of RFC 3720 masked', () => {
    const unmasked = (bytes: Uint8Array) => {
      const rotated = maskedCrc32c(bytes) - 0xa282ead8;
      return ((rotated << 15) | (rotated >>> 17)) >>> 0;
    };
    expect(unmasked(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(unmasked(new Uint8Array(32).fill(255))).toBe(0x62a8ab43);
    expect(unmasked(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);
  });

  it('is refused when it is cut off, or no such file', () => {
    for (const length of [0, 7, 47, 48, index.length - 1]) {
      expect(() => parseBundleIndex(index.subarray(0, length), 'x.index')).toThrow(CheckpointError);
    }
    expect(() => parseBundleIndex(index.subarray(1), 'x.index')).toThrow(
      /^x\.index: block at byte \d+: expected bytes/,
    );
    expect(() => parseBundleIndex(new TextEncoder().encode('<!doctype html>'.repeat(9)), 'x.index')).toThrow(
      'x.index: expected a table that ends with its magic number, got other bytes; download the file again',
    );
  });

  it('is refused when it is compressed, which TensorFlow does not', () => {
    const size = index.length - 48;
    // the last block, of indexes: its type is five bytes before the footer
    const compressed = changed((bytes) => {
      const view = new DataView(bytes.buffer);
      bytes[size - 5] = 1;
      let start = size - 5; // its size is not known here: the one at which the checksum fits is
      const stored = new DataView(index.buffer, index.byteOffset).getUint32(size - 4, true);
      while (maskedCrc32c(index.subarray(start, size - 4)) !== stored) start--;
      view.setUint32(size - 4, maskedCrc32c(bytes.subarray(start, size - 4)), true);
    });
    expect(compressed).toThrow(/expected no compression, got compression 1; save the checkpoint again/);
  });

  it('with any byte changed says the same, or is refused by a typed error', () => {
    const before = JSON.stringify([shards, [...tensors]]);
    let refused = 0;
    for (let at = 0; at < index.length; at++) {
      try {
        const read = changed((bytes) => (bytes[at] ^= 1 + (at % 255)))();
        expect(JSON.stringify([read.shards, [...read.tensors]])).toBe(before);
      } catch (error) {
        expect(error).toBeInstanceOf(BertscriptError);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(index.length - 60); // the footer has padding
  });
});

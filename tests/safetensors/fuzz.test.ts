import { expect, test } from 'vitest';
import { CheckpointError } from '../../src/errors.ts';
import type { SafetensorsFile } from '../../src/safetensors/index.ts';
import {
  parseSafetensors,
  toBigInt64,
  toFloat32,
  toFloat64,
  toInt32,
  writeSafetensors,
} from '../../src/safetensors/index.ts';
import { fixture } from './files.ts';

const good = fixture('safetensors/dtypes.safetensors');
const dataStart = 8 + Number(new DataView(good.buffer).getBigUint64(0, true));
const ROUNDS = 20_000;

/** Numbers that are the same in every run (mulberry32). */
function randomNumbers(seed: number): (below: number) => number {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Damages a good file in one of the ways files get damaged. */
function damage(random: (below: number) => number): Uint8Array {
  const bytes = good.slice();
  switch (random(4)) {
    case 0: // bits anywhere
      for (let n = 1 + random(4); n > 0; n--) bytes[random(bytes.length)] ^= 1 << random(8);
      return bytes;
    case 1: // characters of JSON in the header, where they do most harm
      for (let n = 1 + random(3); n > 0; n--)
        bytes[8 + random(dataStart - 8)] = '0123456789-.eE"\\{}[]:, '.charCodeAt(random(23));
      return bytes;
    case 2: // cut off
      return bytes.subarray(0, random(bytes.length));
    default: {
      // a piece of the header over another piece
      const from = 8 + random(dataStart - 8);
      bytes.copyWithin(8 + random(dataStart - 8), from, Math.min(from + random(40), dataStart));
      return bytes;
    }
  }
}

test('a damaged file is read or refused with a CheckpointError; what is read can be used', () => {
  const random = randomNumbers(20_26);
  const outcome = { read: 0, refused: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = damage(random);
    try {
      use(parseSafetensors(bytes), bytes);
      outcome.read++;
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      expect(error.message).not.toContain('\n');
      outcome.refused++;
    }
  }
  // Both happen often enough for the test to mean something; most damage to the header, rightly, is noticed.
  expect(outcome.read).toBeGreaterThan(ROUNDS / 30);
  expect(outcome.refused).toBeGreaterThan(ROUNDS / 2);
});

function use({ tensors, metadata }: SafetensorsFile, bytes: Uint8Array): void {
  let size = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  for (const view of tensors.values()) {
    size += view.bytes.length;
    for (const convert of [toFloat32, toFloat64, toInt32, toBigInt64]) orRefuse(() => convert(view));
  }
  // Every byte belongs to one tensor.
  expect(size).toBe(bytes.length);
  orRefuse(() => parseSafetensors(writeSafetensors(tensors, metadata)));
}

/** A conversion may refuse a dtype or a value; anything but a CheckpointError is a fault of ours. */
function orRefuse(call: () => unknown): void {
  try {
    call();
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
  }
}

import { describe, expect, it } from 'vitest';
import { InputError } from '../../src/errors.ts';
import { PackedBatch, type ModelInputs } from '../../src/layers/index.ts';

const arrays = ({ inputIds, tokenTypeIds, positionIds, columns, offsets }: PackedBatch) => ({
  inputIds: [...inputIds],
  tokenTypeIds: [...tokenTypeIds],
  positionIds: positionIds && [...positionIds],
  columns: [...columns],
  offsets: [...offsets],
});

describe('PackedBatch', () => {
  it('lays sequences of any length end to end', () => {
    const batch = new PackedBatch({ inputIds: [[11, 12, 13], [], [21]] });
    expect(arrays(batch)).toEqual({
      inputIds: [11, 12, 13, 21],
      tokenTypeIds: [0, 0, 0, 0],
      positionIds: null,
      columns: [0, 1, 2, 0],
      offsets: [0, 3, 3, 4],
    });
    expect([batch.size, batch.totalTokens, batch.paddedLength]).toEqual([3, 4, 3]);
    expect([0, 1, 2].map((s) => batch.lengthOf(s))).toEqual([3, 0, 1]);
  });

  it('drops masked tokens, holes and left padding too, and remembers columns', () => {
    const batch = new PackedBatch({
      inputIds: [
        [11, 12, 13, 14],
        [0, 0, 23, 24],
        [31, 32, 0, 0],
        [0, 0, 0, 0],
      ],
      attentionMask: [
        [1, 0, 1, 1],
        [0, 0, 1, 1],
        [1, 1, 0, 0],
        [0, 0, 0, 0],
      ],
      tokenTypeIds: [
        [0, 0, 1, 1],
        [0, 0, 0, 1],
        [1, 0, 0, 0],
        [0, 0, 0, 0],
      ],
      positionIds: [
        [5, 6, 7, 8],
        [0, 0, 0, 1],
        [9, 9, 9, 9],
        [0, 0, 0, 0],
      ],
    });
    expect(arrays(batch)).toEqual({
      inputIds: [11, 13, 14, 23, 24, 31, 32],
      tokenTypeIds: [0, 1, 1, 0, 1, 1, 0],
      positionIds: [5, 7, 8, 0, 1, 9, 9],
      columns: [0, 2, 3, 2, 3, 0, 1],
      offsets: [0, 3, 5, 7, 7],
    });
    expect(batch.paddedLength).toBe(4);
  });

  it('takes typed arrays, and nothing at all', () => {
    expect([
      ...new PackedBatch({ inputIds: [Int32Array.of(1, 2)], attentionMask: [Uint8Array.of(0, 1)] }).inputIds,
    ]).toEqual([2]);
    const none = new PackedBatch({ inputIds: [] });
    expect([none.size, none.totalTokens, none.paddedLength, [...none.offsets]]).toEqual([0, 0, 0, [0]]);
  });

  it('passes through a batch that is packed already', () => {
    const batch = new PackedBatch({ inputIds: [[1]] });
    expect(PackedBatch.from(batch)).toBe(batch);
    expect(arrays(PackedBatch.from({ inputIds: [[1]] }))).toEqual(arrays(batch));
  });

  const inputIds = [
    [1, 2],
    [3, 4],
  ];
  const ones = [
    [1, 1],
    [1, 1],
  ];
  /** Inputs as JavaScript may pass them, past the types. */
  const wrong = (inputs: Record<string, unknown>) => ({ inputIds, ...inputs }) as unknown as ModelInputs;
  const faults: [fault: string, inputs: ModelInputs, message: string][] = [
    [
      'another name for the ids',
      wrong({ inputIds: undefined, input_ids: inputIds }),
      'inputIds: expected an array, got undefined; pass',
    ],
    [
      'a flat array of ids',
      wrong({ inputIds: [101, 102] }),
      'inputIds of sequence 0: expected an array, got 101; pass an array of ids per sequence, { inputIds: [[101, 102]] }',
    ],
    [
      'a mask of fewer sequences',
      wrong({ attentionMask: [[1, 1]] }),
      'attentionMask: expected 2 sequences, as inputIds has, got 1',
    ],
    [
      'types of more sequences',
      wrong({ tokenTypeIds: [...ones, [1]] }),
      'tokenTypeIds: expected 2 sequences, as inputIds has, got 3',
    ],
    [
      'positions of fewer sequences',
      wrong({ positionIds: [] }),
      'positionIds: expected 2 sequences, as inputIds has, got 0',
    ],
    [
      'a mask of another length',
      wrong({ attentionMask: [[1, 1], [1]] }),
      'attentionMask of sequence 1: expected 2 values, one per input id, got 1',
    ],
    [
      'types of another length',
      wrong({ tokenTypeIds: [[0, 0, 0], ones[1]] }),
      'tokenTypeIds of sequence 0: expected 2 values, one per input id, got 3',
    ],
    [
      'positions of another length',
      wrong({ positionIds: [[0, 1], []] }),
      'positionIds of sequence 1: expected 2 values, one per input id, got 0',
    ],
    [
      'a mask without its second row',
      wrong({ attentionMask: [[1, 1], null] }),
      'attentionMask of sequence 1: expected an array, got null; pass an array of ids per sequence',
    ],
    [
      'positions without a row',
      wrong({ positionIds: [undefined, [0, 1]] }),
      'positionIds of sequence 0: expected an array, got undefined',
    ],
    [
      'types with a hole',
      wrong({ tokenTypeIds: Object.assign([ones[0]], { length: 2 }) }),
      'tokenTypeIds of sequence 1',
    ],
    [
      'a 3-D mask',
      wrong({ attentionMask: [ones, ones] }),
      'attentionMask of sequence 0: expected one value per token, got a row per token (a 3-D mask); mask whole tokens; ' +
        'masks between pairs of tokens are not supported',
    ],
    [
      'a mask that is a weight',
      wrong({ attentionMask: [ones[0], [1, 0.5]] }),
      'attentionMask of sequence 1, token 1: expected 0 or 1, got 0.5',
    ],
    ['a mask with a hole', wrong({ attentionMask: [ones[0], [null, 1]] }), 'token 0: expected 0 or 1, got null'],
    [
      'an additive mask',
      wrong({ attentionMask: [ones[0], [0, -10000]] }),
      'attentionMask of sequence 1, token 1: expected 0 or 1, got -10000',
    ],
    [
      'a mask of BigInt64Array',
      wrong({ attentionMask: [BigInt64Array.of(1n, 1n), BigInt64Array.of(1n, 1n)] }),
      'attentionMask of sequence 0, token 0: expected 0 or 1, got 1',
    ],
    [
      'a fraction',
      wrong({ inputIds: [[1, 2.5], [3]] }),
      'inputIds of sequence 0, token 1: expected a whole number, got 2.5',
    ],
    ['NaN', wrong({ inputIds: [[NaN]] }), 'inputIds of sequence 0, token 0: expected a whole number, got NaN'],
    ['a missing id', wrong({ inputIds: [[undefined]] }), 'expected a whole number, got undefined'],
    ['ids of BigInt64Array', wrong({ inputIds: [BigInt64Array.of(7n)] }), 'token 0: expected a whole number, got 7'],
    ['an id past int32', wrong({ inputIds: [[2 ** 31]] }), 'token 0: expected a whole number, got 2147483648'],
    ['choices that were not unrolled', wrong({ inputIds: [[[1, 2]]] }), 'token 0: expected a whole number, got [1,2]'],
    ['a fraction among types', wrong({ tokenTypeIds: [[0, 0.1], ones[1]] }), 'tokenTypeIds of sequence 0, token 1'],
    ['a fraction among positions', wrong({ positionIds: [ones[0], [1, 1.5]] }), 'positionIds of sequence 1, token 1'],
  ];

  it.each(faults)('refuses %s', (_, inputs, message) => {
    expect(() => new PackedBatch(inputs)).toThrow(InputError);
    expect(() => new PackedBatch(inputs)).toThrow(message);
  });

  it('does not look at the values of masked tokens', () => {
    const batch = new PackedBatch({ inputIds: [[1, NaN]], attentionMask: [[1, 0]], tokenTypeIds: [[0, 0.5]] });
    expect([...batch.inputIds]).toEqual([1]);
  });
});

import { InputError, show } from '../errors.ts';

/** Token ids of several sequences, one array each; lengths may differ. A tokenizer's `BatchEncoding` is one. */
export interface ModelInputs {
  inputIds: ArrayLike<ArrayLike<number>>;
  /** 1 keeps a token, 0 drops it. Holes and left padding are fine. Default: all 1. */
  attentionMask?: ArrayLike<ArrayLike<number>> | undefined;
  /** Segment of each token. Default: all 0. */
  tokenTypeIds?: ArrayLike<ArrayLike<number>> | undefined;
  /** Default: as the model counts, for BERT the column of each token. */
  positionIds?: ArrayLike<ArrayLike<number>> | undefined;
}

/**
 * Sequences laid end to end. Masked tokens are dropped here, so that nothing downstream knows of padding, and a batch
 * gives each sequence what it would get alone. Each kept token remembers the column it came from.
 */
export class PackedBatch {
  /** [totalTokens] */
  readonly inputIds: Int32Array;
  /** [totalTokens] */
  readonly tokenTypeIds: Int32Array;
  /** [totalTokens], or null when the model counts positions itself. */
  readonly positionIds: Int32Array | null;
  /** Column of each token in its original sequence, masked tokens counted. [totalTokens] */
  readonly columns: Int32Array;
  /** Sequence s is tokens offsets[s] to offsets[s+1]. [size + 1] */
  readonly offsets: Int32Array;
  /** Columns of the longest sequence, masked tokens counted: the width of a padded output. */
  readonly paddedLength: number;
  /** Ids as they were given, those of masked tokens too, for families that count positions by them. [Σ columns] */
  readonly originalIds: Int32Array;
  /** Sequence s is originalIds[originalOffsets[s]] to originalIds[originalOffsets[s+1]]. [size + 1] */
  readonly originalOffsets: Int32Array;
  /**
   * Number of each sequence, which with a token's column says what dropout takes out. By default they count from 0; the parts
   * of a larger batch may be given their numbers there. [size]
   */
  readonly ordinals: Int32Array;
  #tokenKeys: Int32Array | null = null;

  /** @throws InputError naming the sequence and the token that is malformed */
  constructor(inputs: ModelInputs) {
    const { inputIds, attentionMask, tokenTypeIds, positionIds } = inputs ?? {};
    const size = expectArray('inputIds', inputIds).length;
    expectSequences('attentionMask', attentionMask, size);
    expectSequences('tokenTypeIds', tokenTypeIds, size);
    expectSequences('positionIds', positionIds, size);
    this.offsets = new Int32Array(size + 1);
    this.originalOffsets = new Int32Array(size + 1);
    let [paddedLength, total] = [0, 0];
    for (let sequence = 0; sequence < size; sequence++) {
      const { length } = expectArray(`inputIds of sequence ${sequence}`, inputIds[sequence]);
      expectLengths('attentionMask', attentionMask, sequence, length);
      expectLengths('tokenTypeIds', tokenTypeIds, sequence, length);
      expectLengths('positionIds', positionIds, sequence, length);
      for (let column = 0; column < length; column++) {
        const mask = attentionMask ? attentionMask[sequence][column] : 1;
        if (mask === 1) total++;
        else if (mask !== 0) throw badValue('attentionMask', sequence, column, '0 or 1', mask);
      }
      this.offsets[sequence + 1] = total;
      this.originalOffsets[sequence + 1] = this.originalOffsets[sequence] + length;
      paddedLength = Math.max(paddedLength, length);
    }
    this.columns = new Int32Array(total);
    for (let sequence = 0, token = 0; sequence < size; sequence++) {
      for (let column = 0; token < this.offsets[sequence + 1]; column++) {
        if (!attentionMask || attentionMask[sequence][column] === 1) this.columns[token++] = column;
      }
    }
    const gather = (name: string, rows: ArrayLike<ArrayLike<number>>): Int32Array => {
      const values = new Int32Array(total);
      for (let sequence = 0, token = 0; sequence < size; sequence++) {
        for (; token < this.offsets[sequence + 1]; token++) {
          const value = rows[sequence][this.columns[token]];
          if (!Number.isInteger(value) || value !== (value | 0))
            throw badValue(name, sequence, this.columns[token], 'a whole number', value);
          values[token] = value;
        }
      }
      return values;
    };
    this.inputIds = gather('inputIds', inputIds);
    this.tokenTypeIds = tokenTypeIds ? gather('tokenTypeIds', tokenTypeIds) : new Int32Array(total);
    this.positionIds = positionIds ? gather('positionIds', positionIds) : null;
    this.paddedLength = paddedLength;
    this.ordinals = Int32Array.from({ length: size }, (_, sequence) => sequence);
    this.originalIds = this.inputIds;
    if (this.originalOffsets[size] === total) return; // nothing was masked
    this.originalIds = new Int32Array(this.originalOffsets[size]);
    for (let sequence = 0; sequence < size; sequence++) {
      this.originalIds.set(Int32Array.from(inputIds[sequence]), this.originalOffsets[sequence]);
    }
  }

  static from(inputs: ModelInputs | PackedBatch): PackedBatch {
    return inputs instanceof PackedBatch ? inputs : new PackedBatch(inputs);
  }

  /** Number of sequences. */
  get size(): number {
    return this.offsets.length - 1;
  }

  get totalTokens(): number {
    return this.inputIds.length;
  }

  /** What names each token for dropout. [totalTokens] */
  get tokenKeys(): Int32Array {
    if (this.#tokenKeys) return this.#tokenKeys;
    this.#tokenKeys = new Int32Array(this.totalTokens);
    for (let sequence = 0, token = 0; sequence < this.size; sequence++) {
      for (; token < this.offsets[sequence + 1]; token++) {
        this.#tokenKeys[token] = dropoutKey(this.ordinals[sequence], this.columns[token]);
      }
    }
    return this.#tokenKeys;
  }

  /** What names each sequence for dropout, its first column. [size] */
  get sequenceKeys(): Int32Array {
    return this.ordinals.map((ordinal) => dropoutKey(ordinal, 0));
  }

  /** The first or the last token of each sequence, but of those that have none. */
  edgeTokens(edge: 'first' | 'last'): Int32Array {
    const { offsets } = this;
    const edges = edge === 'first' ? offsets.subarray(0, -1) : offsets.subarray(1).map((end) => end - 1);
    return edges.filter((_, sequence) => offsets[sequence] < offsets[sequence + 1]);
  }

  /** Of some tokens, rising: those of sequence s are offsets[s] to offsets[s+1] among them. [size + 1] */
  offsetsAmong(tokens: Int32Array): Int32Array {
    let count = 0;
    return this.offsets.map((end) => {
      while (tokens[count] < end) count++;
      return count;
    });
  }

  /** How messages name a token: its sequence, and its column there. */
  nameOf(token: number): string {
    return `sequence ${this.offsets.findIndex((end) => end > token) - 1}, token ${this.columns[token]}`;
  }

  lengthOf(sequence: number): number {
    return this.offsets[sequence + 1] - this.offsets[sequence];
  }
}

/** Different for all sequences and columns that a batch can have: multiples of 2³² / the golden ratio lie far apart. */
const dropoutKey = (ordinal: number, column: number): number => (Math.imul(ordinal, 0x9e3779b1) + column) | 0;

/** Callers in JavaScript may pass `input_ids`, or a flat array, without a word from a compiler. */
function expectArray<T extends ArrayLike<unknown>>(what: string, value: T): T {
  if (typeof (value as T | undefined)?.length === 'number') return value;
  throw new InputError({
    what,
    expected: 'an array',
    got: show(value),
    fix: 'pass an array of ids per sequence, { inputIds: [[101, 102]] }',
  });
}

function expectSequences(name: keyof ModelInputs, rows: ArrayLike<unknown> | undefined, size: number): void {
  if (rows && rows.length !== size) {
    throw new InputError({ what: name, expected: `${size} sequences, as inputIds has`, got: `${rows.length}` });
  }
}

function expectLengths(
  name: keyof ModelInputs,
  rows: ArrayLike<ArrayLike<number>> | undefined,
  sequence: number,
  length: number,
): void {
  if (!rows) return;
  const row = expectArray(`${name} of sequence ${sequence}`, rows[sequence]);
  if (row.length !== length) {
    throw new InputError({
      what: `${name} of sequence ${sequence}`,
      expected: `${length} values, one per input id`,
      got: `${row.length}`,
    });
  }
  if (typeof row[0] === 'object' && row[0] !== null) {
    throw new InputError({
      what: `${name} of sequence ${sequence}`,
      expected: 'one value per token',
      got: 'a row per token (a 3-D mask)',
      fix: 'mask whole tokens; masks between pairs of tokens are not supported',
    });
  }
}

function badValue(name: string, sequence: number, column: number, expected: string, got: unknown): InputError {
  return new InputError({ what: `${name} of sequence ${sequence}, token ${column}`, expected, got: show(got) });
}

import { describe, expect, it } from 'vitest';
import { InputError } from '../../src/errors.ts';
import { compareTensors, compareWithReference, parseReference, type NumericTensor } from '../../src/parity/index.ts';
import { writeSafetensors, type TensorInput } from '../../src/safetensors/index.ts';
import '../support/matchers.ts';

const vector = (...data: number[]): NumericTensor => ({ data, shape: [data.length] });
const i64 = (values: number[], shape: number[]): TensorInput => ({ data: BigInt64Array.from(values, BigInt), shape });
const f64 = (values: number[], shape: number[]): TensorInput => ({ data: Float64Array.from(values), shape });

/** A reference of two sequences of three columns, the second padded on the left. */
const reference = (outputs: Record<string, TensorInput>, inputs: Record<string, TensorInput> = {}) =>
  parseReference(
    writeSafetensors({
      input_ids: i64([1, 2, 3, 4, 5, 6], [2, 3]),
      attention_mask: i64([1, 1, 1, 0, 1, 1], [2, 3]),
      ...inputs,
      ...outputs,
    }),
    'r',
  );

describe('compareTensors', () => {
  it('measures [1, 2, -4] against [1, 2.5, -5]', () => {
    const { cosine, ...rest } = compareTensors('x', vector(1, 2, -4), vector(1, 2.5, -5), { tolerance: 0.2 });
    expect(rest).toEqual({
      tensor: 'x',
      max_abs: 1,
      rms: Math.sqrt(1.25 / 3),
      max_rel: 0.2,
      where: [2],
      compared: 3,
      ok: true,
    });
    expect(cosine).toBeCloseTo(26 / Math.sqrt(21 * 32.25), 15);
  });

  it('says where in a matrix the largest error is', () => {
    const zeros = { data: new Float64Array(12), shape: [2, 3, 2] };
    const data = zeros.data.with(9, 1);
    expect(compareTensors('x', { data, shape: [2, 3, 2] }, zeros).where).toEqual([1, 1, 1]);
  });

  it('takes the tolerance relative to the largest value, or absolute; the limit itself is within', () => {
    const within = (tolerance: number, absolute: boolean) =>
      compareTensors('x', vector(0, 100.5), vector(0, 100), { tolerance, absolute }).ok;
    expect([within(0.005, false), within(0.0049, false), within(0.5, true), within(0.49, true)]).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect(compareTensors('x', vector(1), vector(1), { tolerance: 0 }).ok).toBe(true);
    expect(compareTensors('x', vector(1 + 1.1e-5), vector(1)).ok).toBe(false); // the default is 1e-5
  });

  const poison: [what: string, actual: NumericTensor, expected: NumericTensor][] = [
    ['NaN for a number', vector(1, NaN), vector(1, 2)],
    ['a number for NaN', vector(1, 2), vector(1, NaN)],
    ['NaN for NaN', vector(1, NaN), vector(1, NaN)],
    ['infinity for a number', vector(1, Infinity), vector(1, 2)],
    ['the other infinity', vector(1, -Infinity), vector(1, Infinity)],
    ['anything for zeros', vector(0, 1e-300), vector(0, 0)],
    ['a wrong number beside an infinity that is right', vector(-Infinity, 5), vector(-Infinity, 4)],
  ];
  it.each(poison)('never passes %s', (_, actual, expected) => {
    const { ok, where } = compareTensors('x', actual, expected, { tolerance: 0.1 });
    expect({ ok, where }).toEqual({ ok: false, where: [1] });
  });

  it('passes infinities that agree', () => {
    const { max_abs, ok } = compareTensors('x', vector(-Infinity, 4), vector(-Infinity, 4));
    expect({ max_abs, ok }).toEqual({ max_abs: 0, ok: true });
  });

  it('has a cosine for zeros, and for numbers whose squares vanish', () => {
    const cosine = (a: NumericTensor, b: NumericTensor) => compareTensors('x', a, b).cosine;
    expect(cosine(vector(0, 0), vector(0, 0))).toBe(1);
    expect(cosine(vector(0, 0), vector(1, 0))).toBe(0);
    expect(cosine(vector(3e-150, 0), vector(3e-150, 0))).toBeCloseTo(1, 12);
    expect(cosine(vector(1, 0), vector(-2, 0))).toBe(-1);
  });

  it('is not satisfied with nothing', () => {
    expect(compareTensors('x', vector(1), vector(2), {}, () => false)).toMatchObject({ compared: 0, ok: false });
    expect(compareTensors('x', vector(), vector())).toMatchObject({ compared: 0, ok: false });
    expect(() => expect(vector()).toMatchTensor(vector())).toThrow('tensor [0]: nothing to compare; ');
  });

  it('refuses numbers that are more or fewer than the shape says', () => {
    const matrix = { data: [1, 2, 3, 4], shape: [2, 2] };
    expect(() => compareTensors('x', { ...matrix, data: [1, 2, 3] }, matrix)).toThrow(
      new InputError({ what: 'tensor x', expected: '4 values, as [2, 2] has', got: '3' }),
    );
    expect(() => compareTensors('x', matrix, { ...matrix, data: [1, 2, 3, 4, 5] })).toThrow(
      'reference of x: expected 4 values, as [2, 2] has, got 5',
    );
  });

  it('refuses another shape, and a tolerance that is none', () => {
    expect(() => compareTensors('x', { data: [1, 2], shape: [2, 1] }, vector(1, 2))).toThrow(
      new InputError({ what: 'tensor x', expected: "the reference's shape, [2]", got: '[2, 1]' }),
    );
    for (const tolerance of [-1, NaN]) {
      expect(() => compareTensors('x', vector(1), vector(1), { tolerance })).toThrow(
        `tolerance: expected a number of at least 0, got ${tolerance}`,
      );
    }
  });
});

describe('compareWithReference', () => {
  const states = f64([1, 2, 3, 4, 5, 6], [2, 3, 1]);
  const given = (values: Record<string, NumericTensor>) => new Map(Object.entries(values));

  it('does not look at padded positions', () => {
    const actual = given({ last_hidden_state: { data: [1, 2, 3, 99, 5, 6], shape: [2, 3, 1] } });
    expect(compareWithReference(reference({ last_hidden_state: states }), actual)).toMatchObject({
      ok: true,
      comparisons: [{ max_abs: 0 }],
    });
    const wrong = given({ last_hidden_state: { data: [1, 2, 3, 4, 5, 7], shape: [2, 3, 1] } });
    expect(compareWithReference(reference({ last_hidden_state: states }), wrong)).toMatchObject({
      ok: false,
      comparisons: [{ where: [1, 2, 0] }],
    });
  });

  /** The indexes that count: those at which a number of its own makes the comparison fail. */
  const compared = (name: string, shape: number[], inputs?: Record<string, TensorInput>): number[] => {
    const size = shape.reduce((a, b) => a * b, 1);
    const zeros = f64(
      Array.from({ length: size }, () => 0),
      shape,
    );
    const target = reference({ [name]: zeros }, inputs);
    return Array.from({ length: size }, (_, i) => i).filter((i) => {
      const data = new Float64Array(size).with(i, 1);
      return !compareWithReference(target, given({ [name]: { data, shape } })).ok;
    });
  };

  it('knows which axis of which output is tokens', () => {
    const all = (n: number) => Array.from({ length: n }, (_, i) => i);
    expect(compared('hidden_states.1', [2, 3, 1])).toEqual([0, 1, 2, 4, 5]);
    expect(compared('start_logits', [2, 3])).toEqual([0, 1, 2, 4, 5]);
    expect(compared('attentions.0', [2, 1, 3, 3])).toEqual([...all(9), 13, 14, 16, 17]);
    // What hangs on the first token, which the second sequence has masked:
    expect(compared('pooler_output', [2, 3])).toEqual([0, 1, 2]);
    expect(compared('logits', [2, 5])).toEqual([0, 1, 2, 3, 4]);
    // What hangs on every token that is kept:
    expect(compared('sentence_embedding', [2, 2])).toEqual([0, 1, 2, 3]);
    const choices = { input_ids: i64([1, 2, 3, 4], [1, 2, 2]), attention_mask: i64([1, 1, 0, 1], [1, 2, 2]) };
    expect(compared('logits', [1, 2], choices)).toEqual([0]);
    expect(compared('hidden_states.0', [2, 2, 1], choices)).toEqual([0, 1, 3]);
  });

  it('counts an output that is not given as failed, and leaves out what may go unchecked', () => {
    const outputs = {
      last_hidden_state: states,
      'hidden_states.0': states,
      'activations.embeddings': states,
      'grad.pooler.dense.bias': f64([1], [1]),
      loss: f64([1], []),
    };
    const actual = given({ last_hidden_state: { data: [1, 2, 3, 4, 5, 6], shape: [2, 3, 1] } });
    const report = compareWithReference(reference(outputs, { labels: i64([0, 0], [2]) }), actual);
    expect(report.ok).toBe(false);
    expect(report.missing).toEqual(['hidden_states.0']);
    expect(report.skipped.sort()).toEqual(['activations.embeddings', 'grad.pooler.dense.bias', 'loss']);
    expect(report.comparisons.map(({ tensor, ok }) => [tensor, ok])).toEqual([['last_hidden_state', true]]);
  });

  it('is not satisfied with nothing', () => {
    expect(compareWithReference(reference({}), new Map()).ok).toBe(false);
    expect(compareWithReference(reference({ loss: f64([1], []) }), new Map())).toMatchObject({
      ok: false,
      skipped: ['loss'],
    });
  });

  it('leaves out an output of which every position is masked', () => {
    const masked = { attention_mask: i64([0, 0, 0, 0, 0, 0], [2, 3]) };
    const actual = given({ last_hidden_state: { data: [1, 2, 3, 4, 5, 6], shape: [2, 3, 1] } });
    const report = compareWithReference(reference({ last_hidden_state: states }, masked), actual);
    expect(report).toEqual({ ok: false, comparisons: [], missing: [], skipped: ['last_hidden_state'] });
  });

  it('keeps the order in which outputs are given', () => {
    const target = reference({ a_logits: states, b_logits: states, c_logits: states });
    const x = { data: [1, 2, 3, 4, 5, 6], shape: [2, 3, 1] };
    const { comparisons } = compareWithReference(target, given({ c_logits: x, a_logits: x, more: x, b_logits: x }));
    expect(comparisons.map(({ tensor }) => tensor)).toEqual(['c_logits', 'a_logits', 'b_logits']);
  });
});

describe('parseReference', () => {
  const parse = (tensors: Record<string, TensorInput>) => parseReference(writeSafetensors(tensors), 'r');
  const ids = i64([1, 2, 3, 4], [2, 2]);

  it('reads sequences; without a mask every position counts', () => {
    const { inputs, mask, sequences, columns, choices } = parse({ input_ids: ids });
    expect(inputs).toEqual({
      inputIds: [Int32Array.of(1, 2), Int32Array.of(3, 4)],
      attentionMask: undefined,
      tokenTypeIds: undefined,
      positionIds: undefined,
    });
    expect([[...mask], sequences, columns, choices]).toEqual([[1, 1, 1, 1], 2, 2, 1]);
  });

  it('unrolls choices, and repeats a single row of positions', () => {
    const { inputs, choices, sequences } = parse({ input_ids: i64([1, 2, 3, 4, 5, 6], [1, 3, 2]) });
    expect([inputs.inputIds, choices, sequences]).toEqual([
      [Int32Array.of(1, 2), Int32Array.of(3, 4), Int32Array.of(5, 6)],
      3,
      3,
    ]);
    const { positionIds } = parse({ input_ids: ids, position_ids: i64([7, 8], [1, 2]) }).inputs;
    expect(positionIds).toEqual([Int32Array.of(7, 8), Int32Array.of(7, 8)]);
  });

  it('names what is missing or does not fit', () => {
    expect(() => parse({ logits: f64([1], [1]) })).toThrow(
      'r: input_ids: expected a tensor [batch, tokens], or [batch, choices, tokens], got none',
    );
    expect(() => parse({ input_ids: i64([1], [1]) })).toThrow('or [batch, choices, tokens], got [1]');
    expect(() => parse({ input_ids: ids, token_type_ids: i64([1, 2], [1, 2]) })).toThrow(
      'r: token_type_ids: expected the shape of input_ids, [2, 2], got [1, 2]',
    );
    expect(() => parse({ input_ids: ids, attention_mask: i64([1, 1, 1, 1, 1, 1, 1, 1], [2, 2, 2]) })).toThrow(
      'r: attention_mask: expected the shape of input_ids, [2, 2], got [2, 2, 2]; ' +
        'mask whole tokens; masks between pairs are not supported',
    );
  });
});

describe('toMatchTensor', () => {
  it('passes within the tolerance', () => {
    expect(vector(1, 2)).toMatchTensor(vector(1, 2 + 1e-5));
    expect(vector(1, 2)).not.toMatchTensor(vector(1, 2.1));
    expect(vector(1, 2)).toMatchTensor(vector(1, 2.1), { tolerance: 0.2, absolute: true });
  });

  it('says how far off it is, and where', () => {
    expect(() => expect(vector(1, 2)).toMatchTensor(vector(1, 4))).toThrow(
      'tensor [2]: max error 2.00e+0 at [1], 5.00e-1 of the largest value, rms 1.41e+0; ' +
        'tolerance 0.00001 (of the largest value)',
    );
    expect(() => expect(vector(1, 2)).toMatchTensor(vector(1, 4), { tolerance: 0.5, absolute: true })).toThrow(
      'tolerance 0.5 (absolute)',
    );
    expect(() => expect(vector(1)).not.toMatchTensor({ data: [1], shape: [1, 1] })).toThrow(InputError);
  });
});

import { describe, expect, it } from 'vitest';
import {
  BertForMultipleChoice,
  BertForQuestionAnswering,
  BertForSequenceClassification,
  BertModel,
  padAttentions,
  padTokens,
  padded,
} from '../../src/bert/index.ts';
import { ConfigError, InputError, ShapeError } from '../../src/errors.ts';
import { PackedBatch, type ModelInputs } from '../../src/layers/index.ts';
import {
  Engine,
  randomStream,
  randomUniform,
  referenceKernels,
  type Kernels,
  type Tensor,
} from '../../src/tensor/index.ts';
import { modelFiles } from '../support/fixtures.ts';

const loaded = async (kernels: 'reference' | 'simd', dtype: 'f32' | 'q8') =>
  BertModel.fromPretrained(modelFiles('base'), { engine: new Engine({ kernels }), dtype });
const models = {
  'reference f32': await loaded('reference', 'f32'),
  'reference q8': await loaded('reference', 'q8'),
  'simd f32': await loaded('simd', 'f32'),
  'simd q8': await loaded('simd', 'q8'),
};
const model = models['simd f32'];
const [VOCABULARY, LONGEST] = [61, 40];

/** Whole numbers below `limit`, the same in every run. */
function numbers(length: number, limit: number, name: string): number[] {
  const stream = randomStream(51, name);
  return Array.from({ length }, (_, n) => Math.floor(limit * randomUniform(stream, n)));
}

/** 24 sequences of 1 to 40 tokens, shuffled lengths. */
const sequences = numbers(24, LONGEST, 'lengths').map((length, s) => ({
  ids: numbers(length + 1, VOCABULARY, `ids ${s}`),
  types: numbers(length + 1, 2, `types ${s}`),
}));
const inputsOf = (some: typeof sequences): ModelInputs => ({
  inputIds: some.map(({ ids }) => ids),
  tokenTypeIds: some.map(({ types }) => types),
});

const everything = { outputHiddenStates: true, outputAttentions: true };

/** Everything that a model says of one sequence of a batch, as plain numbers. */
function outputOf(model: BertModel, inputs: ModelInputs, sequence: number) {
  const output = model.forward(inputs, everything);
  const [begin, end] = output.batch.offsets.subarray(sequence, sequence + 2);
  const tokens = (x: Tensor) => [...x.data.subarray(24 * begin, 24 * end)];
  const length = end - begin;
  const attentions = output.attentions!.map((x) => {
    const [heads, squares] = x.shape;
    const before = Array.from({ length: sequence }, (_, s) => output.batch.lengthOf(s) ** 2).reduce((a, b) => a + b, 0);
    return Array.from({ length: heads }, (_, head) => {
      const from = head * squares + before;
      return [...x.data.subarray(from, from + length ** 2)];
    });
  });
  return {
    hiddenStates: output.hiddenStates!.map(tokens),
    lastHiddenState: tokens(output.lastHiddenState),
    poolerOutput: [...output.poolerOutput!.data.subarray(24 * sequence, 24 * (sequence + 1))],
    attentions,
  };
}

describe.each(Object.entries(models))('a batch, %s', (_, model) => {
  const ofSequence = (inputs: ModelInputs, sequence: number) => outputOf(model, inputs, sequence);

  it('gives each sequence the bits that it gets alone, whatever its length', () => {
    const inputs = inputsOf(sequences);
    for (const [s, sequence] of sequences.entries()) {
      expect(ofSequence(inputs, s)).toEqual(ofSequence(inputsOf([sequence]), 0));
    }
  });

  it('gives the same bits in any order', () => {
    const order = sequences.map((_, s) => (7 * s + 3) % sequences.length); // 7 and 24 have no common divisor
    const shuffled = inputsOf(order.map((s) => sequences[s]));
    for (const [place, s] of order.entries())
      expect(ofSequence(shuffled, place)).toEqual(ofSequence(inputsOf(sequences), s));
  });

  it('gives the same bits with padding on the right', () => {
    const padding = <T>(row: T[], filler: T): T[] => [
      ...row,
      ...Array.from({ length: LONGEST - row.length }, () => filler),
    ];
    const inputs: ModelInputs = {
      inputIds: sequences.map(({ ids }) => padding(ids, 60)),
      tokenTypeIds: sequences.map(({ types }) => padding(types, 1)),
      attentionMask: sequences.map(({ ids }) =>
        padding(
          ids.map(() => 1),
          0,
        ),
      ),
    };
    for (const s of [0, 5, 23]) expect(ofSequence(inputs, s)).toEqual(ofSequence(inputsOf(sequences), s));
  });

  it('gives tokens among holes, or after padding on the left, what their columns as position ids give', () => {
    const attentionMask = [
      [0, 0, 1, 1, 1, 1],
      [1, 0, 1, 1, 0, 1],
    ];
    const [a, b] = [numbers(6, VOCABULARY, 'a'), numbers(6, VOCABULARY, 'b')];
    const masked: ModelInputs = { inputIds: [a, b], attentionMask };
    const kept = attentionMask.map((row) => row.flatMap((mask, column) => (mask ? [column] : [])));
    const inputs: ModelInputs = { inputIds: [a, b].map((row, s) => kept[s].map((c) => row[c])), positionIds: kept };
    for (const s of [0, 1]) expect(ofSequence(masked, s)).toEqual(ofSequence(inputs, s));
    const closedUp: ModelInputs = { inputIds: inputs.inputIds };
    expect(ofSequence(masked, 1)).not.toEqual(ofSequence(closedUp, 1)); // positions matter, so the test can fail
  });

  it('survives a sequence that is masked whole, which gets a finite pooled vector and disturbs no other', () => {
    const [first, second] = sequences;
    const ones = first.ids.map(() => 1);
    const inputs: ModelInputs = {
      inputIds: [first.ids, first.ids, second.ids],
      tokenTypeIds: [first.types, first.types, second.types],
      attentionMask: [ones, first.ids.map(() => 0), second.ids.map(() => 1)],
    };
    expect(ofSequence(inputs, 0)).toEqual(ofSequence(inputsOf([first]), 0));
    expect(ofSequence(inputs, 2)).toEqual(ofSequence(inputsOf([second]), 0));
    const { poolerOutput, lastHiddenState } = ofSequence(inputs, 1);
    expect(lastHiddenState).toEqual([]);
    expect(poolerOutput.every((x) => Math.abs(x) <= 1)).toBe(true);
  });

  it('may be of nothing', () => {
    for (const inputIds of [[], [[]], [[], []]]) {
      const { lastHiddenState, poolerOutput } = padded(model.forward({ inputIds }, everything));
      expect(lastHiddenState.shape).toEqual([inputIds.length, 0, 24]);
      expect(poolerOutput!.shape).toEqual([inputIds.length, 24]);
      expect(poolerOutput!.data.every(Number.isFinite)).toBe(true);
    }
  });
});

describe('outputs', () => {
  const inputs: ModelInputs = { inputIds: [[1, 2, 3], [4]] };

  it('are the hidden states and attentions only when asked for', () => {
    const { hiddenStates, attentions, ...rest } = model.forward(inputs);
    expect([hiddenStates, attentions]).toEqual([undefined, undefined]);
    expect(Object.keys(rest)).toEqual(['batch', 'lastHiddenState', 'poolerOutput']);
    const all = model.forward(inputs, everything);
    expect(all.hiddenStates).toHaveLength(3);
    expect(all.hiddenStates![2]).toBe(all.lastHiddenState);
    expect(all.attentions).toHaveLength(2);
    expect(all.lastHiddenState.data).toEqual(rest.lastHiddenState.data);
  });

  it('have attentions that sum to 1', () => {
    const { attentions } = padded(model.forward(inputs, everything));
    const [first] = attentions!;
    expect(first.shape).toEqual([2, 3, 3, 3]);
    for (const row of (first.toArray() as number[][][][])[0].flat()) {
      expect(row[0] + row[1] + row[2]).toBeCloseTo(1, 6);
    }
    expect((first.toArray() as number[][][][])[1]).toEqual(
      [0, 1, 2].map(() => [
        [1, 0, 0],
        [0, 0, 0],
        [0, 0, 0],
      ]),
    );
  });

  it('belong to the caller: the scope that made them has let them go, and all else is given back', () => {
    const made: Tensor[] = [];
    const stop = model.observe((_, output) => made.push(output as Tensor));
    const { lastHiddenState, poolerOutput } = model.forward(inputs);
    stop();
    expect([lastHiddenState.scope, poolerOutput!.scope]).toEqual([null, null]);
    expect(() => made[0].data).toThrow('use after that scope closed');
  });

  it('of a head leave nothing else behind', async () => {
    const classifier = await BertForSequenceClassification.fromPretrained(modelFiles('sequenceClassification'));
    const answerer = await BertForQuestionAnswering.fromPretrained(modelFiles('questionAnswering'));
    for (const head of [classifier, answerer]) {
      const made: Tensor[] = [];
      const stop = head.bert.observe(
        (_, output) => 'lastHiddenState' in (output as object) || made.push(output as Tensor),
      );
      const output = head.forward(inputs);
      stop();
      for (const tensor of made) expect(() => tensor.data).toThrow('use after that scope closed');
      const left = Object.values(output).filter((value) => value !== output.batch && value !== 'sequence') as Tensor[];
      expect(left.every(({ data }) => data.every(Number.isFinite))).toBe(true);
    }
  });
});

describe('padding of outputs', () => {
  const engine = new Engine();
  const batch = new PackedBatch({
    inputIds: [
      [1, 2, 3],
      [4, 5, 6],
    ],
    attentionMask: [
      [0, 1, 1],
      [1, 0, 0],
    ],
  });

  it('puts rows back in their columns', () => {
    expect(padTokens(engine.tensor([1, 2, 3, 4, 5, 6], [3, 2]), batch).toArray()).toEqual([
      [
        [0, 0],
        [1, 2],
        [3, 4],
      ],
      [
        [5, 6],
        [0, 0],
        [0, 0],
      ],
    ]);
    expect(padTokens(engine.tensor([1, 2, 3], [3]), batch).toArray()).toEqual([
      [0, 1, 2],
      [3, 0, 0],
    ]);
  });

  it('puts attentions back in their rows and columns', () => {
    // Two heads; the first sequence has 2 × 2 probabilities, the second one.
    const x = engine.tensor([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [2, 5]);
    expect(padAttentions(x, batch).toArray()).toEqual([
      [
        [
          [0, 0, 0],
          [0, 1, 2],
          [0, 3, 4],
        ],
        [
          [0, 0, 0],
          [0, 6, 7],
          [0, 8, 9],
        ],
      ],
      [
        [
          [5, 0, 0],
          [0, 0, 0],
          [0, 0, 0],
        ],
        [
          [10, 0, 0],
          [0, 0, 0],
          [0, 0, 0],
        ],
      ],
    ]);
  });

  it('are refused for another batch', () => {
    const batch = new PackedBatch({ inputIds: [[1, 2, 3], [4]] });
    const engine = new Engine();
    expect(padTokens(engine.zeros([4, 2]), batch).shape).toEqual([2, 3, 2]);
    for (const shape of [[3, 2], [5], []]) {
      expect(() => padTokens(engine.zeros(shape), batch)).toThrow(ShapeError);
      expect(() => padTokens(engine.zeros(shape), batch)).toThrow(/rows of x: expected 4, of the same batch, got /);
    }
    expect(padAttentions(engine.zeros([2, 10]), batch).shape).toEqual([2, 2, 3, 3]);
    for (const shape of [[2, 9], [2, 16], [10]]) {
      expect(() => padAttentions(engine.zeros(shape), batch)).toThrow(/columns of x: expected 10, of the same batch/);
    }
  });

  it('pads what is per token, and leaves what is per sequence', async () => {
    const classifier = await BertForSequenceClassification.fromPretrained(modelFiles('sequenceClassification'));
    const inputs: ModelInputs = { inputIds: [[1, 2, 3], [4]] };
    const output = classifier.forward(inputs, everything);
    const result = padded(output);
    expect(result.logits).toBe(output.logits);
    expect(result.hiddenStates!.map(({ shape }) => shape)).toEqual([
      [2, 3, 24],
      [2, 3, 24],
    ]);
    expect(output.hiddenStates![0].shape).toEqual([4, 24]); // the output itself is not changed
    const answerer = await BertForQuestionAnswering.fromPretrained(modelFiles('questionAnswering'));
    expect(padded(answerer.forward(inputs)).startLogits.shape).toEqual([2, 3]);
  });
});

describe('inputs out of limits are refused before any kernel runs', () => {
  const calls: string[] = [];
  const counting = new Proxy(referenceKernels, {
    get(kernels, name: keyof Kernels) {
      if (name !== 'name') calls.push(name);
      return kernels[name];
    },
  });

  const faults: [fault: string, inputs: ModelInputs, message: string][] = [
    [
      'a sequence longer than the position table',
      { inputIds: [[1], Array.from({ length: 41 }, () => 1)] },
      'longest sequence of the batch: expected at most 40 tokens (max_position_embeddings), got 41; ' +
        'truncate when tokenizing (maxLength), or split the text',
    ],
    [
      'an id past the vocabulary',
      { inputIds: [[1, 61]] },
      'inputIds of sequence 0, token 1: expected 0 to 60, got 61; use the tokenizer',
    ],
    [
      'one after a masked token of the second sequence',
      { inputIds: [[1], [2, 3, 99]], attentionMask: [[1], [1, 0, 1]] },
      'inputIds of sequence 1, token 2: expected 0 to 60, got 99',
    ],
    ['a negative id', { inputIds: [[-1]] }, 'inputIds of sequence 0, token 0: expected 0 to 60, got -1'],
    [
      'a token type past its table',
      { inputIds: [[1]], tokenTypeIds: [[2]] },
      'tokenTypeIds of sequence 0, token 0: expected 0 to 1, got 2; keep to the segments that the model knows (type_vocab_size',
    ],
    [
      'a position past its table',
      { inputIds: [[1]], positionIds: [[40]] },
      'positionIds of sequence 0, token 0: expected 0 to 39, got 40; keep to the position table (max_position_embeddings',
    ],
  ];

  it.each(faults)('%s', async (_, inputs, message) => {
    const engine = new Engine({ kernels: counting });
    const counted = await BertModel.fromPretrained(modelFiles('base'), { engine });
    calls.length = 0;
    expect(() => counted.forward(inputs)).toThrow(InputError);
    expect(() => counted.forward(inputs)).toThrow(message);
    expect(calls).toEqual([]);
    counted.forward({ inputIds: [[1, 60]] });
    expect(calls[0]).toBe('embeddingSum');
  });

  it('so are inputs that are none, and options that there are not', () => {
    for (const inputs of [undefined, null, 5] as unknown as ModelInputs[]) {
      expect(() => model.forward(inputs)).toThrow(InputError);
      expect(() => model.forward(inputs)).toThrow(/^inputIds: expected an array, got undefined; .*inputIds: \[\[101/);
    }
    for (const options of [null, 5, { output_attentions: true }] as object[]) {
      expect(() => model.forward({ inputIds: [[1]] }, options)).toThrow(ConfigError);
    }
    const multipleChoice = new BertForMultipleChoice(model.config);
    expect(() => multipleChoice.forward({ inputIds: [[1]] }, null as unknown as object)).toThrow(ConfigError);
  });

  it('takes a longer one whose position ids are in the table', () => {
    const inputIds = [Array.from({ length: 60 }, () => 1)];
    const positionIds = [inputIds[0].map((_, column) => column % LONGEST)];
    expect(model.forward({ inputIds, positionIds }).lastHiddenState.shape).toEqual([60, 24]);
  });

  it('takes a sequence of exactly the longest length', () => {
    const inputIds = [Array.from({ length: LONGEST }, () => 1)];
    expect(model.forward({ inputIds }).lastHiddenState.shape).toEqual([40, 24]);
  });
});

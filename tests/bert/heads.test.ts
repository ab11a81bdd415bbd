import { describe, expect, it } from 'vitest';
import {
  AlbertForPreTraining,
  BertConfig,
  BertForMaskedLM,
  BertForMultipleChoice,
  BertForPreTraining,
  BertForSequenceClassification,
  BertForTokenClassification,
  randomWeights,
  type AnyOutput,
  type BertPreTrainedModel,
  type ModelClass,
  type PredictionOptions,
} from '../../src/bert/index.ts';
import { InputError } from '../../src/errors.ts';
import { MemoryFiles } from '../../src/hub/index.ts';
import { parseSafetensors, writeSafetensors, type TensorInput } from '../../src/safetensors/index.ts';
import { fileContents, modelFiles, readFixture } from '../support/fixtures.ts';

const small = { vocabSize: 60, hiddenSize: 24, numHiddenLayers: 1, numAttentionHeads: 3, intermediateSize: 37 };
const inputs = { inputIds: [[1, 2, 3], [4]] };

// Their numbers are compared with PyTorch's in parity.test.ts.
describe('heads', () => {
  it('give as many logits as there are labels, per sequence or per token', () => {
    const config = new BertConfig({ ...small, id2label: ['a', 'b', 'c', 'd', 'e'] });
    const ofSequence = new BertForSequenceClassification(config).forward(inputs);
    expect([ofSequence.logits.shape, ofSequence.logitsPer]).toEqual([[2, 5], 'sequence']);
    const ofToken = new BertForTokenClassification(config).forward(inputs);
    expect([ofToken.logits.shape, ofToken.logitsPer]).toEqual([[4, 5], 'token']);
  });

  it('drop out before the classifier as classifier_dropout says, else as hidden_dropout_prob', () => {
    const dropout = (options: object) =>
      new BertForSequenceClassification(new BertConfig({ ...small, ...options })).dropout.probability;
    expect(dropout({ hiddenDropoutProb: 0.2 })).toBe(0.2);
    expect(dropout({ hiddenDropoutProb: 0.2, classifierDropout: 0.3 })).toBe(0.3);
    expect(dropout({ hiddenDropoutProb: 0.2, classifierDropout: 0 })).toBe(0);
  });

  it('of multiple choice take whole questions', () => {
    const model = new BertForMultipleChoice(new BertConfig(small));
    expect(model.forward(inputs, { choices: 2 }).logits.shape).toEqual([1, 2]);
    expect(model.forward(inputs).logits.shape).toEqual([2, 1]);
    expect(() => model.forward(inputs, { choices: 3 })).toThrow(InputError);
    expect(() => model.forward(inputs, { choices: 3 })).toThrow(
      'BertForMultipleChoice: number of sequences: expected a multiple of 3 choices, got 2',
    );
  });
});

describe('labels', () => {
  it.each([0.7, NaN, -0.5, 2 ** 32])('of sequences are classes, not %d', (label) => {
    const config = new BertConfig({ ...small, id2label: ['a', 'b'] });
    const classifier = new BertForSequenceClassification(config, randomWeights(config));
    const expected = 'expected 2 whole numbers, got';
    expect(() => classifier.loss(classifier.forward(inputs), { labels: [1, label] })).toThrow(`labels: ${expected}`);
    const pairs = new BertForPreTraining(config, randomWeights(config));
    const labels = { labels: [[5, -100, 7], [9]], nextSentenceLabel: [label, 0] };
    expect(() => pairs.loss(pairs.forward(inputs), labels)).toThrow(`nextSentenceLabel: ${expected}`);
  });
});

describe('scores of words for some tokens alone', () => {
  const every = [BertForMaskedLM, BertForPreTraining, AlbertForPreTraining] as ModelClass<BertPreTrainedModel>[];
  it.each(every.map((model) => [model.name, model] as const))('are those among all, bit for bit: %s', (_, model) => {
    const config = new model.configClass(small);
    const built = new model(config, randomWeights(config));
    const rows = ({ logits, predictionLogits }: AnyOutput) => predictionLogits ?? logits!;
    const all = rows(built.forward(inputs));
    const options: PredictionOptions = { predictionTokens: Int32Array.of(3, 1) };
    const output: AnyOutput = built.forward(inputs, options);
    expect(rows(output).shape).toEqual([2, 60]);
    const rowOf = (token: number) => [...all.data.slice(60 * token, 60 * (token + 1))];
    expect([...rows(output).data]).toEqual([...rowOf(3), ...rowOf(1)]);
    expect(rows(built.forward(inputs, { predictionTokens: new Int32Array(0) } as PredictionOptions)).shape).toEqual([0, 60]); // prettier-ignore
    expect(() => built.forward(inputs, { predictionTokens: Int32Array.of(4) } as PredictionOptions)).toThrow(/predictionTokens: expected an Int32Array of 0 to 3, got 4/); // prettier-ignore
    if (model === BertForMaskedLM) {
      expect(output.logitsPer).toBe('predictionToken');
      const labels = { labels: [[5, -100, 7], [9]] };
      const whole = built.loss(built.forward(inputs, { predictionTokens: Int32Array.of(0, 2, 3) } as PredictionOptions), { labels: [5, 7, 9] }); // prettier-ignore
      expect(whole.data[0]).toBeCloseTo(built.loss(built.forward(inputs), labels).data[0], 6);
    }
  });
});

describe('the output matrix and bias of a masked language model', () => {
  const [decoder, words] = ['cls.predictions.decoder.weight', 'bert.embeddings.word_embeddings.weight'];

  function load(tied: boolean, change: (tensors: Map<string, TensorInput>) => void): Promise<BertForMaskedLM> {
    const stored = parseSafetensors(readFixture('bert/maskedLanguageModel/model.safetensors')).tensors;
    const tensors = new Map<string, TensorInput>(stored);
    change(tensors);
    const files = fileContents('maskedLanguageModel', { changes: { tie_word_embeddings: tied } });
    return BertForMaskedLM.fromPretrained(
      new MemoryFiles({ ...files, 'model.safetensors': writeSafetensors(tensors) }),
    );
  }
  const isTied = ({ predictions, bert }: BertForMaskedLM) =>
    predictions.decoderWeight === bert.embeddings.wordEmbeddings.weight;

  it('are shared when the config ties them, with a copy of the matrix in the file or without', async () => {
    expect(isTied(await load(true, (tensors) => tensors.delete(decoder)))).toBe(true);
    expect(isTied(await load(true, (tensors) => tensors.set(decoder, tensors.get(words)!)))).toBe(true);
  });

  it('are their own when the file brings others, as in transformers, or when the config does not tie them', async () => {
    const other: TensorInput = { data: new Float32Array(61 * 24), shape: [61, 24] };
    expect(isTied(await load(true, (tensors) => tensors.set(decoder, other)))).toBe(false);
    expect(isTied(await load(false, (tensors) => tensors.set(decoder, tensors.get(words)!)))).toBe(false);
  });

  it('take the bias of the decoder only when nothing is tied', async () => {
    const ones: TensorInput = { data: new Float32Array(61).fill(1), shape: [61] };
    const bias = async (tied: boolean) => {
      const model = await load(tied, (tensors) =>
        tensors.set(decoder, tensors.get(words)!).set('cls.predictions.decoder.bias', ones),
      );
      return model.predictions.decoderBias!;
    };
    expect((await bias(true)).name).toBe('cls.predictions.bias');
    expect((await bias(true)).data).not.toEqual(ones.data);
    expect((await bias(false)).name).toBe('cls.predictions.decoder.bias');
    expect((await bias(false)).data).toEqual(ones.data);
  });

  it('take the only bias that there is, under either name', async () => {
    for (const tied of [true, false]) {
      const only = async (kept: string, dropped: string) => {
        const model = await load(tied, (tensors) => {
          tensors.set(kept, tensors.get('cls.predictions.bias')!).set(decoder, tensors.get(words)!).delete(dropped);
        });
        expect(model.predictions.decoderBias!.name).toBe(kept);
      };
      await only('cls.predictions.decoder.bias', 'cls.predictions.bias');
      await only('cls.predictions.bias', 'cls.predictions.decoder.bias');
    }
  });

  it('come from the fixture as they should', async () => {
    expect(isTied(await BertForMaskedLM.fromPretrained(modelFiles('maskedLanguageModel')))).toBe(true);
  });
});

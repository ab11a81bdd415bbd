import { describe, expect, it } from 'vitest';
import { BertForMaskedLM, BertForSequenceClassification, BertModel, type BertLayer } from '../../src/bert/index.ts';
import type { MatrixParameter, Module, MultiHeadSelfAttention } from '../../src/layers/index.ts';
import {
  compareWithReference,
  firstDivergingModule,
  parseReference,
  runReference,
  type Reference,
} from '../../src/parity/index.ts';
import { writeSafetensors } from '../../src/safetensors/index.ts';
import { loadReference, modelFiles } from '../support/fixtures.ts';

const attentionOf = ({ attention }: BertLayer) => attention as MultiHeadSelfAttention;

const everything = { hiddenStates: true, attentions: true, activations: true };
const base = () => BertModel.fromPretrained(modelFiles('base'));

function firstDiverging(model: BertModel, reference: Reference, options = everything): string | null {
  return firstDivergingModule(compareWithReference(reference, runReference(model, reference, options)));
}

/** A model with one thing wrong in it. */
async function broken(breakIt: (model: BertModel) => void): Promise<BertModel> {
  const model = await base();
  breakIt(model);
  return model;
}

/** Adds an error to the first weight of a matrix. */
function addToFirst(weight: MatrixParameter, error: number): void {
  const { data } = weight.toTensor();
  data[0] += error;
  weight.set(data);
}

/** Adds a small error to one number of what a module returns. */
function nudge(module: Module): void {
  const forward = module.forward as (...inputs: unknown[]) => { data: Float32Array };
  module.forward = (...inputs: unknown[]) => {
    const output = forward.apply(module, inputs);
    output.data[30] += 0.01;
    return output;
  };
}

describe('the first diverging module', () => {
  const reference = loadReference('base', 'f32');

  it('is none when all is well', async () => {
    expect(firstDiverging(await base(), reference)).toBeNull();
  });

  const breaks: [mistake: string, module: string, breakIt: (model: BertModel) => void][] = [
    [
      'Q and K swapped',
      'encoder.layer.1.attention.self.query',
      ({ encoder }) => {
        const { query, key } = attentionOf(encoder.layers[1]);
        const kept = query.weight.toTensor();
        query.weight.set(key.weight.toTensor().data);
        key.weight.set(kept.data);
      },
    ],
    [
      'a wrong key bias',
      'encoder.layer.0.attention.self.key',
      ({ encoder }) => {
        attentionOf(encoder.layers[0]).key.bias!.data[3] += 0.01;
      },
    ],
    [
      "an error in the attention's output",
      'encoder.layer.1.attention.output.dense',
      ({ encoder }) => {
        encoder.layers[1].attentionOutput.bias!.data[0] += 0.01;
      },
    ],
    [
      'another eps',
      'encoder.layer.0.attention.output.LayerNorm',
      ({ encoder }) => {
        Object.assign(encoder.layers[0].attentionNorm!, { eps: 1e-2 });
      },
    ],
    [
      'tanh GELU',
      'encoder.layer.0.intermediate',
      ({ encoder }) => {
        Object.assign(encoder.layers[0].feedForward, { activation: 'gelu_new' });
      },
    ],
    [
      'a feed-forward without its residual',
      'encoder.layer.1.output.LayerNorm',
      ({ encoder }) => {
        const norm = encoder.layers[1].outputNorm;
        const forward = norm.forward.bind(norm);
        norm.forward = (x) => forward(x);
      },
    ],
    [
      'a wrong embedding norm',
      'embeddings.LayerNorm',
      ({ embeddings }) => {
        embeddings.norm.bias!.data[0] += 0.01;
      },
    ],
    ["an error after the embeddings' norm", 'embeddings', ({ embeddings }) => nudge(embeddings)],
    [
      'a wrong pooler',
      'pooler',
      ({ pooler }) => {
        addToFirst(pooler!.dense.weight, 0.1);
      },
    ],
  ];

  it.each(breaks)('of %s is %s', async (_, module, breakIt) => {
    expect(firstDiverging(await broken(breakIt), reference)).toBe(module);
  });

  it('of a wrong head count is the attention', async () => {
    const model = await broken(({ encoder }) => void Object.assign(encoder.layers[0].attention, { heads: 1 }));
    const withoutAttentions = { ...everything, attentions: false }; // whose shape would be refused
    expect(firstDiverging(model, reference, withoutAttentions)).toBe('encoder.layer.0.attention.self');
  });

  it('is a layer, or its attention, when hidden states and attentions are all there is', async () => {
    const coarse = { hiddenStates: true, attentions: true, activations: false };
    const key = await broken(({ encoder }) => addToFirst(attentionOf(encoder.layers[1]).key.weight, 0.5));
    expect(firstDiverging(key, reference, coarse)).toBe('encoder.layer.1.attention.self');
    const value = await broken(({ encoder }) => addToFirst(attentionOf(encoder.layers[0]).value.weight, 0.5));
    expect(firstDiverging(value, reference, coarse)).toBe('encoder.layer.0');
    const norm = await broken(({ embeddings }) => void (embeddings.norm.bias!.data[0] += 0.01));
    expect(firstDiverging(norm, reference, coarse)).toBe('embeddings');
  });

  it('is the embeddings when token types are ignored or positions shifted', async () => {
    const model = await base();
    const run = (inputs: Partial<Reference['inputs']>) => {
      const given = { ...reference, inputs: { ...reference.inputs, ...inputs } };
      return firstDivergingModule(compareWithReference(reference, runReference(model, given, everything)));
    };
    expect(run({ tokenTypeIds: undefined })).toBe('embeddings.LayerNorm');
    const shifted = Array.from(reference.inputs.inputIds, (row) => Array.from(row, (_, column) => column + 1));
    expect(run({ positionIds: shifted })).toBe('embeddings.LayerNorm');
    expect(run({ attentionMask: undefined })).toBe('encoder.layer.0.attention.self'); // the first to mix tokens
  });

  it('is the output itself for a head', async () => {
    const model = await BertForSequenceClassification.fromPretrained(modelFiles('sequenceClassification'));
    model.classifier.bias!.data[0] += 0.1;
    const target = loadReference('sequenceClassification', 'f32');
    const report = compareWithReference(target, runReference(model, target, everything));
    expect(firstDivergingModule(report)).toBe('logits');
  });
});

describe('runReference', () => {
  const reference = loadReference('base', 'f32');

  it('gives outputs in the order in which they are computed', async () => {
    const names = [...runReference(await base(), reference, everything).keys()];
    const order = [
      'activations.embeddings.LayerNorm',
      'activations.embeddings',
      'hidden_states.0',
      'activations.encoder.layer.0.attention.self.query',
      'activations.encoder.layer.0.attention.self.key',
      'activations.encoder.layer.0.attention.self.value',
      'activations.encoder.layer.0.attention.self',
      'attentions.0',
      'activations.encoder.layer.0.attention.output.dense',
      'activations.encoder.layer.0.attention.output.LayerNorm',
      'activations.encoder.layer.0.intermediate',
      'activations.encoder.layer.0.output.dense',
      'activations.encoder.layer.0.output.LayerNorm',
      'activations.encoder.layer.0',
      'hidden_states.1',
    ];
    expect(names.slice(0, order.length)).toEqual(order);
    expect(names.slice(-4)).toEqual([
      'activations.encoder',
      'last_hidden_state',
      'activations.pooler',
      'pooler_output',
    ]);
  });

  it('gives only what is asked for', async () => {
    const model = await base();
    expect([...runReference(model, reference).keys()]).toEqual(['last_hidden_state', 'pooler_output']);
    const states = [...runReference(model, reference, { hiddenStates: true }).keys()];
    expect(states).toEqual([
      'hidden_states.0',
      'hidden_states.1',
      'hidden_states.2',
      'last_hidden_state',
      'pooler_output',
    ]);
  });

  it('pads with zeros, and copies: the numbers stay when the model is used again', async () => {
    const model = await base();
    const outputs = runReference(model, reference, everything);
    const before = new Map([...outputs].map(([name, { data }]) => [name, [...data]]));
    model.forward({ inputIds: [[5, 6, 7]] });
    runReference(model, { ...reference, inputs: { inputIds: reference.inputs.inputIds } }, everything);
    for (const [name, { data }] of outputs) expect([...data]).toEqual(before.get(name));
    const { data, shape } = outputs.get('last_hidden_state')!;
    expect(shape).toEqual([3, 11, 24]);
    reference.mask.forEach((kept, token) => {
      expect(data.subarray(24 * token, 24 * token + 24).some((x) => x !== 0)).toBe(kept === 1);
    });
  });

  it("calls a fused activation's output by the name that PyTorch has for it", async () => {
    const model = await BertForMaskedLM.fromPretrained(modelFiles('maskedLanguageModel'));
    const target = loadReference('maskedLanguageModel', 'f32');
    const names = [...runReference(model, target, everything).keys()];
    expect(names).toContain('activations.cls.predictions.transform.transform_act_fn');
    expect(names).toContain('activations.bert.encoder.layer.0.intermediate');
    expect(names.filter((name) => /(intermediate|transform|pooler)\.dense$/.test(name))).toEqual([]);
  });

  it('gives an empty batch the columns of the file', async () => {
    const ids = { data: new BigInt64Array(0), shape: [0, 4] };
    const outputs = runReference(await base(), parseReference(writeSafetensors({ input_ids: ids })), everything);
    const shapes = ['last_hidden_state', 'hidden_states.1', 'attentions.0', 'pooler_output'].map(
      (name) => outputs.get(name)!.shape,
    );
    expect(shapes).toEqual([[0, 4, 24], [0, 4, 24], [0, 3, 4, 4], [0, 24]]); // prettier-ignore
  });

  it('leaves the model unobserved, also when it fails', async () => {
    const model = await base();
    const bad = { ...reference, inputs: { inputIds: [[999]] } };
    expect(() => runReference(model, bad, everything)).toThrow('got 999');
    expect(Object.hasOwn(model, 'forward')).toBe(false);
  });
});

import { describe, expect, it } from 'vitest';
import {
  loadAnyModel,
  type BertForMaskedLM,
  type BertForSequenceClassification,
  type BertModel,
  type BertPreTrainedModel,
} from '../../src/bert/index.ts';
import { columns } from '../../src/bert/families/family.ts';
import { positionsAfter } from '../../src/bert/families/roberta.ts';
import type { PackedBatch } from '../../src/layers/index.ts';
import { compareWithReference, runReference, type Reference } from '../../src/parity/index.ts';
import { Engine } from '../../src/tensor/index.ts';
import { classFiles, families, loadReference, referenceLabels } from '../support/fixtures.ts';

// Every class of every family but BERT (whose are in parity.test.ts) against PyTorch, whole tensors.

const engines = {
  reference: new Engine({ kernels: 'reference' }),
  simd: new Engine({ kernels: 'simd' }),
};
const float64 = new Engine({ dtype: 'float64' });
const everything = { hiddenStates: true, attentions: true, activations: true };

/** A label is a class, and, after a dot, the kind of its inputs. */
const cases = families.flatMap((family) => referenceLabels(`families/${family}`).map((label) => ({ family, label })));
const load = (family: string, label: string, engine: Engine, changes: Record<string, unknown> = {}) =>
  loadAnyModel(classFiles(family, label.split('.')[0], changes), { engine });

/** What a report came to, with the tensors that are off; `toEqual(allWithin)` then says which and how far. */
function verdict(reference: Reference, model: BertPreTrainedModel, tolerance: number) {
  const report = compareWithReference(reference, runReference(model, reference, everything), { tolerance });
  return { ok: report.ok, off: report.comparisons.filter(({ ok }) => !ok), missing: report.missing };
}
const allWithin = { ok: true, off: [], missing: [] };

describe.each(cases)('$family: $label', ({ family, label }) => {
  const reference = loadReference(`families/${family}`, 'f32', label);

  it.each(Object.entries(engines))('float32 equals PyTorch float32: %s', async (_, engine) => {
    const model = await load(family, label, engine);
    expect(verdict(reference, model, 1e-5)).toEqual(allWithin);
    expect(model.config.family.modelType).toBe(reference.metadata.get('model_type'));
  });
});

const float64Cases = families.flatMap((family) =>
  referenceLabels(`families/${family}`, 'f64').map((label) => ({ family, label })),
);
describe.each(float64Cases)('$family: $label', ({ family, label }) => {
  it('float64 equals PyTorch float64', async () => {
    const reference = loadReference(`families/${family}`, 'f64', label);
    expect(verdict(reference, await load(family, label, float64), 1e-12)).toEqual(allWithin);
  });
});

describe('what is compared', () => {
  it('is every reference', () => expect(cases.length).toBeGreaterThanOrEqual(30));

  it('is every output but the modules that this library fuses or does not have', async () => {
    const skipped = new Set<string>();
    for (const { family, label } of cases) {
      const reference = loadReference(`families/${family}`, 'f32', label);
      const outputs = runReference(await load(family, label, engines.simd), reference, everything);
      for (const name of compareWithReference(reference, outputs).skipped) {
        skipped.add(name.replace('activations.', '').replace(/\.\d+/g, '.N').replace(/@\d+$/, ''));
      }
    }
    const perLayer = (layer: string, ...modules: string[]) => modules.map((name) => `${layer}.${name}`);
    const albertLayer = 'encoder.albert_layer_groups.N.albert_layers.N';
    expect([...skipped].sort()).toEqual(
      [
        // three lookups are one sum
        ...perLayer('embeddings', 'word_embeddings', 'position_embeddings', 'token_type_embeddings'),
        // an activation is fused into its product, a residual into its norm
        ...perLayer('encoder.layer.N', 'attention', 'attention.output', 'output'),
        ...perLayer('encoder.layer.N.intermediate', 'dense', 'intermediate_act_fn'),
        ...perLayer('transformer.layer.N', 'attention', 'ffn', 'ffn.lin1'),
        ...perLayer(albertLayer, 'attention', 'ffn'),
        'encoder.albert_layer_groups.N',
        ...['pooler', 'pooler.dense', 'pooler.activation'],
        // likewise in heads, some of which are no module here; decoders are matrices
        ...['classifier', 'classifier.dense', 'classifier.activation', 'pre_classifier', 'sop_classifier'],
        ...['predictions.dense', 'predictions.decoder', 'lm_head.dense', 'lm_head.decoder'],
        ...['vocab_transform', 'activation', 'generator_predictions', 'generator_predictions.dense'],
        ...['sequence_summary', 'sequence_summary.activation', 'sequence_summary.first_dropout'],
        'sequence_summary.summary',
        'discriminator_predictions.dense',
        ...['cls', 'cls.predictions.decoder', 'cls.predictions.transform', 'cls.predictions.transform.dense'],
        ...['lm_predictions', 'lm_predictions.lm_head.dense', 'lm_predictions.lm_head.transform_act_fn'],
        ...['head', 'head.act', 'head.dense'],
        // tables and rows of distances are not of tokens; turns are tensors of another shape
        ...['encoder.relative_attention_bias', 'encoder.LayerNorm', 'encoder.conv.conv', 'rotary_emb'],
        ...perLayer('encoder.layer.N.attention.self', 'pos_proj', 'pos_q_proj', 'pos_key_proj', 'pos_query_proj'),
        ...perLayer('encoder.layer.N.attention.self', 'key_proj', 'query_proj'), // their second run, for distances
        // matrices of heads, among a pair of tokens each
        ...perLayer('encoder.layer.N.attention.self', 'head_logits_proj', 'head_weights_proj'),
        // gates are one with their products
        ...['embeddings.tok_embeddings', 'encoder.layer.N.attention.attn', 'layers.N.self_attn'],
        ...perLayer('layers.N', 'attn', 'attn.out_drop', 'attn_norm', 'mlp', 'mlp.act', 'mlp.act_fn', 'mlp.gate_proj'),
      ].sort(),
    );
  });
});

describe.each(cases.filter(({ label }) => !label.includes('.')))(
  'introspection: $family $label',
  ({ family, label }) => {
    const { inputs } = loadReference(`families/${family}`, 'f32', label);
    const choices = label.endsWith('MultipleChoice') ? { choices: inputs.inputIds.length } : {};

    it('states and attentions of every layer, and hooks that read or replace what a module gives', async () => {
      const model = await load(family, label, engines.simd);
      const { encoder } = 'bert' in model ? (model.bert as BertModel) : (model as BertModel);
      const forward = () => {
        const options = { outputHiddenStates: true, outputAttentions: true, ...choices };
        const output = model.forward(inputs, options);
        const [states, attentions] = [output.hiddenStates!, output.attentions!].map((x) =>
          x.map(({ data }) => [...data]),
        );
        return { states, attentions, tokens: output.batch.totalTokens, offsets: output.batch.offsets };
      };
      const before = forward();
      expect(before.states).toHaveLength(encoder.layers.length + 1);
      expect(before.attentions).toHaveLength(encoder.layers.length);
      const squares = Array.from(before.offsets.slice(1), (end, s) => (end - before.offsets[s]) ** 2);
      const pairs = squares.reduce((a, b) => a + b, 0);
      for (const layer of before.attentions) expect(layer).toHaveLength(model.config.numAttentionHeads * pairs);

      const [first] = encoder.layers;
      const shapes: (readonly number[])[] = [];
      const stopReading = model.hook(first.attention.name, ({ shape }) => void shapes.push(shape));
      const stopReplacing = model.hook(first.name, ({ engine, shape }) => engine.zeros(shape));
      const after = forward();
      expect(shapes[0]).toEqual([before.tokens, model.config.attentionSize]);
      expect(after.states[0]).toEqual(before.states[0]);
      expect(after.states[1].every((x) => x === 0)).toBe(encoder.afterFirstLayer === null);
      expect(after.states[1]).not.toEqual(before.states[1]);
      stopReading();
      stopReplacing();
      expect(forward()).toEqual(before);
    });
  },
);

const robertas = [
  ['roberta', 'RobertaModel'],
  ['xlmRoberta', 'XLMRobertaModel'],
  ['camembert', 'CamembertModel'],
] as const;

describe.each(Object.entries(engines))('a mistake shows: %s', (_, engine) => {
  /** The model of a label as a mistaken reader would have it. */
  const broken = async (family: string, label: string, breakIt: (model: BertPreTrainedModel) => void) => {
    const model = await load(family, label, engine);
    breakIt(model);
    return model;
  };
  const encoderOf = (model: BertPreTrainedModel) => model as BertModel;

  const mistakes: [mistake: string, family: string, label: string, model: () => Promise<BertPreTrainedModel>][] = [
    ...robertas.flatMap(([family, label]) =>
      ['', '.holes', '.left'].map((variant): (typeof mistakes)[number] => [
        'positions counted as in BERT',
        family,
        `${label}${variant}`,
        () => broken(family, label, (m) => Object.assign(encoderOf(m).embeddings, { positions: columns })),
      ]),
    ),
    ...robertas.map(([family, label]): (typeof mistakes)[number] => [
      'positions counted by the mask',
      family,
      `${label}.holes`,
      () =>
        broken(family, label, (m) =>
          Object.assign(encoderOf(m).embeddings, {
            positions: {
              ...positionsAfter(() => 1),
              ids: ({ offsets, columns }: PackedBatch) =>
                columns.map((_, t) => 2 + t - offsets.findLast((begin) => begin <= t)!),
            },
          }),
        ),
    ]),
    ...(['xlmRoberta', 'camembert'] as const).map((family): (typeof mistakes)[number] => [
      "a classifier with ELECTRA's activation",
      family,
      family === 'camembert' ? 'CamembertForSequenceClassification' : 'XLMRobertaForSequenceClassification',
      () =>
        broken(
          family,
          family === 'camembert' ? 'CamembertForSequenceClassification' : 'XLMRobertaForSequenceClassification',
          (m) => Object.assign((m as BertForSequenceClassification).firstToken!.layer, { activation: 'gelu' }),
        ),
    ]),
    ['an eps of 1e-4 for 1e-5', 'camembert', 'CamembertModel', () => load('camembert', 'CamembertModel', engine, { layer_norm_eps: 1e-4 })], // prettier-ignore
    ...(['electraSummary', 'electraSummaryLast'] as const).map((family): (typeof mistakes)[number] => [
      "the first token's summary",
      family,
      'ElectraForMultipleChoice',
      () => load(family, 'ElectraForMultipleChoice', engine, { summary_type: 'first' }),
    ]),
    [
      'a summary without its activation',
      'electraSummary',
      'ElectraForMultipleChoice',
      () => load('electraSummary', 'ElectraForMultipleChoice', engine, { summary_activation: 'linear' }),
    ],
    [
      "ALBERT's layers not shared",
      'albert',
      'AlbertModel',
      () => load('albert', 'AlbertModel', engine, { num_hidden_groups: 1 }),
    ],
    [
      "ALBERT's inner layers left out",
      'albert',
      'AlbertModel',
      () => load('albert', 'AlbertModel', engine, { inner_group_num: 1, num_hidden_layers: 6 }),
    ],
    [
      "ELECTRA's classifier with RoBERTa's activation",
      'electra',
      'ElectraForSequenceClassification',
      () =>
        broken('electra', 'ElectraForSequenceClassification', (m) =>
          Object.assign((m as BertForSequenceClassification).firstToken!.layer, { activation: 'tanh' }),
        ),
    ],
    [
      "ELECTRA's generator with the encoder's activation",
      'electra',
      'ElectraForMaskedLM',
      () =>
        broken('electra', 'ElectraForMaskedLM', (m) =>
          Object.assign((m as BertForMaskedLM).predictions, { activation: m.config.hiddenAct }),
        ),
    ],
    [
      'DistilBERT with token types',
      'distilbert',
      'DistilBertModel',
      () =>
        broken('distilbert', 'DistilBertModel', (m) => {
          const { embeddings } = encoderOf(m);
          Object.assign(embeddings, { tokenTypeEmbeddings: embeddings.positionEmbeddings });
        }),
    ],
    [
      "DistilBERT's classifier with a pooler's activation",
      'distilbert',
      'DistilBertForSequenceClassification',
      () =>
        broken('distilbert', 'DistilBertForSequenceClassification', (m) =>
          Object.assign((m as BertForSequenceClassification).firstToken!.layer, { activation: 'tanh' }),
        ),
    ],
  ];

  it.each(mistakes)('%s: %s %s', async (_, family, label, model) => {
    const { ok, off } = verdict(loadReference(`families/${family}`, 'f32', label), await model(), 1e-5);
    expect(ok).toBe(false);
    expect(off.length).toBeGreaterThan(0);
  });
});

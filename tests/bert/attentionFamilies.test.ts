import { describe, expect, it } from 'vitest';
import {
  loadAnyModel,
  quantizeTensors,
  type BertEncoder,
  type BertForSequenceClassification,
  type BertModel,
  type LoadOptions,
} from '../../src/bert/index.ts';
import type { GatedFeedForward, PackedBatch } from '../../src/layers/index.ts';
import { compareWithReference, runReference } from '../../src/parity/index.ts';
import { parseSafetensors, toFloat32, writeSafetensors, type TensorInput } from '../../src/safetensors/index.ts';
import { MemoryFiles } from '../../src/hub/index.ts';
import { ropeOf, type Rope, type Rotations } from '../../src/bert/families/rope.ts';
import { Engine, type Tensor } from '../../src/tensor/index.ts';
import { classFiles, fileContents, loadReference } from '../support/fixtures.ts';

// Families whose attention looks at where tokens stand: mistakes that must show, int8, and files of other origins. That they
// equal PyTorch is in families.test.ts.

const engines = {
  reference: new Engine({ kernels: 'reference' }),
  simd: new Engine({ kernels: 'simd' }),
};
const states = { hiddenStates: true, attentions: true };
const models = [
  ['mpnet', 'MPNetModel'],
  ['deberta', 'DebertaModel'],
  ['debertaV2', 'DebertaV2Model'],
  ['debertaV2Convolution', 'DebertaV2Model'],
  ['modernBert', 'ModernBertModel'],
  ['modernBertBiases', 'ModernBertModel'],
  ['nomicBert', 'NomicBertModel'],
  ['debertaTalkingHeads', 'DebertaModel'],
  ['ropeYarn', 'ModernBertModel'],
] as const;

const load = async (
  family: string,
  label: string,
  options: LoadOptions,
  changes: Record<string, unknown> = {},
): Promise<BertModel> => (await loadAnyModel(classFiles(family, label.split('.')[0], changes), options)) as BertModel;

/** Tokens by the order in which they are kept, as if none had been dropped. */
const byOrder = (batch: PackedBatch): PackedBatch => {
  const columns = batch.columns.map((_, token) => token - batch.offsets.findLast((begin) => begin <= token)!);
  const changed = { columns: { value: columns }, tokenKeys: { value: batch.tokenKeys } };
  return Object.create(batch, changed) as PackedBatch;
};

/** Gives a part of the encoder another batch. */
function misplace(module: { forward: (...inputs: never[]) => unknown } | null, position: number): void {
  const forward = module!.forward.bind(module) as (...inputs: unknown[]) => unknown;
  Object.assign(module!, {
    forward: (...inputs: unknown[]) =>
      forward(...inputs.map((input, i) => (i === position ? byOrder(input as PackedBatch) : input))),
  });
}

const withRope = ({ relations }: BertEncoder, kind: string, make: (pairs: number) => Rope) => {
  const { ropes, pairs } = relations as Rotations;
  Object.assign(relations!, { ropes: { ...ropes, [kind]: make(pairs) } });
};

const inEveryLayer = (encoder: BertEncoder, change: object) => {
  for (const { attention } of encoder.layers) Object.assign(attention, change);
};

describe.each(Object.entries(engines))('a mistake shows: %s', (_, engine) => {
  const distances = ({ encoder }: BertModel) => {
    misplace(encoder.relations, 0);
    for (const { attention } of encoder.layers) misplace(attention, 1);
  };
  const turns = ({ encoder }: BertModel) => misplace(encoder.relations, 0);
  const mistakes: [mistake: string, family: string, label: string, breakIt: (model: BertModel) => void][] = [
    ['distances by the order of tokens', 'mpnet', 'MPNetModel.holes', distances],
    ['distances by the order of tokens', 'deberta', 'DebertaModel.holes', distances],
    ['distances by the order of tokens', 'debertaV2', 'DebertaV2Model.holes', distances],
    ['turns by the order of tokens', 'modernBert', 'ModernBertModel.holes', turns],
    ['turns by the order of tokens', 'nomicBert', 'NomicBertModel.holes', turns],
    ['no bias', 'mpnet', 'MPNetModel', ({ encoder }) => Object.assign(encoder, { relations: null })],
    [
      'the numbers of tokens behind for those ahead',
      'mpnet',
      'MPNetModel',
      ({ encoder }) => {
        const { data } = (encoder.relations as unknown as { table: Tensor }).table;
        const half = data.length / 2;
        data.set([...data.slice(half), ...data.slice(0, half)]);
      },
    ],
    ...(['deberta', 'debertaV2', 'debertaV2Convolution'] as const).flatMap((family): typeof mistakes => {
      const label = family === 'deberta' ? 'DebertaModel' : 'DebertaV2Model';
      return [
        ['c2p without p2c', family, label, ({ encoder }) => inEveryLayer(encoder, { positionQuery: null })],
        ['p2c without c2p', family, label, ({ encoder }) => inEveryLayer(encoder, { positionKey: null })],
        ['scores scaled as in BERT', family, label, ({ encoder }) => inEveryLayer(encoder, { scale: 8 ** -0.5 })],
      ];
    }),
    [
      'every distance its own bucket',
      'debertaV2',
      'DebertaV2Model',
      ({ encoder }) => Object.assign(encoder.relations!, { bucketOf: (distance: number) => distance }),
    ],
    [
      'vectors of distances not normed',
      'debertaV2',
      'DebertaV2Model',
      ({ encoder }) => Object.assign(encoder.relations!, { norm: null }),
    ],
    [
      'no convolution',
      'debertaV2Convolution',
      'DebertaV2Model',
      ({ encoder }) => Object.assign(encoder, { afterFirstLayer: null }),
    ],
    [
      'a convolution of tokens in their order',
      'debertaV2Convolution',
      'DebertaV2Model.holes',
      ({ encoder }) => misplace(encoder.afterFirstLayer, 2),
    ],
    ['no window', 'modernBert', 'ModernBertModel', ({ encoder }) => inEveryLayer(encoder, { reach: null })],
    ['a window one too narrow', 'modernBert', 'ModernBertModel', ({ encoder }) => inEveryLayer(encoder, { reach: 1 })],
    [
      'a window of tokens in their order',
      'modernBert',
      'ModernBertModel.holes',
      ({ encoder }) => encoder.layers.forEach(({ attention }) => misplace(attention, 1)),
    ],
    ...(['modernBert', 'modernBertBiases'] as const).map((family): (typeof mistakes)[number] => [
      'the two bases of rotation swapped',
      family,
      'ModernBertModel',
      ({ encoder }) => {
        const { ropes } = encoder.relations as Rotations;
        const swapped = { full_attention: ropes.sliding_attention, sliding_attention: ropes.full_attention };
        Object.assign(encoder.relations!, { ropes: swapped });
      },
    ]),
    [
      'a base of 10000 for its own',
      'nomicBert',
      'NomicBertModel',
      ({ encoder }) => withRope(encoder, 'all', (pairs) => ropeOf(null, { theta: 10000, pairs, maxPositions: 40 })),
    ],
    ...(
      [
        ['ropeYarn', 'ModernBertModel', 'full_attention', 30],
        ['ropeYarn', 'ModernBertModel', 'sliding_attention', 300],
        ['ropeLlama3', 'ModernBertModel', 'full_attention', 30],
        ['ropeLlama3', 'ModernBertModel', 'sliding_attention', 300],
        ['ropeDynamic', 'NomicBertModel', 'all', 50],
        ['ropeLongRope', 'NomicBertModel', 'all', 50],
      ] as const
    ).map(([family, label, kind, theta]): (typeof mistakes)[number] => [
      `${kind} turned as if nothing were scaled`,
      family,
      label,
      ({ encoder }) => withRope(encoder, kind, (pairs) => ropeOf(null, { theta, pairs, maxPositions: 40 })),
    ]),
    ...(['ropeYarn', 'ropeLongRope'] as const).map((family): (typeof mistakes)[number] => [
      'turns scaled, but not their size',
      family,
      family === 'ropeYarn' ? 'ModernBertModel' : 'NomicBertModel',
      ({ encoder }) => {
        const { ropes } = encoder.relations as Rotations;
        for (const kind of Object.keys(ropes)) withRope(encoder, kind, () => ({ ...ropes[kind], scale: 1 }));
      },
    ]),
    [
      'LongRoPE with its factors for short texts',
      'ropeLongRope',
      'NomicBertModel',
      ({ encoder }) => {
        const { all } = (encoder.relations as Rotations).ropes;
        withRope(encoder, 'all', () => ({ ...all, frequencies: () => all.frequencies(1) }));
      },
    ],
    ...(['DebertaModel', 'DebertaModel.holes'] as const).flatMap((label): typeof mistakes => [
      [
        'heads that do not talk',
        'debertaTalkingHeads',
        label,
        ({ encoder }) => inEveryLayer(encoder, { talkingHeads: null }),
      ],
      [
        'scores mixed the other way round',
        'debertaTalkingHeads',
        label,
        ({ encoder }) => {
          for (const { attention } of encoder.layers) {
            const { data, shape } = (attention as unknown as { talkingHeads: { scores: Tensor } }).talkingHeads.scores;
            data.set(data.map((_, i) => data[(i % shape[0]) * shape[0] + Math.floor(i / shape[0])]));
          }
        },
      ],
    ]),
    [
      'the gate activated in place of what goes through it',
      'nomicBert',
      'NomicBertModel',
      ({ encoder }) => {
        for (const { feedForward } of encoder.layers) {
          const { up, gate } = feedForward as GatedFeedForward;
          Object.assign(feedForward, { up: gate, gate: up });
        }
      },
    ],
    [
      'a bias where embeddings are projected',
      'debertaTalkingHeads',
      'DebertaModel',
      ({ embeddings: { projection }, engine, config }) => {
        const bias = engine.tensor(new Array<number>(config.hiddenSize).fill(0).map((_, i) => i / 10), [config.hiddenSize]); // prettier-ignore
        Object.assign(projection!, { bias });
      },
    ],
  ];

  it.each(mistakes)('%s: %s %s', async (_, family, label, breakIt) => {
    const reference = loadReference(`families/${family}`, 'f32', label);
    const model = await load(family, label, { engine });
    const compare = () =>
      compareWithReference(reference, runReference(model, reference, states), { tolerance: 1e-4 }).ok;
    expect(compare()).toBe(true);
    breakIt(model);
    expect(compare()).toBe(false);
  });

  it('the first token classified where the mean is meant', async () => {
    const [family, label] = ['modernBertBiases', 'ModernBertForSequenceClassification'];
    const reference = loadReference(`families/${family}`, 'f32', label);
    const model = await loadAnyModel(classFiles(family, label), { engine });
    Object.assign((model as BertForSequenceClassification).firstToken!, { pooling: 'first' });
    expect(compareWithReference(reference, runReference(model, reference, states), { tolerance: 1e-4 }).ok).toBe(false);
  });
});

describe.each(models)('%s', (family, label) => {
  const inputs = loadReference(`families/${family}`, 'f32', `${label}.holes`).inputs;

  it.each(['f32', 'q8'] as const)('a batch gives each sequence the bits that it gets alone: %s', async (dtype) => {
    const model = await load(family, label, { engine: engines.simd, dtype });
    const together = model.forward(inputs);
    Array.from(inputs.inputIds).forEach((ids, s) => {
      const alone = model.forward({
        inputIds: [ids],
        attentionMask: [inputs.attentionMask![s]],
        ...(inputs.tokenTypeIds && { tokenTypeIds: [inputs.tokenTypeIds[s]] }),
      });
      const [begin, end] = [0, 1].map((i) => together.batch.offsets[s + i] * model.config.hiddenSize);
      expect(alone.lastHiddenState.data).toEqual(together.lastHiddenState.data.slice(begin, end));
    });
  });

  it('int8 weights turn no vector by much', async () => {
    const [f32, q8] = await Promise.all(
      (['f32', 'q8'] as const).map(async (dtype) => {
        const model = await load(family, label, { engine: engines.simd, dtype });
        expect(model.loadReport!.dtype).toBe(dtype);
        return [...model.forward(inputs).lastHiddenState.data];
      }),
    );
    const size = f32.length / inputs.inputIds.length;
    expect(size).toBeGreaterThan(24);
    const cosine = f32.reduce((sum, x, i) => sum + x * q8[i], 0) / (Math.hypot(...f32) * Math.hypot(...q8));
    expect(cosine).toBeGreaterThan(0.999);
    expect(cosine).toBeLessThan(1 - 1e-7);
  });

  it('stored in int8 gives the bits that rounding at loading gives', async () => {
    const contents = fileContents(`families/${family}`, { config: `config.${label}.json` });
    const { tensors } = parseSafetensors(contents['model.safetensors'] as Uint8Array);
    const files = new MemoryFiles({
      'config.json': contents['config.json'],
      'model.safetensors': writeSafetensors(quantizeTensors(tensors)),
    });
    const stored = (await loadAnyModel(files, { engine: engines.simd })) as BertModel;
    const rounded = await load(family, label, { engine: engines.simd, dtype: 'q8' });
    expect(stored.loadReport!.dtype).toBe('q8');
    expect(stored.forward(inputs).lastHiddenState.data).toEqual(rounded.forward(inputs).lastHiddenState.data);
  });

  it('gives a defined result for a sequence that is all masked, and for no sequence', async () => {
    const model = await load(family, label, { engine: engines.simd });
    const { lastHiddenState } = model.forward({ inputIds: [[3, 4], [5, 6]], attentionMask: [[0, 0], [1, 1]] }); // prettier-ignore
    expect(lastHiddenState.shape).toEqual([2, model.config.hiddenSize]);
    expect(lastHiddenState.data.every(Number.isFinite)).toBe(true);
    expect(model.forward({ inputIds: [] }).lastHiddenState.shape).toEqual([0, model.config.hiddenSize]);
  });

  it('reads back the config that it writes', async () => {
    const { config } = await load(family, label, { engine: engines.simd });
    const configClass = config.constructor as unknown as { fromJSON(json: unknown): typeof config };
    expect(configClass.fromJSON(JSON.parse(JSON.stringify(config)))).toEqual(config);
  });
});

describe('NomicBERT as its authors store it', () => {
  const renames: [theirs: RegExp, firsts: string][] = [
    [/^nomic_bert\./, ''],
    [/^layers/, 'encoder.layers'],
    [/^embeddings\.LayerNorm/, 'emb_ln'],
    [/self_attn\.o_proj/, 'attn.out_proj'],
    [/up_proj/, 'fc11'],
    [/gate_proj/, 'fc12'],
    [/down_proj/, 'fc2'],
    [/post_attention_layernorm/, 'norm1'],
    [/post_mlp_layernorm/, 'norm2'],
  ];
  const config = {
    model_type: 'nomic_bert',
    architectures: ['NomicBertModel'],
    activation_function: 'swiglu',
    layer_norm_epsilon: 1e-12,
    n_embd: 24,
    n_head: 3,
    n_inner: 37,
    n_layer: 2,
    n_positions: 40,
    qkv_proj_bias: false,
    rotary_emb_base: 50,
    rotary_emb_fraction: 1.0,
    rotary_emb_interleaved: false,
    type_vocab_size: 2,
    vocab_size: 61,
  };

  function files(changes: Record<string, unknown> = {}): MemoryFiles {
    const weights = fileContents('families/nomicBert', { config: 'config.NomicBertModel.json' })['model.safetensors'];
    const tensors = new Map<string, TensorInput>();
    const parts = new Map<string, Float32Array[]>();
    for (const view of parseSafetensors(weights as Uint8Array).tensors.values()) {
      const name = renames.reduce((name, [theirs, firsts]) => name.replace(theirs, firsts), view.name);
      const [, layer] = /(.*)self_attn\.[qkv]_proj/.exec(name) ?? [];
      if (layer === undefined) tensors.set(name, view);
      else parts.set(layer, [...(parts.get(layer) ?? []), toFloat32(view)]);
      if (/q_proj/.test(name)) parts.get(layer)!.push();
    }
    for (const [layer, matrices] of parts) {
      const order = ['q', 'k', 'v'].map((kind) => [...tensorsOrder(weights as Uint8Array, layer)].indexOf(kind));
      const data = new Float32Array(3 * 24 * 24);
      order.forEach((at, i) => data.set(matrices[at], i * 24 * 24));
      tensors.set(`${layer}attn.Wqkv.weight`, { data, shape: [72, 24] });
    }
    return new MemoryFiles({
      'config.json': JSON.stringify({ ...config, ...changes }),
      'model.safetensors': writeSafetensors(tensors),
    });
  }

  /** Kinds of a layer's projections in the order of the file. */
  function* tensorsOrder(weights: Uint8Array, layer: string): Generator<string> {
    for (const name of parseSafetensors(weights).tensors.keys()) {
      const [, number, kind] = /layers\.(\d+)\.self_attn\.([qkv])_proj/.exec(name) ?? [];
      if (number !== undefined && layer.includes(`.${number}.`)) yield kind;
    }
  }

  it('equals PyTorch', async () => {
    const reference = loadReference('families/nomicBert', 'f32', 'NomicBertModel.holes');
    const model = await loadAnyModel(files(), { engine: engines.simd });
    const report = compareWithReference(reference, runReference(model, reference, states), { tolerance: 1e-5 });
    expect(report.ok).toBe(true);
    expect(model.loadReport!.unused.filter((name) => !/pooler|cls|classifier/.test(name))).toEqual([]);
  });

  it.each([
    ['activation_function', 'gelu'],
    ['rotary_emb_fraction', 0.5],
    ['rotary_emb_interleaved', true],
    ['qkv_proj_bias', true],
    ['prenorm', true],
  ])('refuses what it does not compute: %s %s', async (key, value) => {
    await expect(loadAnyModel(files({ [key]: value }), { engine: engines.simd })).rejects.toThrow(key);
  });
});

describe('configs', () => {
  it.each([
    [
      'modernBert',
      'ModernBertModel',
      { rope_parameters: { full_attention: { rope_type: 'yarn' } } }, // without its factor
      'rope_parameters',
    ],
    ['modernBert', 'ModernBertModel', { rope_parameters: { full_attention: { rope_type: 'axial' } } }, 'axial'],
    ['nomicBert', 'NomicBertModel', { rope_parameters: { rope_theta: 0 } }, 'rope_parameters'],
    ['ropeLongRope', 'NomicBertModel', { rope_parameters: { rope_type: 'longrope', short_factor: [1, 2], long_factor: [1, 2] } }, 'short_factor'], // prettier-ignore
    ['modernBert', 'ModernBertModel', { layer_types: ['local'] }, 'layer_types'],
    ['modernBert', 'ModernBertModel', { layer_types: ['full_attention'] }, 'layer_types: expected one for each of the'],
    [
      'modernBert',
      'ModernBertModel',
      { num_attention_heads: 24 },
      'hidden_size / num_attention_heads: expected an even',
    ],
    ['modernBert', 'ModernBertModel', { classifier_pooling: 'max' }, 'classifier_pooling'],
    ['deberta', 'DebertaModel', { talking_head: true }, 'head_logits_proj'],
    ['electraSummary', 'ElectraForMultipleChoice', { summary_type: 'attn' }, 'summary_type'], // nor transformers'
    ['deberta', 'DebertaModel', { pos_att_type: 3 }, 'pos_att_type'],
    ['debertaV2', 'DebertaV2Model', { position_buckets: 1.5 }, 'position_buckets'],
    ['mpnet', 'MPNetModel', { relative_attention_num_buckets: 0 }, 'relative_attention_num_buckets'],
  ])('refuse what is not theirs: %s %s %o', async (family, label, changes, key) => {
    await expect(load(family, label, { engine: engines.simd }, changes)).rejects.toThrow(key);
  });

  it('of older files: terms in one text, bases and kinds of layers under their first keys', async () => {
    const terms = await load('deberta', 'DebertaModel', { engine: engines.simd }, { pos_att_type: 'c2p|p2c' });
    const deberta = loadReference('families/deberta', 'f32', 'DebertaModel');
    expect(compareWithReference(deberta, runReference(terms, deberta, states)).ok).toBe(true);
    const first = { rope_parameters: null, layer_types: null, global_attn_every_n_layers: 3 };
    const bases = { global_rope_theta: 160000, local_rope_theta: 10000 };
    const modern = loadReference('families/modernBert', 'f32', 'ModernBertModel');
    const run = async (changes: object) => {
      const model = await load('modernBert', 'ModernBertModel', { engine: engines.simd }, { ...first, ...changes });
      return compareWithReference(modern, runReference(model, modern, states), { tolerance: 1e-5 }).ok;
    };
    expect(await run(bases)).toBe(true);
    expect(await run({ ...bases, global_attn_every_n_layers: 2 })).toBe(false);
    expect(await run({ ...bases, local_rope_theta: 20 })).toBe(false);
  });
});

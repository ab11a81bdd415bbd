import { GatedFeedForward, Linear, RotarySelfAttention, type Weights } from '../../layers/index.ts';
import { BertConfig, orNull, type BertConfigOptions, type ConfigClass } from '../config.ts';
import * as heads from '../heads.ts';
import { BertModel } from '../model.ts';
import type { Family } from './family.ts';
import { ropeCheck, ropeOf, Rotations, theta, type RopeParameters } from './rope.ts';

/** Nussbaum et al. 2024, arXiv:2402.01613: BERT with rotary positions, gated layers, and no biases in the encoder's matrices. */
export const nomicBert: Family = {
  modelType: 'nomic_bert',
  prefix: 'nomic_bert',
  config: {
    keys: { attentionHeadSize: 'head_dim' },
    defaults: {
      vocabSize: 30528,
      hiddenAct: 'silu',
      hiddenDropoutProb: 0,
      attentionProbsDropoutProb: 0,
      maxPositionEmbeddings: 2048,
    },
    extra: { ropeParameters: ['rope_parameters', orNull(ropeCheck()), null], ropeTheta: ['rope_theta', theta, 1000] },
    // What the family's first code, which the Hub's files were written by, calls things; and what of it is not done here.
    aliases: {
      hiddenSize: ['n_embd'],
      numHiddenLayers: ['n_layer'],
      numAttentionHeads: ['n_head'],
      intermediateSize: ['n_inner'],
      maxPositionEmbeddings: ['n_positions'],
      layerNormEps: ['layer_norm_epsilon'],
      ropeTheta: ['rotary_emb_base'],
    },
    only: [
      ['activation_function', 'swiglu'],
      ['rotary_emb_fraction', 1],
      ['rotary_emb_interleaved', false],
      ['rotary_scaling_factor', null],
      ['prenorm', false],
      ['use_rms_norm', false],
      ['qkv_proj_bias', false],
      ['mlp_fc1_bias', false],
      ['mlp_fc2_bias', false],
    ],
  },
  names: (_, has) => [...(has('encoder.layers.0.attn.Wqkv.weight') ? firstNames : todaysNames), ...headNames],
  positions: null,
  pooler: true,
  biases: () => ({ attentionOutput: false }),
  attention: (config) => ({
    relations: rotationsOf(config as NomicBertConfig),
    layer: (layer) =>
      new RotarySelfAttention(
        layer.scope('attention.self').path,
        config.numAttentionHeads,
        projections(config, layer.scope('attention.self')),
        'all',
      ),
  }),
  feedForward({ hiddenSize, intermediateSize, hiddenAct }, layer) {
    const linear = (name: string, inFeatures: number, outFeatures: number) =>
      new Linear(layer.scope(name), inFeatures, outFeatures, { bias: false });
    const [up, gate] = ['mlp.up', 'mlp.gate'].map((name) => linear(name, hiddenSize, intermediateSize));
    return new GatedFeedForward(
      layer.scope('mlp').path,
      up,
      linear('mlp.down', intermediateSize, hiddenSize),
      hiddenAct,
      { gate },
    );
  },
};

const projections = ({ hiddenSize, attentionSize }: BertConfig, weights: Weights) => {
  const linear = (name: string, outFeatures: number) =>
    new Linear(weights.scope(name), hiddenSize, outFeatures, { bias: false });
  if (weights.has('Wqkv.weight')) return [linear('Wqkv', 3 * attentionSize)];
  return ['query', 'key', 'value'].map((name) => linear(name, attentionSize));
};

const todaysNames: [ours: string, theirs: string][] = [
  ['encoder.layer', 'layers'],
  ['attention.self.query', 'self_attn.q_proj'],
  ['attention.self.key', 'self_attn.k_proj'],
  ['attention.self.value', 'self_attn.v_proj'],
  ['attention.self.Wqkv', 'self_attn.Wqkv'], // never there
  ['attention.self', 'self_attn.context'], // no module there: attention has its output's linear layer inside
  ['attention.output.dense', 'self_attn.o_proj'],
  ['attention.output.LayerNorm', 'post_attention_layernorm'],
  ['mlp.up', 'mlp.up_proj'],
  ['mlp.gate', 'mlp.gate_proj'],
  ['mlp.down', 'mlp.down_proj'],
  ['output.LayerNorm', 'post_mlp_layernorm'],
];

const firstNames: [ours: string, theirs: string][] = [
  ['embeddings.LayerNorm', 'emb_ln'],
  ['encoder.layer', 'encoder.layers'],
  ['attention.self.Wqkv', 'attn.Wqkv'],
  ['attention.self', 'attn.context'],
  ['attention.output.dense', 'attn.out_proj'],
  ['attention.output.LayerNorm', 'norm1'],
  ['mlp.up', 'mlp.fc11'],
  ['mlp.gate', 'mlp.fc12'],
  ['mlp.down', 'mlp.fc2'],
  ['output.LayerNorm', 'norm2'],
];

const headNames: [ours: string, theirs: string][] = [
  ['cls.predictions.transform.LayerNorm', 'cls.predictions.transform.layer_norm'],
];

/** Files of today have the base of the rotation in `rope_parameters`. */
function rotationsOf(config: NomicBertConfig): Rotations {
  const { attentionSize, numAttentionHeads, ropeParameters, ropeTheta: theta, maxPositionEmbeddings } = config;
  const pairs = attentionSize / numAttentionHeads / 2;
  return new Rotations(pairs, { all: ropeOf(ropeParameters, { theta, pairs, maxPositions: maxPositionEmbeddings }) });
}

export interface NomicBertConfigOptions extends BertConfigOptions {
  ropeParameters: RopeParameters | null;
  /** Base of the rotation, where `ropeParameters` do not give one. */
  ropeTheta: number;
}

/* eslint-disable @typescript-eslint/no-unsafe-declaration-merging, @typescript-eslint/no-empty-object-type */
export interface NomicBertConfig extends Readonly<NomicBertConfigOptions> {}
export class NomicBertConfig extends BertConfig {
  /* eslint-enable */
  static override readonly family: Family = nomicBert;
  constructor(options: Partial<NomicBertConfigOptions> = {}, file?: string) {
    super(options, file);
  }
}
export class NomicBertModel extends BertModel {
  static override readonly configClass: ConfigClass = NomicBertConfig;
}
export class NomicBertForMaskedLM extends heads.BertForMaskedLM {
  static override readonly configClass: ConfigClass = NomicBertConfig;
}
export class NomicBertForSequenceClassification extends heads.BertForSequenceClassification {
  static override readonly configClass: ConfigClass = NomicBertConfig;
}
export class NomicBertForTokenClassification extends heads.BertForTokenClassification {
  static override readonly configClass: ConfigClass = NomicBertConfig;
}

import { ConfigError } from '../../errors.ts';
import { Module, type PackedBatch, type Relations } from '../../layers/index.ts';
import { rotationOf, type Engine, type Rotation } from '../../tensor/index.ts';
import type { Check } from '../config.ts';

/** How rotary positions reach further than a model was trained for, under transformers' names (`modeling_rope_utils.py`). */
export interface RopeParameters {
  rope_theta?: number;
  rope_type?: string;
  factor?: number;
  original_max_position_embeddings?: number;
  attention_factor?: number;
  partial_rotary_factor?: number;
  /** YaRN's. */
  beta_fast?: number;
  beta_slow?: number;
  mscale?: number;
  mscale_all_dim?: number;
  truncate?: boolean;
  /** LongRoPE's, a number for each pair. */
  short_factor?: readonly number[];
  long_factor?: readonly number[];
  /** Llama 3's. */
  low_freq_factor?: number;
  high_freq_factor?: number;
}

/** Angles by which the pairs of a head turn. */
export interface Rope {
  /** Of each pair per column, in a sequence of so many columns: [pairs] */
  frequencies(columns: number): number[];
  /** What cosines and sines are multiplied by. */
  scale: number;
}

type Sizes = { theta: number; pairs: number; maxPositions: number };
type Scheme = (rope: RopeParameters, sizes: Sizes) => Rope | Rope['frequencies'];

/** Pair p turns by theta^(-p / pairs) (Su et al. 2021, arXiv:2104.09864). */
const plain = (theta: number, pairs: number) => Array.from({ length: pairs }, (_, p) => theta ** (-p / pairs));
const clamp = (x: number, least: number, most: number) => Math.min(Math.max(x, least), most);

const schemes: Readonly<Record<string, [required: readonly (keyof RopeParameters)[], scheme: Scheme]>> = {
  default: [
    [],
    (_, { theta, pairs }) =>
      () =>
        plain(theta, pairs),
  ],
  /** Chen et al. 2023, arXiv:2306.15595 */
  linear: [
    ['factor'],
    ({ factor = 1 }, { theta, pairs }) =>
      () =>
        plain(theta, pairs).map((f) => f / factor),
  ],
  proportional: [
    [],
    ({ factor = 1, partial_rotary_factor: part = 1 }, { theta, pairs }) =>
      () =>
        plain(theta, pairs).map((f, p) => (p < Math.trunc(part * pairs) ? f / factor : 0)),
  ],
  /** By the length of each sequence beyond the table's, so that it is what it would be alone. */
  dynamic: [
    ['factor'],
    ({ factor = 1 }, { theta, pairs, maxPositions }) =>
      (columns) => {
        const stretch = (factor * Math.max(columns, maxPositions)) / maxPositions - (factor - 1);
        return plain(theta * stretch ** (pairs / (pairs - 1)), pairs);
      },
  ],
  /** Peng et al. 2023, arXiv:2309.00071 */
  yarn: [['factor'], yarn],
  /** Ding et al. 2024, arXiv:2402.13753 */
  longrope: [['short_factor', 'long_factor'], longRope],
  llama3: [
    ['factor', 'low_freq_factor', 'high_freq_factor'],
    (rope, { theta, pairs, maxPositions }) =>
      () => {
        const { factor = 1, low_freq_factor: low = 1, high_freq_factor: high = 4 } = rope;
        const trained = rope.original_max_position_embeddings ?? maxPositions;
        return plain(theta, pairs).map((f) => {
          const turns = (trained * f) / (2 * Math.PI);
          const smooth = clamp((turns - low) / (high - low), 0, 1);
          return (1 - smooth) * (f / factor) + smooth * f;
        });
      },
  ],
};

function yarn(rope: RopeParameters, { theta, pairs, maxPositions }: Sizes): Rope {
  const { factor = 1, beta_fast: fast = 32, beta_slow: slow = 1, mscale, mscale_all_dim: all, truncate = true } = rope;
  const trained = rope.original_max_position_embeddings ?? maxPositions;
  const dimension = (turns: number) => (pairs * Math.log(trained / (turns * 2 * Math.PI))) / Math.log(theta);
  const [low, high] = [dimension(fast), dimension(slow)];
  const [from, to] = truncate ? [Math.floor(low), Math.ceil(high)] : [low, high];
  const first = Math.max(from, 0);
  const last = Math.min(to, 2 * pairs - 1);
  const width = first === last ? 0.001 : last - first;
  const magnitude = (weight: number) => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  const usual = mscale && all ? magnitude(mscale) / magnitude(all) : magnitude(1);
  return {
    frequencies: () =>
      plain(theta, pairs).map((f, p) => {
        const far = clamp((p - first) / width, 0, 1);
        return far * (f / factor) + (1 - far) * f;
      }),
    scale: rope.attention_factor ?? usual,
  };
}

function longRope(rope: RopeParameters, { theta, pairs, maxPositions }: Sizes): Rope {
  const trained = rope.original_max_position_embeddings ?? maxPositions;
  const { factor = maxPositions / trained, short_factor: short = [], long_factor: long = [] } = rope;
  for (const [name, { length }] of Object.entries({ short_factor: short, long_factor: long })) {
    if (length === pairs) continue;
    const what = `rope_parameters: ${name}`;
    throw new ConfigError({ what, expected: `${pairs} numbers, one for each pair of a head`, got: `${length}` });
  }
  const usual = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(trained));
  return {
    frequencies: (columns) => plain(theta, pairs).map((f, p) => f / (columns > trained ? long : short)[p]),
    scale: rope.attention_factor ?? usual,
  };
}

export function ropeOf(parameters: RopeParameters | null | undefined, sizes: Sizes): Rope {
  const rope = parameters ?? {};
  const made = schemes[rope.rope_type ?? 'default'][1](rope, { ...sizes, theta: rope.rope_theta ?? sizes.theta });
  return typeof made === 'function' ? { frequencies: made, scale: 1 } : made;
}

export const theta: Check = ['a number above 0', (v) => typeof v === 'number' && v > 0 && v < Infinity];

function isRope(value: unknown): boolean {
  const rope = (value ?? {}) as Record<string, unknown>;
  const kind = String(rope.rope_type ?? 'default');
  if (!Object.hasOwn(schemes, kind)) return false;
  const isGood = (v: unknown) => (Array.isArray(v) ? v.every(theta[1]) : typeof v === 'boolean' || theta[1](v));
  const isWhole = kind === 'proportional' || (rope.partial_rotary_factor ?? 1) === 1;
  const values = Object.entries(rope).filter(([key, v]) => key !== 'rope_type' && key !== 'type' && v !== null);
  return isWhole && schemes[kind][0].every((key) => (rope[key] ?? null) !== null) && values.every(([, v]) => isGood(v));
}

/** @param kinds keys under which there are several */
export const ropeCheck = (...kinds: string[]): Check => [
  `{ rope_theta, rope_type } and what that type needs${kinds.length > 0 ? `, for each of ${kinds.join(', ')}` : ''}; types: ${Object.entries(
    schemes,
  )
    .map(([kind, [keys]]) => (keys.length > 0 ? `${kind} (${keys.join(', ')})` : kind))
    .join(', ')}`,
  (v) =>
    typeof v === 'object' &&
    v !== null &&
    (kinds.length > 0 ? kinds.every((kind) => isRope((v as Record<string, unknown>)[kind])) : isRope(v)),
];

/** Turns of the tokens of a batch, for each kind of layer. */
export class Rotations extends Module {
  /** Pairs of a head that are turned. */
  readonly pairs: number;
  readonly ropes: Readonly<Record<string, Rope>>;

  constructor(pairs: number, ropes: Readonly<Record<string, Rope>>) {
    super('');
    if (!Number.isInteger(pairs)) {
      const expected = 'an even number, for pairs of numbers are turned';
      throw new ConfigError({ what: 'hidden_size / num_attention_heads', expected, got: `${2 * pairs}` });
    }
    this.pairs = pairs;
    this.ropes = ropes;
  }

  forward(batch: PackedBatch, engine: Engine): Relations {
    const columns = batch.positionIds ?? batch.columns;
    const rotations = Object.entries(this.ropes).map(([kind, { frequencies, scale }]) => {
      const perSequence = Array.from({ length: batch.size }, (_, s) => {
        const own = columns.subarray(batch.offsets[s], batch.offsets[s + 1]);
        return frequencies(own.reduce((a, b) => Math.max(a, b), -1) + 1);
      });
      let sequence = 0;
      const of = (token: number) => {
        while (batch.offsets[sequence + 1] <= token) sequence++;
        return perSequence[sequence];
      };
      return [kind, rotationOf(engine, columns, this.pairs, of, scale)];
    });
    return { rotations: Object.fromEntries(rotations) as Record<string, Rotation> };
  }
}

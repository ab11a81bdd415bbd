import { InputError } from '../errors.ts';
import { Dropout, Embedding, LayerNorm, Linear, Module, type PackedBatch, type Weights } from '../layers/index.ts';
import { embeddingSum, type Tensor } from '../tensor/index.ts';
import type { BertConfig } from './config.ts';
import { positionsOf, type PositionScheme } from './families/family.ts';

/**
 * Word, position and token-type embeddings, summed and normalized (Devlin et al. 2019, §3, figure 2). Some families have no
 * positions, or no token types.
 */
export class BertEmbeddings extends Module {
  readonly config: BertConfig;
  readonly wordEmbeddings: Embedding;
  readonly positionEmbeddings: Embedding | null;
  readonly tokenTypeEmbeddings: Embedding | null;
  readonly positions: PositionScheme | null;
  /** To the encoder's size, in families that do so before the norm. */
  readonly projection: Linear | null;
  readonly norm: LayerNorm;
  readonly dropout: Dropout;

  constructor(config: BertConfig, weights: Weights) {
    super(weights.path);
    const { embeddingSize, hiddenSize, vocabSize, maxPositionEmbeddings, typeVocabSize, padTokenId, family } = config;
    const positions = positionsOf(config);
    const table = (name: string, rows: number, paddingRow: number | null = null) =>
      new Embedding(weights.scope(name), rows, embeddingSize, paddingRow);
    this.config = config;
    this.positions = positions;
    this.wordEmbeddings = table('word_embeddings', vocabSize, padTokenId);
    const paddingPosition = (positions?.first(config) ?? 0) - 1;
    this.positionEmbeddings =
      positions && table('position_embeddings', maxPositionEmbeddings, paddingPosition < 0 ? null : paddingPosition);
    if (this.positionEmbeddings && weights.store.untrained && family.sinusoidalPositions?.(config)) {
      setSinusoids(this.positionEmbeddings);
    }
    this.tokenTypeEmbeddings = typeVocabSize > 0 ? table('token_type_embeddings', typeVocabSize) : null;
    this.projection = family.projectsBeforeNorm?.(config)
      ? new Linear(weights.scope('embed_proj'), embeddingSize, hiddenSize, { bias: false })
      : null;
    const normSize = this.projection ? hiddenSize : embeddingSize;
    this.norm = new LayerNorm(weights.scope('LayerNorm'), normSize, config.layerNormEps, {
      bias: family.biases?.(config).norm ?? true,
    });
    this.dropout = new Dropout(config.family.dropout?.(config).embeddings ?? config.hiddenDropoutProb);
  }

  /**
   * @returns [totalTokens, embeddingSize], or hiddenSize columns after a projection
   * @throws InputError if a sequence is longer than the position table, or an id is out of its table
   */
  forward(batch: PackedBatch): Tensor {
    const lookups: [name: string, table: Embedding, ids: Int32Array][] = [
      ['inputIds', this.wordEmbeddings, batch.inputIds],
    ];
    if (this.positionEmbeddings) lookups.push(['positionIds', this.positionEmbeddings, this.#positionIds(batch)]);
    if (this.tokenTypeEmbeddings) lookups.push(['tokenTypeIds', this.tokenTypeEmbeddings, batch.tokenTypeIds]);
    for (const [name, { weight }, ids] of lookups) expectRows(name, ids, weight.shape[0], batch);
    const summed = embeddingSum(
      lookups.map(([, { weight }]) => weight),
      lookups.map(([, , ids]) => ids),
      lookups.map(([name]) => name),
      lookups.map(([, { paddingId }]) => paddingId),
    );
    const x = this.projection ? this.projection.forward(summed) : summed;
    return this.dropout.forward(this.norm.forward(x), batch.tokenKeys);
  }

  /** Those given, or as the family counts. */
  #positionIds(batch: PackedBatch): Int32Array {
    const { config, positions } = this;
    if (batch.positionIds !== null || positions === null) return batch.positionIds ?? batch.columns;
    const ids = positions.ids(batch, config);
    const longest = ids.reduce((a, b) => Math.max(a, b), -1) + 1 - positions.first(config);
    if (longest > config.maxSequenceLength) {
      throw new InputError({
        what: 'longest sequence of the batch',
        expected: `at most ${config.maxSequenceLength} tokens (max_position_embeddings)`,
        got: `${longest}`,
        fix: 'truncate when tokenizing (maxLength), or split the text',
      });
    }
    return ids;
  }
}

/** Row p: sin(p / 10000^(2i / size)) in column 2i, its cosine in the next (Vaswani et al. 2017, §3.5). */
function setSinusoids({ weight }: Embedding): void {
  const [rows, size] = weight.shape;
  const { engine } = weight;
  engine.scope(() => {
    const table = engine.zeros([rows, size]);
    const values = table.data.map((_, at) => {
      const [row, column] = [Math.floor(at / size), at % size];
      const angle = row / 10000 ** ((2 * Math.floor(column / 2)) / size);
      return column % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
    });
    engine.kernels.packRows(weight.packed, 0, values);
  });
}

const fixes: Record<string, string> = {
  inputIds: 'use the tokenizer that belongs to this model',
  positionIds: 'keep to the position table (max_position_embeddings in config.json)',
  tokenTypeIds: 'keep to the segments that the model knows (type_vocab_size in config.json)',
};

function expectRows(name: string, ids: Int32Array, entries: number, batch: PackedBatch): void {
  const bad = ids.findIndex((id) => id < 0 || id >= entries);
  if (bad < 0) return;
  const what = `${name} of ${batch.nameOf(bad)}`;
  throw new InputError({ what, expected: `0 to ${entries - 1}`, got: `${ids[bad]}`, fix: fixes[name] });
}

import { InputError } from '../errors.ts';
import { Dropout, Embedding, LayerNorm, Module, type PackedBatch, type Weights } from '../layers/index.ts';
import { embeddingSum, type Tensor } from '../tensor/index.ts';
import type { BertConfig } from './config.ts';

/** Word, position and token-type embeddings, summed and normalized (Devlin et al. 2019, §3, figure 2). */
export class BertEmbeddings extends Module {
  readonly wordEmbeddings: Embedding;
  readonly positionEmbeddings: Embedding;
  readonly tokenTypeEmbeddings: Embedding;
  readonly norm: LayerNorm;
  readonly dropout: Dropout;

  constructor(config: BertConfig, weights: Weights) {
    super(weights.path);
    const { hiddenSize, vocabSize, maxPositionEmbeddings, typeVocabSize, padTokenId } = config;
    this.wordEmbeddings = new Embedding(weights.scope('word_embeddings'), vocabSize, hiddenSize, padTokenId);
    this.positionEmbeddings = new Embedding(weights.scope('position_embeddings'), maxPositionEmbeddings, hiddenSize);
    this.tokenTypeEmbeddings = new Embedding(weights.scope('token_type_embeddings'), typeVocabSize, hiddenSize);
    this.norm = new LayerNorm(weights.scope('LayerNorm'), hiddenSize, config.layerNormEps);
    this.dropout = new Dropout(config.hiddenDropoutProb);
  }

  /**
   * @returns [totalTokens, hiddenSize]
   * @throws InputError if a sequence is longer than the position table, or an id is out of its table
   */
  forward(batch: PackedBatch): Tensor {
    const limit = this.positionEmbeddings.weight.shape[0];
    if (batch.positionIds === null && batch.paddedLength > limit) {
      throw new InputError({
        what: 'longest sequence of the batch',
        expected: `at most ${limit} tokens (max_position_embeddings)`,
        got: `${batch.paddedLength}`,
        fix: 'truncate when tokenizing (maxLength), or split the text',
      });
    }
    const tables = [this.wordEmbeddings.weight, this.positionEmbeddings.weight, this.tokenTypeEmbeddings.weight];
    const ids = [batch.inputIds, batch.positionIds ?? batch.columns, batch.tokenTypeIds];
    const names = ['inputIds', 'positionIds', 'tokenTypeIds'];
    ids.forEach((numbers, t) => expectRows(names[t], numbers, tables[t].shape[0], batch));
    const summed = embeddingSum(tables, ids, names);
    return this.dropout.forward(this.norm.forward(summed));
  }
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

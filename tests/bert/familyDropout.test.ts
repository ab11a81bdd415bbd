import { describe, expect, it } from 'vitest';
import { BertEncoder, BertEmbeddings, loadAnyModel, type BertPreTrainedModel } from '../../src/bert/index.ts';
import type { GatedFeedForward } from '../../src/layers/index.ts';
import { Dropout, PackedBatch } from '../../src/layers/index.ts';
import { Engine, withGradients } from '../../src/tensor/index.ts';
import { setDropout } from '../../src/training/index.ts';
import { modelFiles } from '../support/fixtures.ts';

// Where each family drops, by the names of its own config; transformers' modules are the source.

const engine = new Engine({ kernels: 'reference' });
const load = (name: string, changes: Record<string, unknown>) =>
  loadAnyModel(modelFiles(`gradients/${name}`, { changes }), { engine });
const encoderOf = (model: BertPreTrainedModel) => model.modules().find((module) => module instanceof BertEncoder)!;
const inputIds = [[5, 6, 7, 8, 9, 4, 3], [6, 12]]; // prettier-ignore

/** The embeddings, and what the layers give, in training. */
function states(model: BertPreTrainedModel, sequences = [0, 1]): number[][] {
  const batch = new PackedBatch({ inputIds: sequences.map((i) => inputIds[i]) });
  batch.ordinals.set(sequences);
  return withGradients(model.train().parameters(), () =>
    model.forward(batch, { outputHiddenStates: true }).hiddenStates!.map(({ data }) => Array.from(data)),
  );
}

describe('ModernBERT', () => {
  const name = 'ModernBertForMaskedLM';

  it('reads embedding_dropout, attention_dropout and mlp_dropout, each for its place', async () => {
    const model = await load(name, { embedding_dropout: 0.3, attention_dropout: 0.2, mlp_dropout: 0.1 });
    expect(model.modules().find((module) => module instanceof BertEmbeddings)!.dropout.probability).toBe(0.3);
    for (const layer of encoderOf(model).layers) {
      expect([layer.attention.dropout, layer.attentionDropout?.probability]).toEqual([0.2, 0.2]);
      expect((layer.feedForward as GatedFeedForward).dropout.probability).toBe(0.1);
      expect(layer.outputDropout).toBeNull();
    }
  });

  it('drops numbers of the embeddings, and scales the others', async () => {
    const [plain] = states(await load(name, {}));
    const [dropped] = states(await load(name, { embedding_dropout: 0.5 }));
    expect(dropped.filter((x) => x === 0).length / dropped.length).toBeCloseTo(0.5, 0);
    dropped.forEach((x, i) => expect(x === 0 ? 0 : x).toBeCloseTo(x === 0 ? 0 : 2 * plain[i], 5));
  });

  it.each(['attention_dropout', 'mlp_dropout'])('%s leaves the embeddings and changes the layers', async (key) => {
    const plain = states(await load(name, {}));
    const dropped = states(await load(name, { [key]: 0.5 }));
    expect(dropped[0]).toEqual(plain[0]);
    expect(dropped[1]).not.toEqual(plain[1]);
  });
});

describe.each(['DebertaForMaskedLM', 'DebertaV2ForSequenceClassification', 'DebertaV2ForMaskedLM'])('%s', (name) => {
  it('drops of the vectors of distances, in each layer others, and the same alone as in a batch', async () => {
    const model = await load(name, { hidden_dropout_prob: 0.4, attention_probs_dropout_prob: 0 });
    const distances = encoderOf(model).layers.map(
      ({ attention }) => (attention as unknown as { distanceDropout: Dropout }).distanceDropout,
    );
    for (const module of model.modules()) {
      if (module instanceof Dropout && !distances.includes(module)) module.probability = 0;
    }
    const together = states(model);
    const alone = states(model, [1]);
    const size = alone[0].length;
    together.forEach((state, i) => state.slice(-size).forEach((x, j) => expect(x).toBeCloseTo(alone[i][j], 5)));
    distances.forEach((dropout) => (dropout.probability = 0));
    const plain = states(model);
    expect(plain[0]).toEqual(together[0]);
    expect(plain[1]).not.toEqual(together[1]);
  });
});

it('a probability in place of all does not put dropout where a family has none', async () => {
  for (const name of ['DistilBertForTokenClassification', 'AlbertForPreTraining', 'ModernBertForMaskedLM']) {
    const model = await load(name, {});
    setDropout(model, 0.25);
    const [layer] = encoderOf(model).layers;
    expect([layer.attentionDropout, layer.outputDropout].filter((dropout) => dropout === null)).toHaveLength(1);
    expect(layer.attention.dropout).toBe(0.25);
    for (const module of model.modules()) if (module instanceof Dropout) expect(module.probability).toBe(0.25);
  }
});

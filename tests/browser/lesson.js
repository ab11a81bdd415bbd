/**
 * A small classifier learns, in Node and in a page alike.
 *
 * @param {typeof import('../../src/index.ts')} library
 * @param {typeof import('../../src/training/index.ts')} training
 * @param {string} location of tests/fixtures/bert/sequenceClassification
 * @param {'simd' | 'reference'} kernels
 * @returns {Promise<number[]>} the loss of each step, dropout and all
 */
export async function learn({ BertForSequenceClassification, Engine }, { AdamW, Trainer }, location, kernels) {
  const engine = new Engine({ kernels, threads: 1 });
  const model = await BertForSequenceClassification.fromPretrained(location, { engine });
  const examples = Array.from({ length: 8 }, (_, i) => ({
    inputIds: Array.from({ length: 4 + (i % 5) }, (_, j) => (7 * i + 11 * j) % 60),
    label: i % 3,
  }));
  model.train();
  const trainer = new Trainer({
    optimizer: new AdamW(model.parameters(), { lr: 1e-3 }),
    epochs: 6,
    batches: () => [examples.slice(0, 4), examples.slice(4)],
    loss: (batch) => {
      const output = model.forward({ inputIds: batch.map(({ inputIds }) => inputIds) });
      return model.loss(output, { labels: batch.map(({ label }) => label) });
    },
  });
  const { history } = await trainer.train();
  return history.map(({ loss }) => loss);
}

/**
 * Speed of each family at the size of its base model, random weights, 8 texts of 128 tokens, one thread:
 * `npx tsx bench/families.ts [turns] [lengths]`. Families take turns; of each the best turn counts, since the machine may be shared.
 * Operations are those of all products: linear layers, attention, and what DeBERTa multiplies distances with.
 */
import {
  AlbertConfig,
  AlbertModel,
  BertConfig,
  BertModel,
  DebertaConfig,
  DebertaModel,
  DebertaV2Config,
  DebertaV2Model,
  DistilBertConfig,
  DistilBertModel,
  ElectraConfig,
  ElectraModel,
  ModernBertConfig,
  ModernBertModel,
  MPNetConfig,
  MPNetModel,
  NomicBertConfig,
  NomicBertModel,
  randomWeights,
  RobertaConfig,
  RobertaModel,
} from '../src/bert/index.ts';
import { PackedBatch } from '../src/layers/index.ts';
import { Engine } from '../src/tensor/index.ts';

const turns = Number(process.argv[2] ?? 5);
const lengths = (process.argv[3] ?? '128,128,128,128,128,128,128,128').split(',').map(Number);

const vocabSize = 1000; // no look-up is counted
const relative = { relativeAttention: true, posAttType: ['c2p', 'p2c'], positionBiasedInput: false };
const base = { hiddenSize: 768, numHiddenLayers: 12, numAttentionHeads: 12, intermediateSize: 3072 };
const families: [name: string, make: (engine: Engine) => BertModel][] = [
  ['BERT', (engine) => make(BertModel, new BertConfig({ vocabSize }), engine)],
  ['RoBERTa', (engine) => make(RobertaModel, new RobertaConfig({ vocabSize }), engine)],
  ['DistilBERT', (engine) => make(DistilBertModel, new DistilBertConfig({ vocabSize }), engine)],
  ['ALBERT', (engine) => make(AlbertModel, new AlbertConfig({ vocabSize, ...base }), engine)],
  ['ELECTRA', (engine) => make(ElectraModel, new ElectraConfig({ vocabSize, ...base, embeddingSize: 768 }), engine)],
  ['MPNet', (engine) => make(MPNetModel, new MPNetConfig({ vocabSize }), engine)],
  ['DeBERTa', (engine) => make(DebertaModel, new DebertaConfig({ vocabSize, ...relative }), engine)],
  [
    'DeBERTa-v3',
    (engine) =>
      make(
        DebertaV2Model,
        new DebertaV2Config({
          vocabSize,
          ...base,
          ...relative,
          positionBuckets: 256,
          shareAttKey: true,
          normRelEbd: 'layer_norm',
        }),
        engine,
      ),
  ],
  ['ModernBERT', (engine) => make(ModernBertModel, new ModernBertConfig({ vocabSize, padTokenId: 0 }), engine)],
  ['NomicBERT', (engine) => make(NomicBertModel, new NomicBertConfig({ vocabSize }), engine)],
];

type AnyClass = new (config: never, weights: ReturnType<typeof randomWeights>) => BertModel;

function make(modelClass: AnyClass, config: BertConfig, engine: Engine): BertModel {
  return new modelClass(config as never, randomWeights(config, { engine }));
}

/** Multiplications and additions of all products in one pass. */
function operations(name: string, { hiddenSize, intermediateSize, numHiddenLayers }: BertConfig): number {
  const gated = name === 'ModernBERT' || name === 'NomicBERT';
  const tokens = lengths.reduce((sum, n) => sum + n, 0);
  const weights = 4 * hiddenSize ** 2 + (gated ? 3 : 2) * hiddenSize * intermediateSize;
  const reach = 64;
  const seen = (n: number, local: boolean) => (local ? n * Math.min(n, 2 * reach + 1) : n * n);
  let sum = 0;
  for (let layer = 0; layer < numHiddenLayers; layer++) {
    const local = name === 'ModernBERT' && layer % 3 !== 0;
    sum += 2 * tokens * weights;
    for (const n of lengths) sum += 4 * seen(n, local) * hiddenSize;
    if (!name.startsWith('DeBERTa')) continue;
    const distances = Math.min(2 * Math.max(...lengths) - 1, 512);
    sum += 2 * 2 * distances * hiddenSize ** 2;
    for (const n of lengths) sum += 2 * 2 * n * distances * hiddenSize;
  }
  return sum;
}

const batch = new PackedBatch({
  inputIds: lengths.map((n, s) => Int32Array.from({ length: n }, (_, i) => 5 + ((17 * i + s) % 900))),
});
const models = families.map(([name, load]) => {
  const model = load(new Engine({ threads: 1 })).eval();
  model.engine.scope(() => void model.forward(batch)); // the memory grows, the code gets compiled
  return { name, model, best: Infinity };
});
const { kernels, arithmetic, tile } = models[0].model.engine.info();
console.log(
  `Node ${process.version}, ${kernels}, ${arithmetic}, tile ${tile}; texts of ${lengths.join(', ')} tokens\n`,
);
for (let turn = 0; turn < turns; turn++) {
  for (const entry of models) {
    const start = performance.now();
    entry.model.engine.scope(() => void entry.model.forward(batch));
    entry.best = Math.min(entry.best, performance.now() - start);
  }
}
const rate = ({ name, model, best }: (typeof models)[number]) => operations(name, model.config) / best / 1e6;
console.log('| family | layers | tokens/s | GFLOP | GFLOP/s | of BERT |\n| --- | --- | --- | --- | --- | --- |');
for (const entry of models) {
  const { name, model, best } = entry;
  const figures = [
    name,
    model.encoder.layers.length,
    ((1000 * batch.totalTokens) / best).toFixed(0),
    (operations(name, model.config) / 1e9).toFixed(0),
    rate(entry).toFixed(1),
    (rate(entry) / rate(models[0])).toFixed(2),
  ];
  console.log(`| ${figures.join(' | ')} |`);
}

/**
 * Pretraining from nothing, beside PyTorch: the same first weights, the same masked pairs in the same order, the same settings;
 * only the dropout is drawn by each library for itself.
 *
 *     npx tsx bench/pretraining.ts [--input FILE] [--out FOLDER] [--epochs 4]     vocabulary, training; writes what Python needs
 *     python bench/pretraining.py FOLDER                                          the twin
 *     npx tsx bench/pretraining.ts --plot --out FOLDER                            both curves: bench/plots/pretraining.svg
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  AutoTokenizer,
  BertConfig,
  BertForPreTraining,
  MemoryFiles,
  modelFiles,
  randomWeights,
  trainWordPiece,
  type Tensor,
} from '../src/index.ts';
import { writeSafetensors, type TensorInput } from '../src/safetensors/index.ts';
import {
  fineTune,
  lineChart,
  maskStream,
  maskTokens,
  PreTraining,
  readDocuments,
  sentencePairs,
  type ExampleBatch,
  type LogRecord,
  type TokenExample,
} from '../src/training/index.ts';

const { values } = parseArgs({
  options: {
    input: { type: 'string', default: '../shared/data/us-speeches.txt' },
    out: { type: 'string', default: '.cache/bench/pretraining' },
    epochs: { type: 'string', default: '4' },
    plot: { type: 'boolean', default: false },
  },
});
const [MAX_LENGTH, BATCH, SEED] = [64, 32, 0];
const options = { epochs: Number(values.epochs), batchSize: BATCH, lr: 5e-4, warmupRatio: 0.1, seed: SEED };

if (values.plot) plot();
else await train();

async function train(): Promise<void> {
  const documents: string[][] = [];
  for await (const document of readDocuments(readFileSync(values.input), values.input)) documents.push(document);
  const isHeld = (_: unknown, i: number) => i % 20 === 19;
  const kept = documents.filter((document, i) => !isHeld(document, i));
  const source = new MemoryFiles((await trainWordPiece(kept.flat(), { vocabSize: 8000 })).files());
  const tokenizer = await AutoTokenizer.fromPretrained(source);
  const config = new BertConfig({
    ...{ vocabSize: tokenizer.vocabSize, hiddenSize: 256, numHiddenLayers: 4, numAttentionHeads: 4 },
    ...{ intermediateSize: 1024, maxPositionEmbeddings: 128 },
  });
  const model = new BertForPreTraining(config, randomWeights(config, { seed: SEED }));
  model.tieWeights();
  mkdirSync(values.out, { recursive: true });
  for (const [name, bytes] of modelFiles(model)) writeFileSync(join(values.out, name), bytes);

  const pairs = sentencePairs(kept, tokenizer, { maxLength: MAX_LENGTH, seed: SEED });
  const held = sentencePairs(documents.filter(isHeld), tokenizer, { maxLength: MAX_LENGTH, seed: SEED });
  console.log(`${documents.length} documents, ${pairs.length} pairs, ${held.length} held out`);
  const steps: ExampleBatch<TokenExample>[] = [];
  class Recorded extends PreTraining {
    override loss(batch: ExampleBatch<TokenExample>): Tensor {
      steps.push(batch);
      return super.loss(batch);
    }
  }
  const recipe = new Recorded(model, tokenizer, { seed: SEED, maxLength: MAX_LENGTH });
  const history: LogRecord[] = [{ epoch: 0, step: 0, ...recipe.evaluate(held) }];
  await fineTune(recipe, pairs, held, {
    ...options,
    onLog: (record) => {
      history.push(record);
      if (record.step % 100 === 0 || 'epoch' in record) console.log(JSON.stringify(record));
    },
  });
  writeFileSync(join(values.out, 'bertscript.json'), JSON.stringify(history));
  writeFileSync(join(values.out, 'settings.json'), JSON.stringify({ ...options, totalSteps: steps.length }));
  const evaluation = [];
  for (let start = 0; start < held.length; start += 16) {
    const examples = held.slice(start, start + 16);
    evaluation.push({ examples, indices: Int32Array.from(examples, (_, i) => start + i), epoch: -1 });
  }
  writeFileSync(join(values.out, 'train.safetensors'), writeSafetensors(padded(steps, BATCH)));
  writeFileSync(join(values.out, 'eval.safetensors'), writeSafetensors(padded(evaluation, 16)));

  /** The batches as the model was given them: `[batches, size, MAX_LENGTH]`, labels -100 where nothing is to be guessed. */
  function padded(batches: ExampleBatch<TokenExample>[], size: number): Map<string, TensorInput> {
    const shape = [batches.length, size, MAX_LENGTH];
    const count = batches.length * size * MAX_LENGTH;
    const [ids, mask, types] = [0, 1, 2].map(() => new BigInt64Array(count));
    const labels = new BigInt64Array(count).fill(-100n);
    const next = new BigInt64Array(batches.length * size).fill(-100n);
    const { maskTokenId, clsTokenId, sepTokenId, padTokenId, unkTokenId, vocabSize } = tokenizer;
    const specialIds = new Set([maskTokenId, clsTokenId, sepTokenId, padTokenId, unkTokenId].map((id) => id!));
    const vocabulary = { maskTokenId: maskTokenId!, vocabSize, specialIds };
    batches.forEach(({ examples, indices, epoch }, b) => {
      examples.forEach(({ inputIds, wordIds, tokenTypeIds, nextSentenceLabel }, i) => {
        const at = (b * size + i) * MAX_LENGTH;
        const stream = maskStream(SEED, epoch, indices[i]);
        const hidden = maskTokens(inputIds, wordIds, stream, vocabulary, { probability: 0.15, unit: 'token' });
        hidden.inputIds.forEach((id, t) => {
          ids[at + t] = BigInt(id);
          mask[at + t] = 1n;
          types[at + t] = BigInt(tokenTypeIds[t]);
        });
        hidden.positions.forEach((position, p) => (labels[at + position] = BigInt(hidden.labels[p])));
        next[b * size + i] = BigInt(nextSentenceLabel!);
      });
    });
    return new Map<string, TensorInput>([
      ['input_ids', { dtype: 'I64', shape, data: ids }],
      ['attention_mask', { dtype: 'I64', shape, data: mask }],
      ['token_type_ids', { dtype: 'I64', shape, data: types }],
      ['labels', { dtype: 'I64', shape, data: labels }],
      ['next_sentence_label', { dtype: 'I64', shape: shape.slice(0, 2), data: next }],
    ]);
  }
}

function plot(): void {
  const series = ['bertscript', 'pytorch'].flatMap((name) => {
    const history = JSON.parse(readFileSync(join(values.out, `${name}.json`), 'utf8')) as LogRecord[];
    const losses = history.filter((record) => 'loss' in record);
    const held = history.filter(
      (record): record is { epoch: number; step: number } & Record<string, number> => !('loss' in record),
    );
    // The mean of 20 steps, so that two curves can be told apart.
    const points = losses.flatMap(({ step }, i): [number, number][] =>
      (i + 1) % 20 === 0 ? [[step, losses.slice(i - 19, i + 1).reduce((sum, { loss }) => sum + loss, 0) / 20]] : [],
    );
    console.log(
      name,
      held
        .map(({ step, mlm_loss, perplexity }) => `${step}: ${mlm_loss.toFixed(3)} (${perplexity.toFixed(1)})`)
        .join('  '),
    );
    return [
      { name: `${name}: training loss (masked words and next sentence)`, points },
      {
        name: `${name}: masked words, held-out text`,
        points: held.map(({ step, mlm_loss }) => [step, mlm_loss] as const),
      },
    ];
  });
  const chart = lineChart(series, {
    title: 'Pretraining from nothing, the same batches',
    xLabel: 'step',
    yLabel: 'loss',
  });
  writeFileSync(new URL('plots/pretraining.svg', import.meta.url), chart);
}

import { quantizeRows, type LoadOptions, type LoadReport } from '../bert/index.ts';
import { CheckpointError, ConfigError, show } from '../errors.ts';
import { readObjectIfAny, type ModelFiles } from '../hub/index.ts';
import { Embedding, Module, PackedBatch, Weights, type ModelInputs, type ParameterStore } from '../layers/index.ts';
import { loadTensors, toFloat32, toInt32, type TensorView } from '../safetensors/index.ts';
import { Engine, type Matrix, type Tensor } from '../tensor/index.ts';

/**
 * A vector for each token, whatever stands around it: sentence-transformers' StaticEmbedding, and model2vec (Tulkens & van
 * Dongen 2024). The mean of a text's vectors is the text's.
 */
export class StaticEmbeddings extends Module {
  readonly engine: Engine;
  /** [vocabSize, size] */
  readonly embedding: Embedding;
  readonly loadReport: LoadReport;
  readonly config: { readonly vocabSize: number; readonly hiddenSize: number; readonly maxSequenceLength: number };

  /** @param maxSequenceLength tokens of a text, where its tokenizer.json has a limit */
  constructor(weights: Weights, vocabSize: number, size: number, loadReport: LoadReport, maxSequenceLength = Infinity) {
    super('');
    this.config = { vocabSize, hiddenSize: size, maxSequenceLength };
    this.engine = weights.store.engine;
    this.embedding = new Embedding(weights.scope('embedding'), vocabSize, size);
    this.loadReport = loadReport;
  }

  /** @throws CheckpointError if the weights are no table of vectors; see `loadTensors` for the rest */
  static async fromPretrained(files: ModelFiles, options: LoadOptions = {}): Promise<StaticEmbeddings> {
    const { engine = new Engine(), dtype = 'auto' } = options;
    if (!['auto', 'f32', 'q8'].includes(dtype)) {
      throw new ConfigError({ what: 'dtype', expected: '"auto", "f32" or "q8"', got: show(dtype) });
    }
    const { tensors } = await loadTensors(files);
    const table = tensors.get('embedding.weight') ?? tensors.get('embeddings');
    if (table?.shape.length !== 2) {
      throw new CheckpointError({
        what: files.location,
        expected: 'a tensor "embedding.weight" or "embeddings", [tokens, size]',
        got: table ? `[${table.shape.join(', ')}]` : [...tensors.keys()].slice(0, 5).join(', '),
      });
    }
    const [rows, size] = [(tensors.get('mapping') ?? table).shape[0], table.shape[1]];
    const numbers = foldedRows(table, tensors.get('mapping'), tensors.get('weights'), files.location);
    const keep = (): Matrix => {
      const matrix = engine.keepMatrix(rows, size, dtype === 'q8' ? 'q8' : 'f32');
      const { values, scale } =
        dtype === 'q8' ? quantizeRows(numbers, rows, table.name) : { values: numbers, scale: null };
      engine.kernels.packRows(matrix.packed, 0, scale ? values : engine.tensor(numbers, [rows, size]).data);
      if (scale) matrix.packed.scale!.set(scale);
      return matrix;
    };
    const store: ParameterStore = {
      engine,
      untrained: false,
      has: () => true,
      load: () => engine.keep([0]), // there is nothing but the table
      loadMatrix: keep,
    };
    const used = [table.name, 'mapping', 'weights'];
    const unused = [...tensors.keys()].filter((name) => !used.includes(name));
    const report: LoadReport = { dtype: dtype === 'q8' ? 'q8' : 'f32', unused, initialized: [] };
    return new StaticEmbeddings(new Weights(store), rows, size, report, await readTruncation(files));
  }

  /** @returns `lastHiddenState` [totalTokens, size] */
  forward(inputs: ModelInputs): { batch: PackedBatch; lastHiddenState: Tensor } {
    const batch = PackedBatch.from(inputs);
    return { batch, lastHiddenState: this.embedding.forward(batch.inputIds) };
  }
}

/** model2vec's files may have a row for several tokens (`mapping`), and a factor for each token (`weights`). */
function foldedRows(
  table: TensorView,
  mapping: TensorView | undefined,
  weights: TensorView | undefined,
  location: string,
): Float32Array {
  const [entries, size] = table.shape;
  const numbers = toFloat32(table);
  if (mapping === undefined && weights === undefined) return numbers;
  const tokens = mapping ? toInt32(mapping) : Int32Array.from({ length: entries }, (_, row) => row);
  const factors = weights ? toFloat32(weights) : new Float32Array(tokens.length).fill(1);
  const bad = tokens.find((row) => row < 0 || row >= entries);
  if (bad !== undefined || factors.length !== tokens.length) {
    throw new CheckpointError({
      what: `${location}: mapping and weights`,
      expected: `one of each per token, rows 0 to ${entries - 1}`,
      got: bad === undefined ? `${tokens.length} and ${factors.length}` : `row ${bad}`,
    });
  }
  const folded = new Float32Array(tokens.length * size);
  tokens.forEach((row, token) => {
    for (let i = 0; i < size; i++) folded[token * size + i] = numbers[row * size + i] * factors[token];
  });
  return folded;
}

/** What tokenizer.json cuts texts to: sentence-transformers sets no limit of its own for these models. */
async function readTruncation(files: ModelFiles): Promise<number> {
  const { truncation = null } = (await readObjectIfAny(files, 'tokenizer.json')) ?? {};
  const { max_length: length = Infinity } = (truncation ?? {}) as { max_length?: unknown };
  if (length === Infinity || (Number.isSafeInteger(length) && (length as number) >= 1)) return length as number;
  throw new ConfigError({
    what: `${files.location}/tokenizer.json: truncation.max_length`,
    expected: 'a number of tokens',
    got: show(length),
  });
}

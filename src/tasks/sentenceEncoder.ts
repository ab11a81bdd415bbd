import { BertModel, type LoadOptions } from '../bert/index.ts';
import { ConfigError, InputError, show } from '../errors.ts';
import { openFiles, type ModelFiles } from '../hub/index.ts';
import { BertTokenizer, type Encoding, type TextInput } from '../tokenizer/index.ts';
import { Engine, normalizeRows, type FloatArray, type Tensor, type WeightType } from '../tensor/index.ts';
import { poolings, readSentenceModules, type PoolingMode, type SentenceModules } from './sentenceModules.ts';
import { poolTokens } from './sentenceVectors.ts';

export interface EncodeTextOptions {
  /** Default: as the model's own files say; a mean for a model that says nothing. */
  pooling?: PoolingMode;
  /** Bring every vector to length 1. Default: as the model's own files say; true for a model that says nothing. */
  normalize?: boolean;
  /** Keep only the first numbers of each vector, for models trained to allow it; normalized again when they were. */
  dimensions?: number;
  /**
   * What to do with a text longer than the model reads: 'truncate' drops the rest and says so in the result, 'error'
   * throws, 'chunk' averages the vectors of consecutive windows, weighted by their tokens. Default 'truncate'.
   */
  overflow?: 'truncate' | 'error' | 'chunk';
  /** Called after each batch with the number of texts done. */
  onProgress?: (done: number, total: number) => void;
}

export interface SentenceEmbedding {
  embedding: FloatArray;
  /** Tokens of the whole text, special ones included, before any truncation. */
  tokenCount: number;
  /** Whether a part of the text had no influence on the vector. */
  truncated: boolean;
  /** Precision of the weights that made it. */
  dtype: WeightType;
}

/** Tokens computed at a time. More would only cost memory: without padding, batches save no arithmetic. */
const TOKENS_PER_BATCH = 2048;

/** Texts to vectors, as sentence-transformers (Reimers & Gurevych 2019) makes them from the same files. */
export class SentenceEncoder {
  readonly model: BertModel;
  readonly tokenizer: BertTokenizer;
  /** Most tokens of a text, special ones included: the model's `max_seq_length`, else its position table. */
  readonly maxLength: number;
  readonly #modules: SentenceModules;

  constructor(model: BertModel, tokenizer: BertTokenizer, modules: SentenceModules) {
    const { maxPositionEmbeddings, vocabSize } = model.config;
    this.model = model;
    this.tokenizer = tokenizer;
    this.maxLength = Math.min(modules.maxSeqLength ?? tokenizer.modelMaxLength, maxPositionEmbeddings);
    this.#modules = modules;
    if (tokenizer.vocabSize > vocabSize) {
      throw new ConfigError({
        what: 'tokenizer',
        expected: `at most ${vocabSize} tokens, as the model has embeddings for`,
        got: `${tokenizer.vocabSize}`,
        fix: 'use the tokenizer that belongs to this model',
      });
    }
  }

  /** Loads the encoder, its tokenizer, and the modules of a sentence-transformers model, from a folder or an address. */
  static async fromPretrained(location: string | ModelFiles, options: LoadOptions = {}): Promise<SentenceEncoder> {
    const files = openFiles(location);
    const { engine = new Engine() } = options;
    const model = await BertModel.fromPretrained(files, { ...options, engine });
    const tokenizer = await BertTokenizer.fromPretrained(files);
    return new SentenceEncoder(model, tokenizer, await readSentenceModules(files, engine));
  }

  /** Precision of the encoder's weights. */
  get dtype(): WeightType {
    return this.model.loadReport?.dtype ?? 'f32';
  }

  /** One vector per text, or per pair of texts, in order. See `embeddings` for the errors. */
  encode(texts: readonly TextInput[], options: EncodeTextOptions = {}): SentenceEmbedding[] {
    return [...this.embeddings(texts, options)];
  }

  /**
   * The same, batch by batch, so that a long list need not be held in memory.
   *
   * @throws InputError if a text is no string, or is too long while `overflow` is 'error'; ConfigError for a bad option
   */
  *embeddings(texts: readonly TextInput[], options: EncodeTextOptions = {}): Generator<SentenceEmbedding> {
    if (!Array.isArray(texts)) {
      throw new InputError({ what: 'texts', expected: 'an array', got: show(texts), fix: 'put one text into [ ]' });
    }
    checkOptions(options, this.maxLength);
    let done = 0;
    for (const batch of batches(texts.length, (i) => this.#windows(texts[i], i, options))) {
      for (const { vector, windows } of this.#embed(batch, options)) {
        const [{ tokenCount }] = windows;
        const truncated = options.overflow !== 'chunk' && windows[0].truncated;
        yield { embedding: vector, tokenCount, truncated, dtype: this.dtype };
      }
      done += batch.length;
      options.onProgress?.(done, texts.length);
    }
  }

  /** The encodings that stand for one text: a single one, unless it is chunked. */
  #windows(text: TextInput, index: number, { overflow = 'truncate' }: EncodeTextOptions): Encoding[] {
    const prepared = Array.isArray(text)
      ? (text.map((part) => this.#prepare(part)) as [string, string])
      : this.#prepare(text as string);
    let encoding: Encoding;
    try {
      encoding = this.tokenizer.encode(prepared, { maxLength: this.maxLength, truncation: 'longest_first' });
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      throw new InputError({
        what: `text ${index}`,
        expected: 'a string, or a pair of strings',
        got: show(text),
        cause: error,
      });
    }
    if (encoding.truncated && overflow === 'error') {
      throw new InputError({
        what: `text ${index}`,
        expected: `at most ${this.maxLength} tokens`,
        got: `${encoding.tokenCount}`,
        fix: 'shorten it, or let overflow be "truncate" or "chunk"',
      });
    }
    return overflow === 'chunk' ? [encoding, ...encoding.overflowing] : [encoding];
  }

  #prepare(text: string): string {
    if (typeof text !== 'string') return text; // for the tokenizer to refuse
    const prompted = this.#modules.prompt + text;
    return this.#modules.lowerCase ? prompted.toLowerCase() : prompted;
  }

  #embed(batch: Encoding[][], options: EncodeTextOptions): { vector: FloatArray; windows: Encoding[] }[] {
    const modes = options.pooling ? [options.pooling] : this.#modules.pooling;
    const normalize = options.normalize ?? this.#modules.normalize;
    const { engine } = this.model;
    const encodings = batch.flat();
    const vectors = engine.scope(() => {
      const { lastHiddenState, batch: packed } = this.model.forward({
        inputIds: encodings.map(({ inputIds }) => inputIds),
        tokenTypeIds: encodings.map(({ tokenTypeIds }) => tokenTypeIds),
      });
      let x = averageWindows(poolTokens(lastHiddenState, packed.offsets, modes), batch);
      for (const step of this.#modules.steps) x = step(x);
      if (options.dimensions !== undefined) x = firstColumns(x, options.dimensions);
      return normalize ? normalizeRows(x) : x;
    });
    const size = vectors.shape[1];
    return batch.map((windows, i) => ({ windows, vector: vectors.data.slice(i * size, (i + 1) * size) }));
  }
}

function checkOptions({ pooling, overflow, dimensions }: EncodeTextOptions, maxLength: number): void {
  if (pooling !== undefined && !Object.hasOwn(poolings, pooling)) {
    throw new ConfigError({
      what: 'pooling',
      expected: `one of ${Object.keys(poolings).join(', ')}`,
      got: show(pooling),
    });
  }
  if (overflow !== undefined && !['truncate', 'error', 'chunk'].includes(overflow)) {
    throw new ConfigError({ what: 'overflow', expected: 'truncate, error or chunk', got: show(overflow) });
  }
  if (dimensions !== undefined && !(Number.isSafeInteger(dimensions) && dimensions >= 1)) {
    throw new ConfigError({ what: 'dimensions', expected: 'a whole number of at least 1', got: show(dimensions) });
  }
  if (maxLength < 3) {
    throw new ConfigError({
      what: 'max_seq_length',
      expected: 'room for a token between the special ones',
      got: `${maxLength}`,
    });
  }
}

/** Texts in order, as many at a time as have TOKENS_PER_BATCH tokens together; a longer one is alone. */
function* batches(count: number, windowsOf: (index: number) => Encoding[]): Generator<Encoding[][]> {
  let batch: Encoding[][] = [];
  let tokens = 0;
  for (let i = 0; i < count; i++) {
    const windows = windowsOf(i);
    const length = windows.reduce((sum, window) => sum + window.length, 0);
    if (batch.length > 0 && tokens + length > TOKENS_PER_BATCH) {
      yield batch;
      [batch, tokens] = [[], 0];
    }
    batch.push(windows);
    tokens += length;
  }
  if (batch.length > 0) yield batch;
}

/** One row per text: the mean of its windows' rows, weighted by their tokens. */
function averageWindows(x: Tensor, batch: Encoding[][]): Tensor {
  if (batch.every((windows) => windows.length === 1)) return x;
  const size = x.shape[1];
  const y = x.engine.zeros([batch.length, size]);
  let row = 0;
  batch.forEach((windows, text) => {
    const total = windows.reduce((sum, { length }) => sum + length, 0);
    for (const { length } of windows) {
      for (let i = 0; i < size; i++) y.data[text * size + i] += (x.data[row * size + i] * length) / total;
      row++;
    }
  });
  return y;
}

/** [rows, columns] → [rows, count] */
function firstColumns(x: Tensor, count: number): Tensor {
  const [rows, columns] = x.shape;
  if (count > columns) {
    throw new ConfigError({ what: 'dimensions', expected: `at most ${columns}, the model's own`, got: `${count}` });
  }
  const y = x.engine.zeros([rows, count]);
  for (let r = 0; r < rows; r++) y.data.set(x.data.subarray(r * columns, r * columns + count), r * count);
  return y;
}

import { BertModel, type LoadOptions } from '../bert/index.ts';
import { CheckpointError, ConfigError, expectOptions, InputError, show } from '../errors.ts';
import { openFiles, type ModelFiles, type ModelLocation } from '../hub/index.ts';
import { BertTokenizer, type Encoding, type TextInput, type Tokenizer } from '../tokenizer/index.ts';
import { Engine, normalizeRows, type FloatArray, type Tensor, type WeightType } from '../tensor/index.ts';
import {
  poolings,
  readSentenceModules,
  transformerFiles,
  type PoolingMode,
  type SentenceModules,
} from './sentenceModules.ts';
import { poolTokens } from './sentenceVectors.ts';
import type { StaticEmbeddings } from './staticEmbeddings.ts';

type Overflow = 'truncate' | 'error' | 'chunk';

export interface EncodeTextOptions {
  /** Default: as the model's own files say; a mean for a model that says nothing. */
  pooling?: PoolingMode;
  /** Bring every vector to length 1. Default: as the model's own files say; true for a model that says nothing. */
  normalize?: boolean;
  /** Keep only the first numbers of each vector, for models trained to allow it; normalized again when they were. */
  dimensions?: number;
  /**
   * What to do with a text longer than the model reads: 'truncate' drops the rest and says so in the result, 'error'
   * throws, 'chunk' averages the vectors of consecutive windows, weighted by their tokens; a pair of texts has none.
   * Default 'truncate'.
   */
  overflow?: Overflow;
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

/**
 * Tokens computed at a time. Without padding, batches save no arithmetic: MiniLM does as many tokens a second 256 at a
 * time as 4096 at a time, to 2 %, but takes 68 MB for those and 503 MB for these; 152 MB for as many as here.
 */
const TOKENS_PER_BATCH = 1024;

/**
 * Texts to vectors, as sentence-transformers (Reimers & Gurevych 2019) makes them from the same files. This class loads BERT
 * alone, for a page that must stay small; `SentenceEncoder` every family, every tokenizer, and tables of vectors.
 */
export class BertSentenceEncoder {
  /** An encoder, or a table of vectors. */
  readonly model: BertModel | StaticEmbeddings;
  readonly tokenizer: Tokenizer;
  /**
   * Most tokens of a text, special ones included: the model's `max_seq_length`, else its position table. Tables of vectors
   * have no limit but that of their tokenizer.json.
   */
  readonly maxLength: number;
  readonly #modules: SentenceModules;

  constructor(model: BertModel | StaticEmbeddings, tokenizer: Tokenizer, modules: SentenceModules) {
    const { maxSequenceLength, vocabSize } = model.config;
    this.model = model;
    this.tokenizer = tokenizer;
    const usual = modules.isStatic ? Infinity : tokenizer.modelMaxLength;
    this.maxLength = Math.min(modules.maxSeqLength ?? usual, maxSequenceLength);
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
  static async fromPretrained(location: ModelLocation, options: LoadOptions = {}): Promise<BertSentenceEncoder> {
    const files = openFiles(location);
    const transformer = await transformerFiles(files);
    expectOptions('options of fromPretrained', options, ['dtype', 'engine', 'initializeMissing', 'seed', 'labels']);
    const { engine = new Engine() } = options;
    const modules = await readSentenceModules(files, engine);
    const model = await this.loadModel(transformer, { ...options, engine }, modules.isStatic);
    return new this(model, await this.loadTokenizer(transformer), modules);
  }

  protected static loadModel(
    files: ModelFiles,
    options: LoadOptions,
    isStatic: boolean,
  ): Promise<BertModel | StaticEmbeddings> {
    if (!isStatic) return BertModel.fromPretrained(files, options);
    const fix = 'load it with SentenceEncoder';
    throw new ConfigError({ what: files.location, expected: 'a BERT model', got: 'a table of vectors', fix });
  }

  protected static loadTokenizer(files: ModelFiles): Promise<Tokenizer> {
    return BertTokenizer.fromPretrained(files);
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
   * @throws InputError, before anything is computed, if a text is no string, or is too long while `overflow` is 'error';
   *         ConfigError for a bad option; CheckpointError if a vector is not finite
   */
  *embeddings(texts: readonly TextInput[], options: EncodeTextOptions = {}): Generator<SentenceEmbedding> {
    if (!Array.isArray(texts)) {
      throw new InputError({ what: 'texts', expected: 'an array', got: show(texts), fix: 'put one text into [ ]' });
    }
    checkOptions(options, this.maxLength);
    const { overflow = 'truncate', onProgress } = options;
    for (const [i, text] of texts.entries()) expectText(text, i);
    if (overflow !== 'truncate') texts.forEach((text, i) => this.#encode(text, i, overflow)); // refuses what is too long
    let done = 0;
    for (const batch of batches(this.#windows(texts, overflow), tokensOf)) {
      for (const [i, embedding] of this.#embed(batch, options).entries()) {
        expectFinite(embedding, done + i);
        const [{ tokenCount, truncated }] = batch[i];
        yield { embedding, tokenCount, truncated: truncated && overflow !== 'chunk', dtype: this.dtype };
      }
      done += batch.length;
      onProgress?.(done, texts.length);
    }
  }

  /** Of each text the encodings that stand for it: a single one, unless it is chunked. */
  *#windows(texts: readonly TextInput[], overflow: Overflow): Generator<Encoding[]> {
    for (const [i, text] of texts.entries()) {
      const encoding = this.#encode(text, i, overflow);
      yield overflow === 'chunk' ? [encoding, ...encoding.overflowing] : [encoding];
    }
  }

  #encode(text: TextInput, index: number, overflow: Overflow): Encoding {
    const { prompt, lowerCase, isStatic } = this.#modules;
    const ready = (part: string) => (lowerCase ? part.toLowerCase() : part);
    const prepared: TextInput =
      typeof text === 'string' ? ready(prompt + text) : [ready(prompt + text[0]), ready(text[1])];
    const encoding = this.tokenizer.encode(prepared, {
      ...(this.maxLength < Infinity && { maxLength: this.maxLength, truncation: 'longest_first' }),
      addSpecialTokens: !isStatic,
    });
    const what = `text ${index}`;
    if (encoding.truncated && overflow === 'error') {
      throw new InputError({
        what,
        expected: `at most ${this.maxLength} tokens`,
        got: `${encoding.tokenCount}`,
        fix: 'shorten it, or let overflow be "truncate" or "chunk"',
      });
    }
    // The windows of a pair are all combinations of those of its texts: far too many, and each of them half a pair.
    if (encoding.truncated && overflow === 'chunk' && typeof text !== 'string') {
      throw new InputError({
        what,
        expected: `a pair of at most ${this.maxLength} tokens, since only single texts are cut into windows`,
        got: `${encoding.tokenCount}`,
        fix: 'shorten it, or let overflow be "truncate"',
      });
    }
    return encoding;
  }

  /** One vector per text. */
  #embed(batch: Encoding[][], options: EncodeTextOptions): FloatArray[] {
    const modes = options.pooling ? [options.pooling] : this.#modules.pooling;
    const normalize = options.normalize ?? this.#modules.normalize;
    const vectors = this.model.engine.scope(() => {
      // The windows of a long text are too many for one pass.
      const passes = [...batches(batch.flat(), ({ length }) => length)];
      let x = averageWindows(
        passes.map((windows) => this.#pool(windows, modes)),
        batch,
      );
      for (const step of this.#modules.steps) x = step(x);
      if (options.dimensions !== undefined) x = firstColumns(x, options.dimensions);
      return normalize ? normalizeRows(x) : x;
    });
    const size = vectors.shape[1];
    return batch.map((_, i) => vectors.data.slice(i * size, (i + 1) * size));
  }

  /** One row per window; the memory of the forward pass is given back. */
  #pool(windows: Encoding[], modes: readonly PoolingMode[]): Tensor {
    return this.model.engine.scope(() => {
      const inputs = {
        inputIds: windows.map(({ inputIds }) => inputIds),
        tokenTypeIds: windows.map(({ tokenTypeIds }) => tokenTypeIds),
      };
      if (modes.length === 1 && this.model instanceof BertModel) {
        return this.model.forwardPooled(inputs, poolings[modes[0]]).pooled;
      }
      const { lastHiddenState, batch } = this.model.forward(inputs);
      return poolTokens(lastHiddenState, batch.offsets, modes);
    });
  }
}

function checkOptions(options: EncodeTextOptions, maxLength: number): void {
  expectOptions('options of encode', options, ['pooling', 'normalize', 'dimensions', 'overflow', 'onProgress']);
  const { pooling, overflow, dimensions, onProgress } = options;
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
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw new ConfigError({ what: 'onProgress', expected: 'a function', got: show(onProgress) });
  }
  if (maxLength < 3) {
    throw new ConfigError({
      what: 'max_seq_length',
      expected: 'room for a token between the special ones',
      got: `${maxLength}`,
    });
  }
}

function expectText(text: unknown, index: number): void {
  const isPair = Array.isArray(text) && text.length === 2 && text.every((part) => typeof part === 'string');
  if (typeof text === 'string' || isPair) return;
  throw new InputError({ what: `text ${index}`, expected: 'a string, or a pair of strings', got: show(text) });
}

function expectFinite(vector: FloatArray, index: number): void {
  const bad = vector.find((x) => !Number.isFinite(x));
  if (bad === undefined) return;
  throw new CheckpointError({
    what: `vector of text ${index}`,
    expected: 'finite numbers',
    got: `${bad}`,
    fix: 'check the weights of the model: they, or the activations they lead to, overflow',
  });
}

const tokensOf = (windows: Encoding[]) => windows.reduce((sum, { length }) => sum + length, 0);

/** Items in order, as many at a time as have TOKENS_PER_BATCH tokens together; a longer one is alone. */
function* batches<T>(items: Iterable<T>, tokens: (item: T) => number): Generator<T[]> {
  let batch: T[] = [];
  let total = 0;
  for (const item of items) {
    if (batch.length > 0 && total + tokens(item) > TOKENS_PER_BATCH) {
      yield batch;
      [batch, total] = [[], 0];
    }
    batch.push(item);
    total += tokens(item);
  }
  if (batch.length > 0) yield batch;
}

/** One row per text: the mean of its windows' rows, which lie end to end in `parts`, weighted by their tokens. */
function averageWindows(parts: Tensor[], batch: Encoding[][]): Tensor {
  if (parts.length === 1 && batch.every((windows) => windows.length === 1)) return parts[0];
  const size = parts[0].shape[1];
  const y = parts[0].engine.zeros([batch.length, size]);
  const rows = parts.flatMap(({ data, shape }) =>
    Array.from({ length: shape[0] }, (_, r) => data.subarray(r * size, (r + 1) * size)),
  );
  let window = 0;
  batch.forEach((windows, text) => {
    const total = tokensOf(windows);
    const mean = new Float64Array(size);
    for (const { length } of windows) {
      const row = rows[window++];
      for (let i = 0; i < size; i++) mean[i] += (row[i] * length) / total;
    }
    y.data.set(mean, text * size);
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

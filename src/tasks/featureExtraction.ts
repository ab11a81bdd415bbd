import { InputError } from '../errors.ts';
import type { FloatArray } from '../tensor/index.ts';
import type { TextInput } from '../tokenizer/index.ts';
import { forwardWindows, tokenRows } from './load.ts';
import {
  batches,
  checkRunOptions,
  collect,
  expectInputs,
  runJobs,
  step,
  type Inputs,
  type RunOptions,
  type TextReport,
} from './run.ts';
import type { BertSentenceEncoder as SentenceEncoder } from './sentenceEncoder.ts';
import { type EncodeTextOptions, type SentenceEmbedding } from './sentenceEncoder.ts';
import { placeTokens, readText, textOrPair, type TextOrPair } from './windows.ts';

/** One vector per text. Chunks of a long text are averaged, weighted by their tokens. */
export type EmbeddingOptions = RunOptions & Omit<EncodeTextOptions, keyof RunOptions>;

/** A vector per token, as it leaves the encoder. In chunks, a token has the vector of the window that shows most around it. */
export type TokenEmbeddingOptions = RunOptions & { pooling: 'none' };

export interface TokenEmbeddings extends TextReport {
  /** With the special ones, unless the text was read in chunks: those have no single vector then. */
  tokens: string[];
  /** A vector for each of them. */
  embeddings: FloatArray[];
}

export interface FeatureExtraction {
  (text: TextOrPair, options: TokenEmbeddingOptions): Promise<TokenEmbeddings>;
  (texts: readonly TextOrPair[], options: TokenEmbeddingOptions): Promise<TokenEmbeddings[]>;
  (text: TextOrPair, options?: EmbeddingOptions): Promise<SentenceEmbedding>;
  (texts: readonly TextOrPair[], options?: EmbeddingOptions): Promise<SentenceEmbedding[]>;
  stream(texts: Inputs<TextOrPair>, options: TokenEmbeddingOptions): AsyncGenerator<TokenEmbeddings, void, undefined>;
  stream(texts: Inputs<TextOrPair>, options?: EmbeddingOptions): AsyncGenerator<SentenceEmbedding, void, undefined>;
  readonly encoder: SentenceEncoder;
}

/** Vectors of texts, as `SentenceEncoder` makes them, or of their tokens. */
export function featureExtraction(encoder: SentenceEncoder): FeatureExtraction {
  const { tokenizer, maxLength, model } = encoder;

  async function* streamTexts(texts: Inputs<TextOrPair>, options: EmbeddingOptions) {
    checkRunOptions('feature-extraction', options, ['pooling', 'normalize', 'dimensions']);
    expectInputs(texts);
    const { onProgress, signal, ...own } = options;
    const total = Array.isArray(texts) ? texts.length : undefined;
    let [read, done] = [0, 0];
    const ready = (text: TextOrPair) => textOrPair(text, `text ${read++}`);
    for await (const batch of batches(texts, ready, charactersOf, CHARACTERS_PER_BATCH, signal)) {
      yield* await step(signal, () => renumbering(done, () => encoder.encode(batch, own)));
      done += batch.length;
      onProgress?.(done, total);
    }
  }

  function streamTokens(texts: Inputs<TextOrPair>, options: TokenEmbeddingOptions) {
    checkRunOptions('feature-extraction without pooling', options, ['pooling']);
    const { overflow = 'truncate' } = options;
    const stride = overflow === 'chunk' ? Math.floor(maxLength / 4) : 0;
    return runJobs(
      texts,
      (windows) => forwardWindows({ model }, windows, (output) => tokenRows(output, output.lastHiddenState!)),
      (input: TextOrPair, index) => {
        const what = `text ${index}`;
        const { windows, report } = readText(tokenizer, textOrPair(input, what), { what, maxLength, overflow, stride });
        return {
          windows,
          finish: (rows): TokenEmbeddings => {
            if (windows.length === 1) return { tokens: windows[0].tokens, embeddings: rows[0], ...report };
            const places = placeTokens(windows, stride);
            const tokens = places.map(({ window, index }) => windows[window].tokens[index]);
            return { tokens, embeddings: places.map(({ window, index }) => rows[window][index]), ...report };
          },
        };
      },
      options,
    );
  }

  const stream = (texts: Inputs<TextOrPair>, options: EmbeddingOptions | TokenEmbeddingOptions = {}) =>
    options.pooling === 'none'
      ? streamTokens(texts, options as TokenEmbeddingOptions)
      : streamTexts(texts, options as EmbeddingOptions);
  const call = async (texts: TextOrPair | readonly TextOrPair[], options?: EmbeddingOptions) => {
    const many = Array.isArray(texts);
    const results = await collect<unknown>(stream(many ? texts : [texts as TextOrPair], options));
    return many ? results : results[0];
  };
  return Object.assign(call, { stream, encoder }) as FeatureExtraction;
}

/** The encoder makes its own batches, of these. */
const CHARACTERS_PER_BATCH = 4096;

const charactersOf = (text: TextInput) => (typeof text === 'string' ? text.length : text[0].length + text[1].length);

/** Runs `body`; its errors count texts from the first of all, not of the batch. */
function renumbering<T>(first: number, body: () => T): T {
  try {
    return body();
  } catch (error) {
    const index = error instanceof InputError ? /^text (\d+)$/.exec(error.what)?.[1] : undefined;
    if (index === undefined) throw error;
    const { expected, got, fix } = error as InputError;
    const facts = { ...(expected && { expected }), ...(got && { got }), ...(fix && { fix }) };
    throw new InputError({ what: `text ${first + Number(index)}`, ...facts, cause: error });
  }
}

import { expectOptions, InputError, show, TokenizerError } from '../errors.ts';
import type { AddedTokens } from './addedTokens.ts';
import { assemble, pad } from './assemble.ts';
import type { Decoder } from './decoder.ts';
import { type EncodeDefaults, type EncodeOptions, planEncoding } from './encodeOptions.ts';
import type { Encoding } from './encoding.ts';
import type { Model } from './model.ts';
import { NormalizedString } from './normalizedString.ts';
import type { Normalizer } from './normalizer.ts';
import { type PostProcessor, templateOf } from './postProcessor.ts';
import { type PreTokenizer, Splits } from './preTokenizer.ts';
import { NumberRoom, TokenizedText, TokenRoom } from './tokenizedText.ts';

/** Texts up to this many UTF-16 units go through the same arrays, one after another. */
const SHORT = 8192;

/** Texts of a batch share rooms of this size (64 kB), which stay as long as any encoding made from them. */
const LARGEST_ROOM = 1 << 14;

/** Bytes of the buffers that its arrays of numbers share. */
const NUMBERS = 1 << 14;

/** One text, or two that belong together. */
export type TextInput = string | readonly [string, string];

/** The special tokens that models give a meaning to, by name; a tokenizer may lack any. */
export type SpecialTokenNames = Partial<Record<'cls' | 'sep' | 'pad' | 'unk' | 'mask' | 'bos' | 'eos', string>>;

/** The stages of a tokenizer, as in a tokenizer.json. */
export interface Pipeline extends EncodeDefaults {
  normalizer: Normalizer | undefined;
  preTokenizer: PreTokenizer | undefined;
  model: Model;
  postProcessor: PostProcessor;
  decoder: Decoder;
  addedTokens: AddedTokens;
  specialTokens: SpecialTokenNames;
  /** A faster way through the stages up to the model. */
  scanner?: Scanner | undefined;
}

/** Does in one pass what the stages up to the model do one after another, where it can. */
export interface Scanner {
  /** Adds the tokens of a text. False, and nothing added, if that takes the stages. */
  scan(text: string, tokens: TokenizedText): boolean;
}

/** Encodings of a batch, and their arrays side by side: as long as each text, unless padding was asked for. */
export interface BatchEncoding {
  readonly encodings: Encoding[];
  readonly inputIds: Int32Array[];
  readonly attentionMask: Int32Array[];
  readonly tokenTypeIds: Int32Array[];
}

/**
 * Text to token ids and back, by the stages of a tokenizer.json. Gives what the Rust `tokenizers` give, token for token
 * and offset for offset. Nothing is truncated or padded unless asked for.
 */
export class Tokenizer {
  /** Most tokens the model was made for, special ones included; Infinity when its config does not say. */
  readonly modelMaxLength: number;
  readonly vocabSize: number;
  readonly #pipeline: Pipeline;
  readonly #shortText = new NormalizedString();
  readonly #nameOf = (id: number) => this.idToToken(id)!;

  constructor(pipeline: Pipeline) {
    this.#pipeline = pipeline;
    this.modelMaxLength = pipeline.modelMaxLength;
    this.vocabSize = pipeline.model.vocabSize + pipeline.addedTokens.countBeyondModel;
  }

  /**
   * @param text one text, or `[first, second]`
   * @throws InputError when it is not text, or cannot be truncated as asked
   * @throws ConfigError for an option without sense
   */
  encode(text: TextInput, options: EncodeOptions = {}): Encoding {
    return this.#encodeAll([textsOf(text, 'text')], options)[0];
  }

  /**
   * Encodes many texts or pairs.
   *
   * @throws InputError as `encode` does, naming the text's index
   */
  encodeBatch(texts: readonly TextInput[], options: EncodeOptions = {}): BatchEncoding {
    if (!Array.isArray(texts)) {
      throw new InputError({ what: 'texts', expected: 'an array', got: show(texts), fix: 'use encode for one text' });
    }
    const inputs = Array.from(texts as readonly TextInput[], (text, index) => textsOf(text, `texts[${index}]`));
    const encodings = this.#encodeAll(inputs, options);
    let attentionMask: Int32Array[] | undefined;
    let tokenTypeIds: Int32Array[] | undefined;
    return {
      encodings,
      inputIds: encodings.map((encoding) => encoding.inputIds),
      get attentionMask() {
        return (attentionMask ??= encodings.map((encoding) => encoding.attentionMask));
      },
      get tokenTypeIds() {
        return (tokenTypeIds ??= encodings.map((encoding) => encoding.tokenTypeIds));
      },
    };
  }

  /** The tokens of a text, without special tokens. */
  tokenize(text: string): string[] {
    return this.encode(text, { addSpecialTokens: false }).tokens;
  }

  /**
   * The text of token ids, as near as the tokens tell it.
   *
   * @throws InputError for an id that no token has
   */
  decode(ids: ArrayLike<number>, options: { skipSpecialTokens?: boolean } = {}): string {
    const { addedTokens, decoder } = this.#pipeline;
    expectOptions('options of decode', options, ['skipSpecialTokens']);
    if (typeof ids !== 'object' || typeof ids?.length !== 'number') {
      throw new InputError({ what: 'ids', expected: 'an array of token ids', got: show(ids) });
    }
    let tokens = Array.from(ids, (id, index) => {
      const token = this.idToToken(id);
      if (token !== undefined) return token;
      throw new InputError({
        what: `ids[${index}]`,
        expected: `the id of one of ${this.vocabSize} tokens`,
        got: show(id),
        fix: 'check that the ids belong to this tokenizer',
      });
    });
    if (options.skipSpecialTokens) tokens = tokens.filter((token) => !addedTokens.isSpecial(token));
    return decoder.decodeChain(tokens).join('');
  }

  decodeBatch(batch: readonly ArrayLike<number>[], options: { skipSpecialTokens?: boolean } = {}): string[] {
    if (!Array.isArray(batch)) throw new InputError({ what: 'batch', expected: 'an array', got: show(batch) });
    return batch.map((ids) => this.decode(ids as ArrayLike<number>, options));
  }

  /** The text of token strings, as `decode` makes it of their ids. */
  convertTokensToString(tokens: readonly string[]): string {
    return this.#pipeline.decoder.decodeChain([...tokens]).join('');
  }

  tokenToId(token: string): number | undefined {
    return this.#pipeline.addedTokens.tokenToId(token) ?? this.#pipeline.model.tokenToId(token);
  }

  idToToken(id: number): string | undefined {
    return this.#pipeline.addedTokens.idToToken(id) ?? this.#pipeline.model.idToToken(id);
  }

  get clsTokenId(): number | undefined {
    return this.#specialId('cls');
  }

  get sepTokenId(): number | undefined {
    return this.#specialId('sep');
  }

  get padTokenId(): number | undefined {
    return this.#specialId('pad');
  }

  get unkTokenId(): number | undefined {
    return this.#specialId('unk');
  }

  get maskTokenId(): number | undefined {
    return this.#specialId('mask');
  }

  #specialId(role: keyof SpecialTokenNames): number | undefined {
    const token = this.#pipeline.specialTokens[role];
    return token === undefined ? undefined : this.tokenToId(token);
  }

  #encodeAll(inputs: readonly string[][], options: EncodeOptions): Encoding[] {
    // Elsewhere the second texts of pairs come second: taken for options, they would get lost without a word.
    if (typeof options !== 'object' || options === null || Array.isArray(options)) {
      throw new InputError({ what: 'options of encode', got: show(options), fix: 'give a pair as [first, second]' });
    }
    const plan = planEncoding(options, this.#pipeline);
    const { postProcessor, specialTokens } = this.#pipeline;
    const single = templateOf(postProcessor, false, plan.addSpecialTokens);
    const pair = templateOf(postProcessor, true, plan.addSpecialTokens);
    let units = 0;
    for (const texts of inputs) for (const text of texts) units += text.length;
    const room = new TokenRoom(Math.min(units + 64, LARGEST_ROOM));
    const numbers = new NumberRoom(inputs.length > 1 ? NUMBERS : 0);
    const encodings = inputs.map((texts) => {
      const tokenized = texts.map((text) => this.#tokenizeText(text, room));
      return assemble(tokenized, texts.length === 2 ? pair : single, plan.truncation, postProcessor.trims, numbers);
    });
    if (plan.padding === undefined) return encodings;
    const id = this.padTokenId;
    if (id === undefined) {
      const fix = 'name its pad_token in tokenizer_config.json';
      throw new TokenizerError({ what: 'padding', expected: 'a padding token', got: 'none', fix });
    }
    return pad(encodings, plan.padding, specialTokens.pad!, id);
  }

  /** All stages up to the model. */
  #tokenizeText(text: string, room: TokenRoom): TokenizedText {
    const tokens = new TokenizedText(text, this.#nameOf, room);
    if (!this.#pipeline.scanner?.scan(text, tokens)) this.#tokenizeByStages(text, tokens);
    tokens.close();
    return tokens;
  }

  /** One stage after another, on the stretches between added tokens. */
  #tokenizeByStages(text: string, tokens: TokenizedText): void {
    const { addedTokens, normalizer } = this.#pipeline;
    const whole = text.length > SHORT ? new NormalizedString(text) : this.#shortText.read(text);
    for (const { id, start, end } of addedTokens.raw.sections(whole)) {
      if (id >= 0) {
        addToken(id, whole, start, end, tokens);
        continue;
      }
      const stretch = between(whole, start, end);
      normalizer?.normalize(stretch);
      for (const section of addedTokens.normalized.sections(stretch)) {
        if (section.id >= 0) addToken(section.id, stretch, section.start, section.end, tokens);
        else this.#tokenizeStretch(between(stretch, section.start, section.end), tokens);
      }
    }
  }

  /** The last stages, on a text of their own: they may rewrite it. */
  #tokenizeStretch(text: NormalizedString, tokens: TokenizedText): void {
    const { preTokenizer, model } = this.#pipeline;
    let words = new Splits();
    words.push(0, text.length);
    if (preTokenizer) words = preTokenizer.preTokenize(text, words);
    for (let i = 0; i < words.length; i++) {
      model.tokenize(text, words.starts[i], words.ends[i], tokens);
      tokens.word++;
    }
  }
}

/** The part of a text, or the text itself when that is all of it. */
function between(text: NormalizedString, start: number, end: number): NormalizedString {
  return end - start === text.length ? text : text.slice(start, end);
}

/** Adds an added token, found at [start, end) of the text. */
function addToken(id: number, text: NormalizedString, start: number, end: number, tokens: TokenizedText): void {
  tokens.pushWord(text.toString(start, end), id, text.starts[start], text.ends[end - 1]);
}

/** The text, or both of a pair. */
function textsOf(input: TextInput, name: string): string[] {
  if (typeof input === 'string') return [input];
  if (Array.isArray(input) && input.length === 2 && input.every((text) => typeof text === 'string')) return [...input];
  throw new InputError({
    what: name,
    expected: 'a string or a pair of strings',
    got: show(input),
    fix: 'convert it to text first',
  });
}

import { ConfigError, show } from '../errors.ts';
import type { Side, TruncationStrategy } from './truncation.ts';

/** To the longest of a batch, or to `maxLength`. */
export type PaddingStrategy = 'longest' | 'max_length';

/** Options of `encode` and `encodeBatch`, with the names and meanings of transformers. */
export interface EncodeOptions {
  /** Most tokens, special ones included; when truncating or padding without it, the model's own maximum. */
  maxLength?: number;
  /** `true` means `longest_first`, and so does a `maxLength` alone, without padding. Default: false. */
  truncation?: TruncationStrategy | boolean;
  /** Default: as the tokenizer's config says, else right. */
  truncationSide?: Side;
  /** Tokens that each window shares with the one before it (see `Encoding.overflowing`). Default: 0. */
  stride?: number;
  /** `true` means `longest`. Default: false, for models of this library take texts of any lengths together. */
  padding?: PaddingStrategy | boolean;
  /** Default: as the tokenizer's config says, else right. */
  paddingSide?: Side;
  /** When padding, up to a multiple of this. */
  padToMultipleOf?: number;
  /** Put special tokens, such as `[CLS]` and `[SEP]`, around the texts. Default: true. */
  addSpecialTokens?: boolean;
}

/** What a tokenizer answers where the options are silent. */
export interface EncodeDefaults {
  modelMaxLength: number;
  truncationSide: Side;
  paddingSide: Side;
}

/** The options, checked, with nothing left open. */
export interface EncodePlan {
  addSpecialTokens: boolean;
  truncation: { strategy: TruncationStrategy; maxLength: number; stride: number; side: Side } | undefined;
  padding: { length: number | 'longest'; multipleOf: number; side: Side } | undefined;
}

/** @throws ConfigError naming the option that has no sense */
export function planEncoding(options: EncodeOptions, defaults: EncodeDefaults): EncodePlan {
  const stride = wholeNumber('stride', options.stride ?? 0, 0);
  const multipleOf = wholeNumber('padToMultipleOf', options.padToMultipleOf ?? 1, 1);
  const truncationSide = oneOf('truncationSide', options.truncationSide ?? defaults.truncationSide, SIDES);
  const paddingSide = oneOf('paddingSide', options.paddingSide ?? defaults.paddingSide, SIDES);
  if (options.maxLength !== undefined) wholeNumber('maxLength', options.maxLength, 0);
  const { maxLength = defaults.modelMaxLength } = options;

  const padding = options.padding === true ? 'longest' : (options.padding ?? false);
  if (padding !== false) oneOf('padding', padding, ['longest', 'max_length']);
  const truncation = options.truncation ?? (options.maxLength !== undefined && padding === false);
  const strategy = truncation === true ? 'longest_first' : truncation;
  if (strategy !== false) oneOf('truncation', strategy, ['longest_first', 'only_first', 'only_second']);

  if ((strategy !== false || padding === 'max_length') && maxLength === Infinity) {
    const what = strategy !== false ? 'truncation' : 'padding "max_length"';
    throw new ConfigError({ what, expected: 'a maximum length', fix: 'give maxLength: this tokenizer has no own' });
  }
  return {
    addSpecialTokens: options.addSpecialTokens ?? true,
    truncation: strategy === false ? undefined : { strategy, maxLength, stride, side: truncationSide },
    padding:
      padding === false
        ? undefined
        : { length: padding === 'longest' ? padding : maxLength, multipleOf, side: paddingSide },
  };
}

const SIDES = ['left', 'right'] as const;

function wholeNumber(option: string, value: number, minimum: number): number {
  if (Number.isSafeInteger(value) && value >= minimum) return value;
  throw new ConfigError({ what: option, expected: `a whole number, ${minimum} or more`, got: show(value) });
}

function oneOf<T extends string>(option: string, value: T, allowed: readonly T[]): T {
  if (allowed.includes(value)) return value;
  throw new ConfigError({ what: option, expected: `one of ${allowed.join(', ')}`, got: show(value) });
}

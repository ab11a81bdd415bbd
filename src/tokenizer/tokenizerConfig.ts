import type { EncodeDefaults } from './encodeOptions.ts';
import type { JsonField } from './jsonField.ts';
import type { SpecialTokenNames } from './tokenizer.ts';
import type { Side } from './truncation.ts';

/** What a tokenizer_config.json says beside the stages themselves. */
export interface TokenizerConfig extends EncodeDefaults {
  specialTokens: SpecialTokenNames;
}

/** Above this, `model_max_length` is how transformers writes that there is none. */
const LARGEST_LENGTH = 1e9;

/**
 * Reads a tokenizer_config.json; an empty object where there is none.
 *
 * @param defaults special tokens of the model's family
 * @throws TokenizerError for a malformed field
 */
export function readTokenizerConfig(json: JsonField, defaults: SpecialTokenNames): TokenizerConfig {
  const specialTokens: SpecialTokenNames = { ...defaults };
  for (const role of ['cls', 'sep', 'pad', 'unk', 'mask', 'bos', 'eos'] as const) {
    const token = json.get(`${role}_token`).optional(readToken);
    if (token !== undefined) specialTokens[role] = token;
  }
  return {
    specialTokens,
    modelMaxLength: json.get('model_max_length').optional(readMaxLength) ?? Infinity,
    truncationSide: json.get('truncation_side').optional(readSide) ?? 'right',
    paddingSide: json.get('padding_side').optional(readSide) ?? 'right',
  };
}

/** A token is a string or, as transformers also writes it, an object with its `content`. */
function readToken(json: JsonField): string {
  return typeof json.value === 'string' ? json.value : json.get('content').string();
}

function readMaxLength(json: JsonField): number {
  if (typeof json.value === 'number' && json.value > LARGEST_LENGTH) return Infinity;
  return json.count();
}

function readSide(json: JsonField): Side {
  const side = json.string();
  return side === 'left' || side === 'right' ? side : json.fail('"left" or "right"');
}

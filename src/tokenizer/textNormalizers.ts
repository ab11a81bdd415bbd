/** The normalizers of a tokenizer.json beside those of BERT. */
import type { JsonField, Readers } from './jsonField.ts';
import { compose, composeCompatibly, decomposeCompatibly } from './normalForms.ts';
import { NormalizedString } from './normalizedString.ts';
import type { Normalizer } from './normalizer.ts';
import { readPattern, replaceAll } from './pattern.ts';
import { readPrecompiled } from './precompiled.ts';
import { unicode, WHITESPACE } from './unicode.ts';

export const textNormalizers: Readers<Normalizer> = {
  NFC: () => ({ normalize: compose }),
  NFKC: () => ({ normalize: composeCompatibly }),
  NFKD: () => ({ normalize: decomposeCompatibly }),
  Nmt: () => ({ normalize: cleanForTranslation }),
  Precompiled: readPrecompiled,
  Prepend: (json) => prepend(json.get('prepend').string()),
  Replace: readReplace,
  Strip: (json) => strip(json.get('strip_left').boolean(), json.get('strip_right').boolean()),
};

function readReplace(json: JsonField): Normalizer {
  const pattern = readPattern(json.get('pattern'));
  const { codes } = new NormalizedString(json.get('content').string());
  return { normalize: (text) => replaceAll(text, pattern, codes) };
}

/** Deletes whitespace at the ends. */
export function strip(left: boolean, right: boolean): Normalizer {
  return {
    normalize(text) {
      const { classes } = unicode();
      let start = 0;
      let end = text.length;
      const isSpace = (index: number) => (classes[text.codes[index]] & WHITESPACE) !== 0;
      if (right) while (end > 0 && isSpace(end - 1)) end--;
      if (left) while (start < end && isSpace(start)) start++;
      if (start > 0) text.assign(text.slice(start, end));
      else text.length = end;
    },
  };
}

/** Puts a text before one that is not empty. All of it has the range of the first character. */
function prepend(start: string): Normalizer {
  const { codes, length } = new NormalizedString(start);
  return {
    normalize(text) {
      if (text.length === 0 || length === 0) return;
      const result = new NormalizedString();
      for (const code of codes) result.push(code, text.starts[0], text.ends[0]);
      for (let i = 0; i < text.length; i++) result.push(text.codes[i], text.starts[i], text.ends[i]);
      text.assign(result);
    },
  };
}

/** What SentencePiece's `nmt` rules do: deletes control characters, and makes spaces of what separates words. */
function cleanForTranslation(text: NormalizedString): void {
  const { codes, starts, ends, length } = text;
  let kept = 0;
  for (let i = 0; i < length; i++) {
    const code = codes[i];
    if (isDeleted(code)) continue;
    codes[kept] = isSpace(code) ? 0x20 : code;
    starts[kept] = starts[i]!;
    ends[kept++] = ends[i]!;
  }
  text.length = kept;
}

function isDeleted(code: number): boolean {
  if (code >= 0x20) return code === 0x7f || code === 0x8f || code === 0x9f;
  return code !== 0 && code !== 0x09 && code !== 0x0a && code !== 0x0c && code !== 0x0d;
}

function isSpace(code: number): boolean {
  if (code < 0x20) return code === 0x09 || code === 0x0a || code === 0x0c || code === 0x0d;
  return (code >= 0x200b && code <= 0x200f) || SPACES.has(code);
}

const SPACES = /* @__PURE__ */ new Set([0x1680, 0x2028, 0x2029, 0x2581, 0xfeff, 0xfffd]);

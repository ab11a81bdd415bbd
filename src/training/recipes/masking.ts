import { ConfigError, show } from '../../errors.ts';
import { randomStream, randomUniform } from '../../tensor/index.ts';

export interface MaskingOptions {
  /** Share of the tokens that are to be guessed. Default 0.15. */
  probability?: number;
  /** What is hidden together: single tokens; all tokens of a word; or stretches of words (Joshi et al. 2020). Default 'token'. */
  unit?: 'token' | 'word' | 'span';
}

/** The vocabulary that masks are drawn from. */
export interface MaskVocabulary {
  maskTokenId: number;
  vocabSize: number;
  /** Never drawn as a replacement. */
  specialIds: ReadonlySet<number>;
}

export interface MaskedTokens {
  inputIds: Int32Array;
  /** Places of the tokens to be guessed, rising. */
  positions: Int32Array;
  /** What stood there. */
  labels: Int32Array;
}

/** Of spans: the probability that one ends after a word, and their greatest length (Joshi et al. 2020, §3.1). */
const [SPAN_END, LONGEST_SPAN] = [0.2, 10];

/**
 * Hides tokens for a masked language model (Devlin et al. 2019, §3.1 and appendix A.1): of those to be guessed 80 % become
 * [MASK], 10 % another token, 10 % stay.
 *
 * @param wordIds word of each token; null for special tokens, which are never hidden
 * @param stream  of random numbers; the same stream hides the same tokens
 */
export function maskTokens(
  inputIds: Int32Array,
  wordIds: readonly (number | null)[],
  stream: number,
  { maskTokenId, vocabSize, specialIds }: MaskVocabulary,
  { probability = 0.15, unit = 'token' }: MaskingOptions = {},
): MaskedTokens {
  if (!(probability > 0 && probability < 1)) {
    throw new ConfigError({ what: 'masking: probability', expected: 'between 0 and 1', got: show(probability) });
  }
  let draws = 0;
  const draw = () => randomUniform(stream, draws++);
  const units = unitsOf(wordIds, unit);
  const total = wordIds.filter((word) => word !== null).length;
  const budget = Math.max(1, Math.round(total * probability));
  const longest = unit === 'span' ? Math.min(LONGEST_SPAN, units.length) : 1;
  const hidden = new Set<number>();
  // In a random order, until there are enough; a unit that would be too much is passed over.
  for (let left = units.length; left > 0 && hidden.size < budget; left--) {
    const at = Math.floor(draw() * (unit === 'span' ? units.length : left));
    const tokens = [...units[at]];
    // Beyond the end a span goes on at the beginning: so all words are hidden equally often.
    for (let i = at + 1; i < at + longest && draw() > SPAN_END; i++) {
      const next = units[i % units.length];
      if (tokens.length + next.length > budget) break;
      tokens.push(...next);
    }
    const fits = hidden.size + tokens.filter((token) => !hidden.has(token)).length <= budget || hidden.size === 0;
    if (fits) tokens.forEach((token) => hidden.add(token));
    if (unit !== 'span') [units[at], units[left - 1]] = [units[left - 1], units[at]];
  }
  const positions = Int32Array.from(hidden).sort();
  const masked = inputIds.slice();
  for (const position of positions) {
    const kind = draw();
    if (kind < 0.8) masked[position] = maskTokenId;
    else if (kind < 0.9) masked[position] = anyToken();
  }
  return { inputIds: masked, positions, labels: positions.map((position) => inputIds[position]) };

  function anyToken(): number {
    for (;;) {
      const id = Math.floor(draw() * vocabSize);
      if (!specialIds.has(id)) return id;
    }
  }
}

/** Tokens that are hidden together: each alone, or those of a word. */
function unitsOf(wordIds: readonly (number | null)[], unit: 'token' | 'word' | 'span'): number[][] {
  const units: number[][] = [];
  wordIds.forEach((word, token) => {
    if (word === null) return;
    const joins = unit !== 'token' && token > 0 && wordIds[token - 1] === word;
    if (joins) units.at(-1)!.push(token);
    else units.push([token]);
  });
  return units;
}

/** The stream of masks for an example in an epoch. */
export function maskStream(seed: number, epoch: number, index: number): number {
  return randomStream(seed, `mask of example ${index}, epoch ${epoch}`);
}

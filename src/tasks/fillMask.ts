import { ConfigError, InputError, show, TokenizerError } from '../errors.ts';
import type { AnyOutput } from '../bert/index.ts';
import type { Encoding, Tokenizer } from '../tokenizer/index.ts';
import { expectFinite, expectOutput, expectTokenizer, forwardWindows, maxLengthOf, type TaskModel } from './load.ts';
import { callable, checkRunOptions, runJobs, type RunOptions, type Task, type TextReport } from './run.ts';
import { expectCount, softmax, topIndices } from './scores.ts';
import { expectText, placeTokens, readText } from './windows.ts';

export interface FillMaskOptions extends RunOptions {
  /** How many words for each mask, the best first. Default 5. */
  topK?: number;
  /** Only these words, each a single token. Their scores are what they have among all tokens. */
  targets?: readonly string[];
}

export interface MaskFilling {
  score: number;
  /** The token's number. */
  token: number;
  tokenStr: string;
  /** The text, read back from its tokens, with this token in this mask; other masks stay. */
  sequence: string;
}

/** Of each mask in the text, in order, the best words; and how the text was read. */
export type FillMaskResult = MaskFilling[][] & TextReport;

export type FillMask = Task<string, FillMaskOptions, FillMaskResult>;

/** Each mask's scores of the vocabulary take a lot of memory, and all tokens of a batch may be masks: 31 MB for BERT's. */
const TOKENS_PER_BATCH = 256;

/** Words that would stand in the place of each mask. In a long text read in chunks, a mask sees one window around it. */
export function fillMask(loaded: TaskModel): FillMask {
  expectTokenizer(loaded);
  const { tokenizer } = loaded;
  const maxLength = maxLengthOf(loaded);
  const mask = tokenizer.maskTokenId;
  if (mask === undefined) {
    throw new TokenizerError({ what: 'fill-mask: tokenizer', expected: 'a mask token', got: 'none' });
  }
  const maskToken = tokenizer.idToToken(mask)!;

  return callable((inputs, options = {}) => {
    checkRunOptions('fill-mask', options, ['topK', 'targets']);
    const { topK = 5, overflow = 'truncate' } = options;
    expectCount('topK', topK);
    const targets = options.targets && targetIds(tokenizer, options.targets);
    const stride = overflow === 'chunk' ? Math.floor(maxLength / 4) : 0;
    return runJobs(
      inputs,
      (windows) => forwardMasks(loaded, windows, mask),
      (input, index) => {
        const what = `text ${index}`;
        const text = expectText(input, what);
        const { windows, report } = readText(tokenizer, text, { what, maxLength, overflow, stride });
        const places = placeTokens(windows, stride);
        const ids = places.map((place) => windows[place.window].inputIds[place.index]);
        const masks = ids.flatMap((id, token) => (id === mask ? [token] : []));
        const all = report.truncated ? count(tokenizer.encode(text), mask) : masks.length;
        expectMasks(masks.length, all, maskToken, what);
        return {
          windows,
          finish: (rows): FillMaskResult => {
            const fillings = masks.map((token) => {
              const { window, index } = places[token];
              const scores = softmax(rows[window].get(index)!);
              const best = targets
                ? topIndices(
                    targets.map((id) => scores[id]),
                    topK,
                  ).map((i) => targets[i])
                : topIndices(scores, topK);
              return best.map((id) => {
                const filled = tokenizer.decode(ids.with(token, id));
                return { score: scores[id], token: id, tokenStr: tokenizer.decode([id]), sequence: filled };
              });
            });
            return Object.assign(fillings, report);
          },
        };
      },
      options,
      TOKENS_PER_BATCH,
    );
  });
}

/** Of each window, by their places, the logits of its masks: [vocabSize]. Other tokens' are not computed. @throws CheckpointError if one is not finite */
function forwardMasks(loaded: TaskModel, windows: readonly Encoding[], mask: number) {
  const places = windows.map(({ inputIds }) => Array.from(inputIds.keys()).filter((i) => inputIds[i] === mask));
  let begin = 0;
  const predictionTokens = Int32Array.from(
    windows.flatMap(({ length }, w) => {
      const first = begin;
      begin += length;
      return places[w].map((i) => first + i);
    }),
  );
  const read = (output: AnyOutput) => {
    const perMask = output.logitsPer === 'predictionToken' ? output.logits : undefined;
    const { data, shape } = expectOutput('logits of masked words', output.predictionLogits ?? perMask);
    let row = 0;
    const next = () => {
      const logits = data.slice(row * shape[1], ++row * shape[1]);
      expectFinite(logits);
      return logits;
    };
    return places.map((own) => new Map(own.map((i) => [i, next()])));
  };
  return forwardWindows(loaded, windows, read, { predictionTokens });
}

const count = ({ inputIds }: Encoding, wanted: number) => inputIds.filter((id) => id === wanted).length;

/** @throws InputError if there is no mask, or one where the text was cut off */
function expectMasks(found: number, all: number, mask: string, what: string): void {
  if (found > 0 && all === found) return;
  if (all === 0) {
    throw new InputError({ what, expected: `${mask} in place of a word`, got: 'none', fix: `put ${mask} into it` });
  }
  const fix = 'shorten it, or let overflow be "chunk"';
  throw new InputError({ what, expected: 'every mask within what the model reads', got: `${found} of ${all}`, fix });
}

/** @throws InputError for a word that is not one token; ConfigError for none */
function targetIds(tokenizer: Tokenizer, targets: readonly string[]): number[] {
  if (!Array.isArray(targets) || targets.length === 0) {
    throw new ConfigError({ what: 'targets', expected: 'a list of words, one at least', got: show(targets) });
  }
  const ids = targets.map((target: unknown) => {
    if (typeof target !== 'string') throw new InputError({ what: 'targets', expected: 'words', got: show(target) });
    const known = tokenizer.tokenToId(target);
    if (known !== undefined) return known;
    const { inputIds, tokens } = tokenizer.encode(target, { addSpecialTokens: false });
    if (inputIds.length === 1 && inputIds[0] !== tokenizer.unkTokenId) return inputIds[0];
    const got = inputIds.length === 1 ? 'an unknown word' : `${tokens.length} tokens, ${tokens.join(' ')}`;
    throw new InputError({ what: `targets: ${show(target)}`, expected: 'one token of the vocabulary', got });
  });
  return [...new Set(ids)];
}

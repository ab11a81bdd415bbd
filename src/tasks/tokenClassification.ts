import { ConfigError, show } from '../errors.ts';
import type { FloatArray } from '../tensor/index.ts';
import type { Encoding, Tokenizer } from '../tokenizer/index.ts';
import { expectOutput, expectTokenizer, forwardWindows, maxLengthOf, tokenRows, type TaskModel } from './load.ts';
import { callable, checkRunOptions, runJobs, type RunOptions, type Task, type TextReport } from './run.ts';
import { argmax, expectOneOf, softmax, weightedMean } from './scores.ts';
import { expectText, placeTokens, readText } from './windows.ts';

const strategies = ['none', 'simple', 'first', 'average', 'max'] as const;

export interface TokenClassificationOptions extends RunOptions {
  /**
   * How tokens become entities. 'none': a result per token. 'simple': neighbours of one label together. 'first', 'average'
   * and 'max' first give each word one label, by its first token, by the mean of its tokens' scores, by its surest token.
   * Default 'none'.
   */
  aggregationStrategy?: (typeof strategies)[number];
  /** Labels to leave out. Default ["O"]. */
  ignoreLabels?: readonly string[];
  /** What `start` and `end` count: UTF-16 units, as `text.slice` does, or code points, as Python. Default 'utf16'. */
  offsets?: 'utf16' | 'codepoint';
}

export interface Entity {
  /** The label; without its B- or I- for tokens that were put together. */
  entity: string;
  score: number;
  /** The tokens, read back: lower case if the tokenizer makes it so. The text itself is at `start` to `end`. */
  word: string;
  start: number;
  end: number;
  /** Place of the token in the text, special tokens counted; for single tokens only. */
  index?: number;
}

/** The entities in the order of the text, and how the text was read. */
export type TokenClassificationResult = Entity[] & TextReport;

export type TokenClassification = Task<string, TokenClassificationOptions, TokenClassificationResult>;

/** A token or a word with its probabilities. */
interface Piece {
  tokens: readonly string[];
  scores: ArrayLike<number>;
  start: number;
  end: number;
  index: number;
  /** Whether the word before goes on here. */
  continues: boolean;
}

type Labelled = Omit<Entity, 'index' | 'word'>;

/**
 * Which tokens of a text are names of something. Long texts are read in chunks by default: windows that share a quarter of
 * their tokens, and of each token the prediction of the window that shows most around it, before any are put together. So
 * no entity is lost, cut or doubled at the edge of a window.
 */
export function tokenClassification(loaded: TaskModel): TokenClassification {
  expectTokenizer(loaded);
  const { tokenizer, model } = loaded;
  const { id2label } = model.config;
  const maxLength = maxLengthOf(loaded);

  return callable((inputs, options = {}) => {
    checkRunOptions('token-classification', options, ['aggregationStrategy', 'ignoreLabels', 'offsets']);
    const { aggregationStrategy: strategy = 'none', ignoreLabels = ['O'], overflow = 'chunk' } = options;
    const { offsets = 'utf16' } = options;
    expectOneOf('aggregationStrategy', strategy, strategies);
    expectLabels(ignoreLabels);
    expectOneOf('offsets', offsets, ['utf16', 'codepoint']);
    const stride = overflow === 'chunk' ? Math.floor(maxLength / 4) : 0;
    return runJobs(
      inputs,
      (windows) =>
        forwardWindows(loaded, windows, (output) => {
          const perToken = output.logitsPer === 'token' ? output.logits : undefined;
          return tokenRows(output, expectOutput('logits of tokens', perToken));
        }),
      (input, index) => {
        const what = `text ${index}`;
        const text = expectText(input, what);
        const { windows, report } = readText(tokenizer, text, { what, maxLength, overflow, stride });
        return {
          windows,
          finish: (logits): TokenClassificationResult => {
            const tokens = tokensOf(tokenizer, text, windows, stride, offsets, logits);
            const ignored = (label: string) => ignoreLabels.includes(label);
            const entities =
              strategy === 'none'
                ? tokens.map((token) => ({ ...labelled(token, id2label), word: token.tokens[0], index: token.index }))
                : group(strategy === 'simple' ? tokens : wordsOf(tokens, strategy), id2label, tokenizer);
            return Object.assign(
              entities.filter(({ entity }) => !ignored(entity)),
              report,
            );
          },
        };
      },
      options,
    );
  });
}

function expectLabels(labels: unknown): void {
  if (Array.isArray(labels) && labels.every((label) => typeof label === 'string')) return;
  throw new ConfigError({ what: 'ignoreLabels', expected: 'a list of labels', got: show(labels) });
}

function tokensOf(
  tokenizer: Tokenizer,
  text: string,
  windows: readonly Encoding[],
  stride: number,
  offsets: 'utf16' | 'codepoint',
  logits: readonly FloatArray[][],
): Piece[] {
  const wordIds = windows.map((window) => window.wordIds);
  const before = windows[0].sequenceIds.indexOf(0); // special tokens at the start
  let lastWord = -1;
  return placeTokens(windows, stride).map(({ window, index }, token) => {
    const encoding = windows[window];
    const id = encoding.inputIds[index];
    const [begin, until] = encoding.offsets[index];
    const [start, end] = offsets === 'utf16' ? [begin, until] : encoding.codePointOffsets[index];
    const wordId = wordIds[window][index]!;
    const continues = wordId === lastWord;
    lastWord = wordId;
    const own = id === tokenizer.unkTokenId ? text.slice(begin, until) : tokenizer.idToToken(id)!;
    return { tokens: [own], scores: softmax(logits[window][index]), start, end, index: before + token, continues };
  });
}

function labelled({ scores, start, end }: Piece, id2label: readonly string[]): Labelled {
  const best = argmax(scores);
  return { entity: id2label[best], score: scores[best], start, end };
}

/** Tokens to words, each with the scores that the strategy gives it. */
function wordsOf(tokens: readonly Piece[], strategy: 'first' | 'average' | 'max'): Piece[] {
  const words: Piece[][] = [];
  for (const token of tokens) {
    if (token.continues && words.length > 0) words[words.length - 1].push(token);
    else words.push([token]);
  }
  const surest = ({ scores }: Piece) => scores[argmax(scores)];
  return words.map((parts) => {
    const rows = parts.map(({ scores }) => scores);
    const scores = {
      first: () => rows[0],
      average: () => weightedMean(rows, new Array<number>(rows.length).fill(1)),
      max: () => parts.reduce((best, part) => (surest(part) > surest(best) ? part : best)).scores,
    }[strategy]();
    return { ...parts[0], tokens: parts.flatMap(({ tokens }) => tokens), scores, end: parts[parts.length - 1].end };
  });
}

/**
 * Neighbours of one kind to entities: B- begins another one; I-, or a label without either, goes on. Tokens are read back all at
 * once: word by word, as transformers does, those of SentencePiece lose the spaces between them, and bytes are read twice.
 */
function group(pieces: readonly Piece[], id2label: readonly string[], tokenizer: Tokenizer): Omit<Entity, 'index'>[] {
  const groups: { kind: string; members: Labelled[]; tokens: string[] }[] = [];
  for (const piece of pieces) {
    const member = labelled(piece, id2label);
    const kind = member.entity.replace(/^[BI]-/, '');
    const last = groups.at(-1);
    if (last?.kind === kind && !member.entity.startsWith('B-')) {
      last.members.push(member);
      last.tokens.push(...piece.tokens);
    } else groups.push({ kind, members: [member], tokens: [...piece.tokens] });
  }
  return groups.map(({ kind, members, tokens }) => ({
    entity: kind,
    score: members.reduce((sum, { score }) => sum + score, 0) / members.length,
    word: tokenizer.convertTokensToString(tokens),
    start: members[0].start,
    end: members[members.length - 1].end,
  }));
}

import { InputError, show } from '../errors.ts';
import { expectFinite, expectPairs, ratio } from './check.ts';

/** What Python's `str.split` splits at; JavaScript's \s lacks the separators of ASCII and has the byte order mark. */
// eslint-disable-next-line no-control-regex
const SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;
/** Whole words, where letters and digits of every script make words. */
const ARTICLES = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;

/** Lower case, without ASCII punctuation, articles and extra spaces: the words that answers are compared by. */
export function answerWords(answer: string): string[] {
  const plain = answer.toLowerCase().replace(/[!-/:-@[-`{-~]/g, '');
  return plain.replace(ARTICLES, ' ').split(SPACE).filter(Boolean);
}

/** 1 if the answer is one of the true ones, but for case, punctuation, articles and spaces; else 0. */
export function exactMatch(prediction: string, answers: readonly string[]): number {
  const words = answerWords(prediction).join(' ');
  return best('exactMatch', answers, (answer) => Number(answerWords(answer).join(' ') === words));
}

/** F1 of the words that prediction and answer share, of the true answer that shares most. */
export function answerF1(prediction: string, answers: readonly string[]): number {
  const found = answerWords(prediction);
  return best('answerF1', answers, (answer) => {
    const left = answerWords(answer);
    if (found.length === 0 || left.length === 0) return Number(found.length === left.length);
    const total = found.length + left.length;
    const shared = found.filter((word) => {
      const at = left.indexOf(word);
      if (at >= 0) left.splice(at, 1);
      return at >= 0;
    });
    return (2 * shared.length) / total;
  });
}

function best(what: string, answers: readonly string[], score: (answer: string) => number): number {
  if (answers.length > 0) return Math.max(...answers.map(score));
  throw new InputError({
    what,
    expected: 'at least one answer',
    got: 'none',
    fix: 'give [""] where there is no answer',
  });
}

export interface SquadScores {
  /** Per cent, like all of these. */
  exact: number;
  f1: number;
  total: number;
  /** Of questions with an answer, and of those without; only where there are both kinds. */
  hasAnswer?: { exact: number; f1: number; total: number };
  noAnswer?: { exact: number; f1: number; total: number };
}

/**
 * The scores of the official script for SQuAD 2.0 (Rajpurkar et al. 2018), which are those of 1.1 where every question has an answer.
 *
 * @param predictions an answer per question; '' says that there is none
 * @param answers     the true answers of each question; [] or [''] when there is none
 * @param noAnswer    probability that there is none, per question; above `threshold` the prediction counts as ''
 */
export function squadScores(
  predictions: readonly string[],
  answers: readonly (readonly string[])[],
  { noAnswer, threshold = 1 }: { noAnswer?: readonly number[]; threshold?: number } = {},
): SquadScores {
  expectPairs('squadScores', predictions, answers);
  if (noAnswer) {
    expectPairs('squadScores: noAnswer', predictions, noAnswer);
    expectFinite('squadScores: noAnswer', noAnswer);
  }
  const scores = predictions.map((text, i) => {
    if (typeof text !== 'string') {
      throw new InputError({ what: `squadScores: prediction ${i}`, expected: 'text', got: show(text) });
    }
    const golden = answers[i].filter((answer) => answerWords(answer).length > 0);
    const truth = golden.length > 0 ? golden : [''];
    // As the official script: a question whose prediction is dropped is right when there is no answer, wrong otherwise.
    const dropped = noAnswer !== undefined && noAnswer[i] > threshold;
    const right = Number(golden.length === 0);
    return {
      hasAnswer: golden.length > 0,
      exact: dropped ? right : exactMatch(text, truth),
      f1: dropped ? right : answerF1(text, truth),
    };
  });
  const summary = (items: typeof scores) => ({
    exact:
      100 *
      ratio(
        items.reduce((sum, { exact }) => sum + exact, 0),
        items.length,
      ),
    f1:
      100 *
      ratio(
        items.reduce((sum, { f1 }) => sum + f1, 0),
        items.length,
      ),
    total: items.length,
  });
  const [hasAnswer, none] = [scores.filter((s) => s.hasAnswer), scores.filter((s) => !s.hasAnswer)];
  const both = hasAnswer.length > 0 && none.length > 0;
  return { ...summary(scores), ...(both && { hasAnswer: summary(hasAnswer), noAnswer: summary(none) }) };
}

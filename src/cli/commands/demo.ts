import { Command } from 'commander';
import { cosineSimilarity, type SentenceEncoder } from '../../tasks/index.ts';
import { clean, fit } from '../display.ts';
import { embedTexts, loadEncoder } from '../encoding.ts';
import type { Io } from '../io.ts';
import { shadedMatrix, shortScore } from '../matrix.ts';
import { addModelOptions, type ModelFlags } from '../modelOptions.ts';
import { jsonLine, writeLines } from '../output.ts';
import { inFlags } from '../words.ts';

/** Three topics, so that the matrix shows three blocks. */
const SENTENCES = [
  'A cat sleeps on the sofa.',
  'The kitten naps on a couch.',
  'Cats doze on soft cushions.',
  'Stocks fell as rates rose.',
  'Share prices dropped today.',
  'Investors sold their shares.',
  'Simmer the soup for an hour.',
  'How long do I boil the stew?',
];

/** What `npm start` shows: sentences become vectors, and vectors tell which of them are alike. */
export function demo(io: Io): Command {
  const command = new Command('demo').description('compare sentences: some that are built in, or your own');
  return addModelOptions(command)
    .argument('[texts...]', 'your own; a single one is compared with the built-in sentences')
    .action(async (own: string[], flags: ModelFlags) => {
      const texts = own.length > 1 ? own : [...own, ...SENTENCES];
      const encoder = await loadEncoder(flags, io);
      const begin = performance.now();
      const embeddings = await embedTexts(encoder, texts, {}, io);
      const seconds = (performance.now() - begin) / 1000;
      const vectors = embeddings.map(({ embedding }) => embedding);
      const score = (a: number, b: number) => cosineSimilarity(vectors[a], vectors[b]);
      if (flags.json) {
        const rows = texts.map((text, index) => ({ index, text, ...nearestTo(index, texts.length, score) }));
        return writeLines(io.stdout, rows.map(jsonLine));
      }
      const tokens = embeddings.reduce((sum, { tokenCount }) => sum + Math.min(tokenCount, encoder.maxLength), 0);
      await io.stdout.write(
        [
          `bertscript: how alike are these ${texts.length} sentences? (cosine of their vectors)\n`,
          shadedMatrix(texts, score, io),
          nearest(texts, score, io.stdout.columns),
          summary(encoder, { texts: texts.length, tokens, seconds, size: vectors[0].length }),
        ]
          .filter((part) => part !== undefined)
          .join('\n'),
      );
    });
}

/** The text most like one of them. */
function nearestTo(index: number, count: number, score: (a: number, b: number) => number) {
  const others = Array.from({ length: count }, (_, i) => i).filter((i) => i !== index);
  const nearest = others.reduce((a, b) => (score(index, b) > score(index, a) ? b : a));
  return { nearest, score: score(index, nearest) };
}

/** For each text the one most like it. */
function nearest(texts: readonly string[], score: (a: number, b: number) => number, columns: number): string {
  const numberWidth = String(texts.length).length;
  const width = Math.floor((Math.min(columns, 100) - 11 - 2 * numberWidth) / 2);
  const label = (i: number) => `${String(i + 1).padStart(numberWidth)} ${fit(clean(texts[i]), width)}`;
  const lines = texts.map((_, i) => {
    const best = nearestTo(i, texts.length, score);
    return `${label(i)}  ${shortScore(best.score).padStart(4)}  ${label(best.nearest)}`.trimEnd();
  });
  return `nearest neighbours\n${lines.join('\n')}\n`;
}

interface Run {
  texts: number;
  tokens: number;
  seconds: number;
  size: number;
}

function summary({ model, dtype }: SentenceEncoder, { texts, tokens, seconds, size }: Run): string {
  const { kernels, arithmetic, threads, notes } = model.engine.info();
  const weights = dtype === 'q8' ? 'int8' : 'float32';
  const speed = `${Math.round(tokens / seconds).toLocaleString('en')} tokens per second`;
  return [
    `${texts} sentences, ${tokens} tokens in ${seconds.toFixed(2)} s: ${speed}`,
    `model: vectors of ${size} numbers, ${weights} weights`,
    `engine: ${kernels} kernels, ${arithmetic}, ${threads} thread${threads > 1 ? 's' : ''}`,
    ...notes.map((text) => `  ${inFlags(text)}`),
    '',
  ].join('\n');
}

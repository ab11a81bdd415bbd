import { Command } from 'commander';
import { UsageError } from '../../errors.ts';
import { cosineSimilarity } from '../../tasks/index.ts';
import { addEncodingOptions, embedTexts, loadEncoder, type EncodingFlags } from '../encoding.ts';
import { addInputOptions, readSingleTexts, type InputFlags } from '../input.ts';
import type { Io } from '../io.ts';
import { shadedMatrix } from '../matrix.ts';
import { addModelOptions, type ModelFlags } from '../modelOptions.ts';
import { jsonLine, table, writeLines } from '../output.ts';

type SimilarityFlags = InputFlags & ModelFlags & EncodingFlags;

/** How alike texts are, each with each. */
export function similarity(io: Io): Command {
  const command = new Command('similarity').description('cosine similarity of two or more texts, each with each');
  return addEncodingOptions(addModelOptions(addInputOptions(command, { pairs: false }))).action(
    async (args: string[], flags: SimilarityFlags) => {
      const texts = await readSingleTexts(args, flags, io);
      if (texts.length < 2) {
        throw new UsageError({ what: 'texts', expected: 'two or more', got: 'one', fix: 'add one to compare it with' });
      }
      const vectors = (await embedTexts(await loadEncoder(flags, io), texts, flags, io)).map((e) => e.embedding);
      const score = (a: number, b: number) => cosineSimilarity(vectors[a], vectors[b]);
      if (flags.json) return writeLines(io.stdout, pairLines(texts.length, score));
      const matrix = shadedMatrix(texts, score, io);
      if (matrix !== undefined) return io.stdout.write(matrix);
      const rows = [...pairs(texts.length)].map(([a, b]) => [
        a,
        b,
        score(a, b).toFixed(4),
        `${texts[a]} | ${texts[b]}`,
      ]);
      await io.stdout.write(table(['a', 'b', 'score', 'texts'], rows, io.stdout));
    },
  );
}

function* pairs(count: number): Generator<[a: number, b: number]> {
  for (let a = 0; a < count; a++) for (let b = a + 1; b < count; b++) yield [a, b];
}

function* pairLines(count: number, score: (a: number, b: number) => number): Generator<string> {
  for (const [a, b] of pairs(count)) yield jsonLine({ a, b, score: score(a, b) });
}

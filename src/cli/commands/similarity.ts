import { Command } from 'commander';
import { UsageError } from '../../errors.ts';
import { cosineSimilarity } from '../../tasks/index.ts';
import { addEncodingOptions, embedTexts, loadEncoder, type EncodingFlags } from '../encoding.ts';
import { addInputOptions, readSingleTexts, type InputFlags } from '../input.ts';
import type { Io } from '../io.ts';
import { shadedMatrix } from '../matrix.ts';
import { addModelOptions, type ModelFlags } from '../modelOptions.ts';
import { printRows } from '../output.ts';

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
      const scores = vectors.map((a) => vectors.map((b) => cosineSimilarity(a, b)));
      const matrix = flags.json ? undefined : shadedMatrix(texts, scores, io);
      if (matrix !== undefined) return io.stdout.write(matrix);
      const pairs = texts.flatMap((_, a) => texts.slice(a + 1).map((_, i) => ({ a, b: a + 1 + i })));
      const rows = pairs.map(({ a, b }) => ({ a, b, score: scores[a][b] }));
      await printRows(io, flags.json, rows, {
        a: ({ a }) => a,
        b: ({ b }) => b,
        score: ({ score }) => score.toFixed(4),
        texts: ({ a, b }) => `${texts[a]} | ${texts[b]}`,
      });
    },
  );
}

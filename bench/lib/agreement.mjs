/** Wrong results are not timed: each check returns what it found, or throws. */
import { maxAbsDifference, mean, rowCosines } from './statistics.mjs';

/** Least cosine to float32 of a token's or text's vector, in the mean. onnxruntime's dynamic int8 gets no closer. */
const LEAST_COSINE = { f32: 0.999999, q8: 0.85 };

/** Rows of `size` numbers against float32 ones. */
export function vectorsAgree(size) {
  return ({ floats, tokens }, expected, { name, dtype }) => {
    if (floats.length !== expected.floats.length) {
      throw new Error(`${name}: ${floats.length} numbers instead of ${expected.floats.length}`);
    }
    if (tokens !== undefined && expected.tokens !== undefined && tokens !== expected.tokens) {
      throw new Error(`${name}: ${tokens} tokens instead of ${expected.tokens}`);
    }
    const cosines = rowCosines(floats, expected.floats, size);
    const found = {
      maxAbs: maxAbsDifference(floats, expected.floats),
      meanCosine: mean(cosines),
      worstCosine: cosines.reduce((a, b) => (b >= a ? a : b)),
      ...(tokens !== undefined && { tokens }),
    };
    const largest = expected.floats.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
    if (!(found.meanCosine >= LEAST_COSINE[dtype]) || (dtype === 'f32' && !(found.maxAbs <= 1e-4 * largest))) {
      throw new Error(`${name} is wrong, so it is not timed: ${JSON.stringify(found)}`);
    }
    return found;
  };
}

/** The same tokens as the first contestant, and the same offsets where both have them. */
export function tokensAgree(outcome, expected, { name }) {
  const differing = outcome.ids.filter((ids, i) => ids.join() !== expected.ids[i].join()).length;
  const found = { texts: outcome.ids.length, textsWithOtherIds: differing };
  if (outcome.offsets && expected.offsets) {
    found.textsWithOtherOffsets = outcome.offsets.filter((o, i) => o.join() !== expected.offsets[i].join()).length;
  }
  // A peer may differ in a few texts; that is recorded. We may not.
  const wrong = differing + (found.textsWithOtherOffsets ?? 0);
  if (wrong > (name.startsWith('bertscript') ? 0 : 0.05 * outcome.ids.length)) {
    throw new Error(`${name} is wrong, so it is not timed: ${JSON.stringify(found)}`);
  }
  return found;
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export const mean = (values) => values.reduce((sum, x) => sum + x, 0) / values.length;

export function cosine(a, b) {
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return ab / Math.sqrt(aa * bb);
}

/** Cosines of rows of `size` numbers. */
export function rowCosines(a, b, size) {
  return Array.from({ length: a.length / size }, (_, r) =>
    cosine(a.subarray(r * size, (r + 1) * size), b.subarray(r * size, (r + 1) * size)),
  );
}

export function maxAbsDifference(a, b) {
  let max = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i] - b[i]);
    if (!(difference <= max)) max = difference; // NaN too
  }
  return max;
}

export function rmsDifference(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return Math.sqrt(sum / a.length);
}

/** Spearman's rank correlation; ties share their mean rank. */
export function spearman(a, b) {
  return pearson(ranks(a), ranks(b));
}

function pearson(a, b) {
  const [meanA, meanB] = [mean(a), mean(b)];
  return cosine(
    a.map((x) => x - meanA),
    b.map((x) => x - meanB),
  );
}

function ranks(values) {
  const order = values.map((_, i) => i).sort((i, j) => values[i] - values[j]);
  const result = new Array(values.length);
  for (let start = 0; start < order.length;) {
    let end = start;
    while (end < order.length && values[order[end]] === values[order[start]]) end++;
    for (let i = start; i < end; i++) result[order[i]] = (start + end - 1) / 2;
    start = end;
  }
  return result;
}

/** A small seeded generator (mulberry32), so that every run draws the same texts. */
export function seededRandom(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

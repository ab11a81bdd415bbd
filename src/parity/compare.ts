import { InputError } from '../errors.ts';
import { toFloat64 } from '../safetensors/index.ts';
import { isInputName, type Reference } from './reference.ts';

/** Numbers with a shape, from any implementation. */
export interface NumericTensor {
  data: ArrayLike<number>;
  shape: readonly number[];
  /** Whether there is a row per token, or a number, so that padding is not compared. Default: as name and shape suggest. */
  perToken?: boolean;
  /** The module that computes it, for `firstDivergingModule`. Default: as the name suggests. */
  module?: string;
}

/** How far one tensor is from its reference. Values at padded positions are left out. */
export interface Comparison {
  tensor: string;
  /** Of `NumericTensor`. */
  module?: string;
  /** Largest |actual - reference|. */
  max_abs: number;
  /** Root of the mean of (actual - reference)². */
  rms: number;
  /** max_abs / max|reference|, infinities left out of the latter. */
  max_rel: number;
  /** Of the angle between the two, as flat vectors; when one of them is zero, 1 if the other is too, else 0. */
  cosine: number;
  /** Index of the largest error. */
  where: number[];
  /** How many values were compared. */
  compared: number;
  /** Within the tolerance; never when nothing was compared. */
  ok: boolean;
}

export interface CompareOptions {
  /** Limit of max_rel, or of max_abs when `absolute`. Default 1e-5. */
  tolerance?: number;
  absolute?: boolean;
}

export interface Report {
  /** Something was compared, nothing is missing, and every tensor is within the tolerance. */
  ok: boolean;
  comparisons: Comparison[];
  /** Reference tensors that nothing was given for: outputs that count as failed … */
  missing: string[];
  /**
   * … and those that are not checked: gradients, losses, activations of modules that the implementation does not have,
   * and outputs of which no value counts, because all their positions are masked.
   */
  skipped: string[];
}

/**
 * Compares an implementation's outputs with those of a reference file, tensor by tensor.
 *
 * @param actual outputs under the names of the reference file
 * @throws InputError if a shape differs, which makes it the reference of another model, or the tolerance is below 0
 */
export function compareWithReference(
  reference: Reference,
  actual: ReadonlyMap<string, NumericTensor>,
  options: CompareOptions = {},
): Report {
  const report: Report = { ok: true, comparisons: [], missing: [], skipped: [] };
  for (const [name, view] of reference.tensors) {
    if (isInputName(name)) continue;
    const given = actual.get(name);
    if (given) {
      const expected = { data: toFloat64(view), shape: view.shape };
      const compares = comparedPositions(name, reference, given.perToken);
      const comparison = compareTensors(name, given, expected, options, compares);
      const { module } = given;
      if (comparison.compared > 0) report.comparisons.push({ ...comparison, ...(module !== undefined && { module }) });
      else report.skipped.push(name);
    } else (isOptional(name) ? report.skipped : report.missing).push(name);
  }
  const order = new Map([...actual.keys()].map((name, i) => [name, i]));
  report.comparisons.sort((a, b) => order.get(a.tensor)! - order.get(b.tensor)!);
  report.ok = report.comparisons.length > 0 && report.missing.length === 0 && report.comparisons.every(({ ok }) => ok);
  return report;
}

/**
 * @param compares which elements count, given their index; by default all
 * @throws InputError if the shapes differ, one of them does not fit its data, or the tolerance is below 0
 */
export function compareTensors(
  name: string,
  actual: NumericTensor,
  reference: NumericTensor,
  { tolerance = 1e-5, absolute = false }: CompareOptions = {},
  compares: (index: readonly number[]) => boolean = () => true,
): Comparison {
  if (!(tolerance >= 0)) {
    throw new InputError({ what: 'tolerance', expected: 'a number of at least 0', got: `${tolerance}` });
  }
  if (actual.shape.join() !== reference.shape.join()) {
    throw new InputError({
      what: `tensor ${name}`,
      expected: `the reference's shape, [${reference.shape.join(', ')}]`,
      got: `[${actual.shape.join(', ')}]`,
    });
  }
  expectData(`tensor ${name}`, actual);
  expectData(`reference of ${name}`, reference);
  const index = reference.shape.map(() => 0);
  let [maxError, maxReference, squares, dot, lengthA, lengthR, compared] = [0, 0, 0, 0, 0, 0, 0];
  let where = [...index];
  for (let i = 0; i < reference.data.length; i++, increment(index, reference.shape)) {
    if (!compares(index)) continue;
    const [a, r] = [actual.data[i], reference.data[i]];
    const difference = a === r ? 0 : Math.abs(a - r);
    const error = Number.isNaN(difference) ? Infinity : difference; // a NaN, or two infinities apart, is as wrong as can be
    if (error > maxError) [maxError, where] = [error, [...index]];
    if (Number.isFinite(r)) maxReference = Math.max(maxReference, Math.abs(r));
    squares += error * error;
    dot += a * r;
    lengthA += a * a;
    lengthR += r * r;
    compared++;
  }
  const maxRelative = maxError === 0 ? 0 : maxError / maxReference;
  return {
    tensor: name,
    max_abs: maxError,
    rms: compared > 0 ? Math.sqrt(squares / compared) : 0,
    max_rel: maxRelative,
    cosine: lengthA > 0 && lengthR > 0 ? dot / Math.sqrt(lengthA) / Math.sqrt(lengthR) : Number(lengthA === lengthR),
    where,
    compared,
    ok: compared > 0 && (absolute ? maxError : maxRelative) <= tolerance,
  };
}

function expectData(what: string, { data, shape }: NumericTensor): void {
  const size = shape.reduce((product, length) => product * length, 1);
  if (data.length === size) return;
  throw new InputError({ what, expected: `${size} values, as [${shape.join(', ')}] has`, got: `${data.length}` });
}

/** Gradients, losses and activations may go unchecked; every other output must be there. */
function isOptional(name: string): boolean {
  return /^(grad|activations)\.|^(loss|sentence_embedding)$/.test(name);
}

/**
 * Padding is not compared: rows (and, in attentions, columns) whose mask is 0. Neither is what a pooler made of a first
 * token that is masked, as under left padding: PyTorch pools that padding, this library the first token that is kept.
 */
function comparedPositions(name: string, reference: Reference, given?: boolean): (index: readonly number[]) => boolean {
  const { mask, sequences, columns, choices, tensors } = reference;
  const kept = (sequence: number, column: number) => mask[sequence * columns + column] === 1;
  const shape = tensors.get(name)!.shape;
  if (name === 'sentence_embedding') return () => true; // made of every token that is kept, wherever those are
  if (/^attentions\./.test(name)) return ([b, , i, j]) => kept(b, i) && kept(b, j);
  const fits = shape[0] === sequences && shape[1] === columns;
  const perToken = fits && (given ?? (shape.length > 2 || /^(start|end)_logits$/.test(name)));
  if (perToken) return ([b, i]) => kept(b, i);
  if (shape[0] === sequences) return ([b]) => kept(b, 0);
  if (choices > 1 && shape[0] * choices === sequences) return ([b, c]) => kept(b * choices + c, 0);
  return () => true;
}

/** The next index in row-major order. */
function increment(index: number[], shape: readonly number[]): void {
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (++index[axis] < shape[axis]) return;
    index[axis] = 0;
  }
}

import { compareTensors, type CompareOptions, type NumericTensor } from './compare.ts';

/**
 * A matcher for vitest and jest: `expect.extend({ toMatchTensor })`, then
 * `expect({ data, shape }).toMatchTensor(reference, { tolerance: 1e-5 })`. The message tells how far off it is, and where.
 */
export function toMatchTensor(
  actual: NumericTensor,
  reference: NumericTensor,
  options: CompareOptions = {},
): { pass: boolean; message: () => string } {
  const { ok, max_abs, max_rel, rms, where, compared } = compareTensors('actual', actual, reference, options);
  return {
    pass: ok,
    message: () =>
      `tensor [${reference.shape.join(', ')}]: ${compared === 0 ? 'nothing to compare; ' : ''}max error ${max_abs.toExponential(2)} at [${where.join(', ')}], ` +
      `${max_rel.toExponential(2)} of the largest value, rms ${rms.toExponential(2)}; ` +
      `tolerance ${options.tolerance ?? 1e-5} (${options.absolute ? 'absolute' : 'of the largest value'})`,
  };
}

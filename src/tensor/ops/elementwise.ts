import { ShapeError } from '../../errors.ts';
import { record } from '../autograd.ts';
import { sharedEngine } from '../engine.ts';
import type { ActivationName, BinaryOperation, FunctionName } from '../kernels/kernels.ts';
import { sameShape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** a + b. b has a's shape, or the shape of its last axes (a bias over rows), or is a single number. */
export const add = (a: Tensor, b: Tensor): Tensor => binary('add', a, b);
/** a - b, with shapes as for `add`. */
export const subtract = (a: Tensor, b: Tensor): Tensor => binary('subtract', a, b);
/** a · b element by element, with shapes as for `add`. */
export const multiply = (a: Tensor, b: Tensor): Tensor => binary('multiply', a, b);
/** a / b element by element, with shapes as for `add`. */
export const divide = (a: Tensor, b: Tensor): Tensor => binary('divide', a, b);

/** x · factor. */
export const scale = (x: Tensor, factor: number): Tensor => multiply(x, x.engine.tensor([factor], []));

/**
 * One of transformers' activations, element by element.
 * 'gelu' is the exact erf form; the tanh form is 'gelu_new' or 'gelu_pytorch_tanh'.
 */
export const activation = (x: Tensor, name: ActivationName): Tensor => apply(x, name);

/** |x|; its slope at 0 is 0. */
export const abs = (x: Tensor): Tensor => apply(x, 'abs');
/** eˣ */
export const exp = (x: Tensor): Tensor => apply(x, 'exp');
/** Natural logarithm. */
export const log = (x: Tensor): Tensor => apply(x, 'log');
/** ln(1 + eˣ) without overflow; -ln σ(x) is softplus(-x). */
export const softplus = (x: Tensor): Tensor => apply(x, 'softplus');
/** Square root. */
export const sqrt = (x: Tensor): Tensor => apply(x, 'sqrt');

/** `activation` of numbers that nobody else reads, on an open tape: their slopes take their place. */
export const activationInPlace = (x: Tensor, name: ActivationName): Tensor => apply(x, name, true);

/** f(x). On an open tape its slopes are kept, in x's place or beside it: with them backward is a product. */
function apply(x: Tensor, name: FunctionName, inPlace = false): Tensor {
  const { engine } = x;
  const y = engine.empty(x.shape);
  const { tape } = engine;
  if (!tape?.wants(x)) {
    engine.kernels.activation(y.data, x.data, name);
    return y;
  }
  const slopes = inPlace ? x : engine.empty(x.shape);
  tape.kernels.activationWithSlopes(y.data, slopes.data, x.data, name);
  return record(y, [x], (dy, [dx], backward, areFirst) => {
    if (areFirst(dx)) engine.kernels.binary(dx!.data, dy.data, slopes.data, 'multiply');
    else backward.addProducts(dx!.data, dy.data, slopes.data);
  });
}

/**
 * A gated activation: the first half of each row, through the activation, times the second half.
 * Source: Shazeer 2020, arXiv:2002.05202, §2.
 *
 * @param x [rows, 2·size]
 * @returns [rows, size]
 */
export function gate(x: Tensor, name: ActivationName): Tensor {
  const [rows, width] = x.shape;
  if (x.rank !== 2 || width % 2 !== 0) {
    throw new ShapeError({ what: 'gate: x', expected: '[rows, an even number]', got: showShape(x.shape) });
  }
  const y = x.engine.empty([rows, width / 2]);
  const { kernels } = x.engine;
  kernels.gate(y.data, x.data, name, rows, width / 2);
  return record(y, [x], (dy, [dx], backward) =>
    backward.gateBackward(dx!.data, dy.data, x.data, name, rows, width / 2),
  );
}

function binary(operation: BinaryOperation, a: Tensor, b: Tensor): Tensor {
  const engine = sharedEngine(operation, a, b);
  const repeats = b.size === 1 || (b.rank <= a.rank && sameShape(a.shape.slice(a.rank - b.rank), b.shape));
  if (!repeats) {
    throw new ShapeError({
      what: `${operation}: b`,
      expected: `${showShape(a.shape)}, its last axes, or one number`,
      got: showShape(b.shape),
    });
  }
  const y = engine.empty(a.shape);
  engine.kernels.binary(y.data, a.data, b.data, operation);
  return record(y, [a, b], (dy, [da, db], backward) =>
    backward.binaryBackward(da && da.data, db && db.data, dy.data, a.data, b.data, operation),
  );
}

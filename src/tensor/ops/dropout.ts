import { ConfigError, ShapeError } from '../../errors.ts';
import { record, type Tape } from '../autograd.ts';
import type { Engine } from '../engine.ts';
import type { DropoutMask } from '../kernels/backwardKernels.ts';
import type { Tensor } from '../tensor.ts';

/**
 * Dropout (Srivastava et al. 2014): each number is set to zero with this probability, else divided by 1 - probability. What is
 * dropped follows from the seed and step of the open tape, from how many random ops came before, and from each row's key.
 *
 * @param x    [rows, …]
 * @param keys one number per row that names it, such as `PackedBatch.tokenKeys`
 * @throws ConfigError without an open tape, which holds the seed; or if the probability is not in [0, 1)
 */
export function dropout(x: Tensor, probability: number, keys: Int32Array): Tensor {
  const { engine } = x;
  const tape = openTape(engine);
  const mask = dropoutMask(tape, probability, keys, x.shape[0]);
  const size = keys.length === 0 ? 0 : x.size / keys.length;
  const y = engine.empty(x.shape);
  tape.kernels.dropout(y.data, x.data, mask, size);
  return record(y, [x], (dy, [dx], backward, areFirst) =>
    backward[areFirst(dx) ? 'dropout' : 'dropoutBackward'](dx!.data, dy.data, mask, size),
  );
}

/** The tape that random ops draw from. @throws ConfigError when none is open */
export function openTape({ tape }: Engine): Tape {
  if (tape) return tape;
  throw new ConfigError({
    what: 'dropout',
    expected: 'an open tape, whose seed it draws by',
    got: 'none',
    fix: 'call model.eval() for inference, or train inside withGradients',
  });
}

/** The mask of the next random op of a tape. */
export function dropoutMask(tape: Tape, probability: number, keys: Int32Array, rows: number): DropoutMask {
  if (!(probability >= 0 && probability < 1)) {
    throw new ConfigError({ what: 'dropout: probability', expected: 'at least 0, less than 1', got: `${probability}` });
  }
  if (keys.length !== rows) {
    throw new ShapeError({ what: 'dropout: keys', expected: `${rows}, one per row`, got: `${keys.length}` });
  }
  return { stream: tape.nextStream(), probability, keys };
}

import { ShapeError } from '../errors.ts';

/** Sizes of a tensor's axes, slowest first (row-major). */
export type Shape = readonly number[];

export function sizeOf(shape: Shape): number {
  return shape.reduce((product, n) => product * n, 1);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}

export function showShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/** @throws ShapeError unless `actual` is exactly `expected`; `what` names the op and its argument. */
export function expectShape(what: string, actual: Shape, expected: Shape): void {
  if (!sameShape(actual, expected)) {
    throw new ShapeError({ what, expected: showShape(expected), got: showShape(actual) });
  }
}

/** @throws ShapeError unless the tensor has that many axes. */
export function expectRank(what: string, shape: Shape, rank: number): void {
  if (shape.length !== rank) {
    throw new ShapeError({ what, expected: `a tensor of rank ${rank}`, got: showShape(shape) });
  }
}

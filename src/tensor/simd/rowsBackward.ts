import type { Arithmetic } from './arithmetic.ts';
import { sumLanes, type FunctionBuilder, type ModuleBuilder } from './assembler.ts';
import type { Local, Value } from './instructions/encoding.ts';
import * as f32 from './instructions/f32.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as i32 from './instructions/i32.ts';

type Address = Local<'i32'>;

/** Runs `vector` for every four numbers of a row and `single` for the up to three that are left; both advance the addresses. */
function forRow(
  fn: FunctionBuilder,
  size: Local<'i32'>,
  addresses: Local<'i32'>[],
  vector: () => void,
  single: () => void,
): void {
  fn.repeat(i32.shr_u(size, 2), () => {
    vector();
    for (const address of addresses) fn.advance(address, 16);
  });
  fn.repeat(i32.and(size, 3), () => {
    single();
    for (const address of addresses) fn.advance(address, 4);
  });
}

/** z = x + residual, where there is one. */
const sumOf = (x: Address, residual: Address | null) => ({
  vector: (): Value<'v128'> => (residual ? f32x4.add(f32x4.load(x), f32x4.load(residual)) : f32x4.load(x)),
  single: (): Value<'f32'> => (residual ? f32.add(f32.load(x), f32.load(residual)) : f32.load(x)),
});

/**
 * `layerNormBackward[Residual]`: dx += dz (and dResidual += dz) row by row, with z's mean and 1 / √(variance + eps) computed
 * again and left in `statistics`, two numbers a row; `layerNormSums[Residual]`: dWeight += Σ dy∘n and dBias += Σ dy over all
 * rows, for a stretch of `vectors` · 4 columns.
 */
export function defineLayerNormBackward(module: ModuleBuilder, arithmetic: Arithmetic): void {
  for (const hasResidual of [false, true]) {
    defineRows(module, arithmetic, hasResidual);
    defineSums(module, arithmetic, hasResidual);
  }
}

function defineRows(module: ModuleBuilder, { multiplyAdd }: Arithmetic, hasResidual: boolean): void {
  module.define(`layerNormBackward${hasResidual ? 'Residual' : ''}`, 'iiiiiiiiif', (fn, ...args) => {
    const [dx, dResidual, dy, x, residual, weight, statistics, rows, size, eps] = args;
    const [xAt, residualAt, dyAt, w] = fn.locals('i32');
    const [sums, products] = [fn.local('v128'), fn.local('v128')];
    const [sum, product] = [fn.local('f32'), fn.local('f32')];
    const count = fn.let(f32.convert_i32_s(size));
    const mean = (vectors: Local<'v128'>, rest: Local<'f32'>) =>
      fn.let(f32.div(f32.add(sumLanes(vectors), rest), count));
    const z = sumOf(xAt, hasResidual ? residualAt : null);
    const pass = (addresses: Address[], vector: () => void, single: () => void) => {
      for (const vectors of [sums, products]) fn.set(vectors, f32x4.const(0));
      for (const rest of [sum, product]) fn.set(rest, f32.const(0));
      fn.set(xAt, x);
      fn.set(residualAt, residual);
      fn.set(dyAt, dy);
      fn.set(w, weight);
      forRow(fn, size, [xAt, residualAt, ...addresses], vector, single);
    };

    fn.repeat(rows, () => {
      pass(
        [],
        () => fn.set(sums, f32x4.add(sums, z.vector())),
        () => fn.set(sum, f32.add(sum, z.single())),
      );
      const zMean = mean(sums, sum);
      const zMeans = fn.let(f32x4.splat(zMean));
      pass(
        [],
        () => {
          const d = fn.let(f32x4.sub(z.vector(), zMeans));
          fn.set(sums, multiplyAdd(d, d, sums));
        },
        () => {
          const d = fn.let(f32.sub(z.single(), zMean));
          fn.set(sum, f32.add(sum, f32.mul(d, d)));
        },
      );
      const inverse = fn.let(f32.div(f32.const(1), f32.sqrt(f32.add(mean(sums, sum), eps))));
      const inverses = fn.let(f32x4.splat(inverse));
      fn.store(f32.store(statistics, zMean));
      fn.store(f32.store(statistics, inverse, 4));

      const normed = () => fn.let(f32x4.mul(f32x4.sub(z.vector(), zMeans), inverses));
      const normedSingle = () => fn.let(f32.mul(f32.sub(z.single(), zMean), inverse));
      pass(
        [dyAt, w],
        () => {
          const g = fn.let(f32x4.mul(f32x4.load(dyAt), f32x4.load(w)));
          fn.set(sums, f32x4.add(sums, g));
          fn.set(products, multiplyAdd(g, normed(), products));
        },
        () => {
          const g = fn.let(f32.mul(f32.load(dyAt), f32.load(w)));
          fn.set(sum, f32.add(sum, g));
          fn.set(product, f32.add(product, f32.mul(g, normedSingle())));
        },
      );
      const gMean = mean(sums, sum);
      const gnMean = mean(products, product);
      const [gMeans, gnMeans] = [fn.let(f32x4.splat(gMean)), fn.let(f32x4.splat(gnMean))];
      const targets = hasResidual ? [dx, dResidual] : [dx];
      pass(
        [dyAt, w, ...targets],
        () => {
          const g = f32x4.sub(f32x4.mul(f32x4.load(dyAt), f32x4.load(w)), gMeans);
          const dz = fn.let(f32x4.mul(f32x4.sub(g, f32x4.mul(normed(), gnMeans)), inverses));
          for (const to of targets) fn.store(f32x4.store(to, f32x4.add(f32x4.load(to), dz)));
        },
        () => {
          const g = f32.sub(f32.mul(f32.load(dyAt), f32.load(w)), gMean);
          const dz = fn.let(f32.mul(f32.sub(g, f32.mul(normedSingle(), gnMean)), inverse));
          for (const to of targets) fn.store(f32.store(to, f32.add(f32.load(to), dz)));
        },
      );
      for (const pointer of [x, residual, dy]) fn.advance(pointer, i32.shl(size, 2));
      fn.advance(statistics, 8);
    });
  });
}

/** Rows whose sums are added up before they go to the total. */
const CHUNK = 64;

function defineSums(module: ModuleBuilder, { multiplyAdd }: Arithmetic, hasResidual: boolean): void {
  module.define(`layerNormSums${hasResidual ? 'Residual' : ''}`, 'iiiiiiiii', (fn, ...args) => {
    const [dWeight, dBias, dy, x, residual, statistics, rows, vectors, stride] = args;
    const [xAt, residualAt, dyAt, at, left, some] = fn.locals('i32');
    const [weights, biases] = [fn.local('v128'), fn.local('v128')];
    const z = sumOf(xAt, hasResidual ? residualAt : null);
    fn.repeat(vectors, () => {
      const addresses = [xAt, residualAt, dyAt] as const;
      [x, residual, dy].forEach((from, i) => fn.set(addresses[i], from));
      fn.set(at, statistics);
      fn.set(left, rows);
      fn.while(left, () => {
        for (const sums of [weights, biases]) fn.set(sums, f32x4.const(0));
        fn.set(some, i32.min(left, CHUNK));
        fn.set(left, i32.sub(left, some));
        fn.repeatAtLeastOnce(some, () => {
          const normed = f32x4.mul(f32x4.sub(z.vector(), f32x4.loadSplat(at)), f32x4.loadSplat(at, 4));
          const gradient = fn.let(f32x4.load(dyAt));
          fn.set(weights, multiplyAdd(gradient, normed, weights));
          fn.set(biases, f32x4.add(biases, gradient));
          for (const address of addresses) fn.advance(address, stride);
          fn.advance(at, 8);
        });
        fn.store(f32x4.store(dWeight, f32x4.add(f32x4.load(dWeight), weights)));
        fn.store(f32x4.store(dBias, f32x4.add(f32x4.load(dBias), biases)));
      });
      for (const pointer of [dWeight, dBias, dy, x, residual]) fn.advance(pointer, 16);
    });
  });
}

/** `adamW`, four numbers at a time; see `BackwardKernels.adamW`. `rest1` and `rest2` are 1 - beta1 and 1 - beta2. */
export function defineAdamW(module: ModuleBuilder, { multiplyAdd }: Arithmetic): void {
  module.define('adamW', 'iiiiiffffffffff', (fn, p, grad, m, v, vectors, ...numbers) => {
    const [stepSize, beta1, rest1, beta2, rest2, eps, correction, decay, l2, gradScale] = numbers.map((number) =>
      fn.let(f32x4.splat(number)),
    );
    fn.repeat(vectors, () => {
      const weight = fn.let(f32x4.load(p));
      const g = fn.let(multiplyAdd(weight, l2, f32x4.mul(f32x4.load(grad), gradScale)));
      const mean = fn.let(multiplyAdd(f32x4.load(m), beta1, f32x4.mul(g, rest1)));
      const square = fn.let(multiplyAdd(f32x4.load(v), beta2, f32x4.mul(f32x4.mul(g, g), rest2)));
      const divisor = multiplyAdd(f32x4.sqrt(square), correction, eps);
      const change = f32x4.div(f32x4.mul(mean, stepSize), divisor);
      fn.store(f32x4.store(p, f32x4.sub(f32x4.mul(weight, decay), change)));
      fn.store(f32x4.store(m, mean));
      fn.store(f32x4.store(v, square));
      for (const pointer of [p, grad, m, v]) fn.advance(pointer, 16);
    });
  });
}

/** `sumSquares`: Σ x² of `vectors` · 4 numbers at `x`, stored at `y`, by four sums that run side by side. */
export function defineSumSquares(module: ModuleBuilder, { multiplyAdd }: Arithmetic): void {
  module.define('sumSquares', 'iii', (fn, y, x, vectors) => {
    const sums = fn.let(f32x4.const(0));
    fn.repeat(vectors, () => {
      const value = fn.let(f32x4.load(x));
      fn.set(sums, multiplyAdd(value, value, sums));
      fn.advance(x, 16);
    });
    fn.store(f32.store(y, sumLanes(sums)));
  });
}

/** `addRow`: a row is added to one of a panel, whose numbers lie a panel's width apart. */
export function defineAddRow(module: ModuleBuilder, columns: number): void {
  module.define('addRow', 'iii', (fn, packed, row, size) => {
    fn.repeat(size, () => {
      fn.store(f32.store(packed, f32.add(f32.load(packed), f32.load(row))));
      fn.advance(row, 4);
      fn.advance(packed, 4 * columns);
    });
  });
}

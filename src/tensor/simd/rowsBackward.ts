import type { Arithmetic } from './arithmetic.ts';
import { sumLanes, type FunctionBuilder, type FunctionReference, type ModuleBuilder } from './assembler.ts';
import type { Local, Value } from './instructions/encoding.ts';
import * as f32 from './instructions/f32.ts';
import * as f32x4 from './instructions/f32x4.ts';
import * as i32 from './instructions/i32.ts';
import * as i32x4 from './instructions/i32x4.ts';
import * as v128 from './instructions/v128.ts';
import { AT_A_TIME, forRow, forVectors } from './rows.ts';

type Address = Local<'i32'>;

/** z = x + residual, where there is one. */
const sumOf = (x: Address, residual: Address | null) => ({
  vector: (v: number): Value<'v128'> =>
    residual ? f32x4.add(f32x4.load(x, 16 * v), f32x4.load(residual, 16 * v)) : f32x4.load(x, 16 * v),
  single: (): Value<'f32'> => (residual ? f32.add(f32.load(x), f32.load(residual)) : f32.load(x)),
});

/**
 * `layerNormBackward[Residual]`: dx += dz (and dResidual += dz) row by row, or with a `kept` of 0 in place of -1 dx = dz, with
 * z's mean and 1 / √(variance + eps) computed again and left in `statistics`, two numbers a row; `layerNormSums[Residual]`: dWeight += Σ dy∘n and dBias += Σ dy over all
 * rows, for a stretch of `vectors` · 4 columns.
 */
export function defineLayerNormBackward(module: ModuleBuilder, arithmetic: Arithmetic): void {
  for (const hasResidual of [false, true]) {
    defineRows(module, arithmetic, hasResidual);
    defineSums(module, arithmetic, hasResidual);
  }
}

function defineRows(module: ModuleBuilder, { multiplyAdd }: Arithmetic, hasResidual: boolean): void {
  module.define(`layerNormBackward${hasResidual ? 'Residual' : ''}`, 'iiiiiiiiiif', (fn, ...args) => {
    const [dx, dResidual, dy, x, residual, weight, statistics, rows, size, kept, eps] = args;
    const keptBits = fn.let(i32x4.splat(kept));
    const [xAt, residualAt, dyAt, w] = fn.locals('i32');
    const [sums, products] = [0, 1].map(() => AT_A_TIME.map(() => fn.local('v128')));
    const [sum, product] = [fn.local('f32'), fn.local('f32')];
    const count = fn.let(f32.convert_i32_s(size));
    const mean = (vectors: Local<'v128'>[], rest: Local<'f32'>) => {
      const [a, b, c, d] = vectors;
      return fn.let(f32.div(f32.add(sumLanes(fn.let(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)))), rest), count));
    };
    const z = sumOf(xAt, hasResidual ? residualAt : null);
    const pass = (addresses: Address[], vectors: (numbers: readonly number[]) => void, single: () => void) => {
      for (const vector of [...sums, ...products]) fn.set(vector, f32x4.const(0));
      for (const rest of [sum, product]) fn.set(rest, f32.const(0));
      fn.set(xAt, x);
      fn.set(residualAt, residual);
      fn.set(dyAt, dy);
      fn.set(w, weight);
      forRow(fn, size, [xAt, residualAt, ...addresses], vectors, single);
    };

    fn.repeat(rows, () => {
      pass(
        [],
        (numbers) => numbers.forEach((v) => fn.set(sums[v], f32x4.add(sums[v], z.vector(v)))),
        () => fn.set(sum, f32.add(sum, z.single())),
      );
      const zMean = mean(sums, sum);
      const zMeans = fn.let(f32x4.splat(zMean));
      pass(
        [],
        (numbers) => {
          const d = numbers.map((v) => fn.let(f32x4.sub(z.vector(v), zMeans)));
          d.forEach((value, v) => fn.set(sums[v], multiplyAdd(value, value, sums[v])));
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

      const normed = (v: number) => f32x4.mul(f32x4.sub(z.vector(v), zMeans), inverses);
      const normedSingle = () => fn.let(f32.mul(f32.sub(z.single(), zMean), inverse));
      pass(
        [dyAt, w],
        (numbers) => {
          const g = numbers.map((v) => fn.let(f32x4.mul(f32x4.load(dyAt, 16 * v), f32x4.load(w, 16 * v))));
          g.forEach((value, v) => fn.set(sums[v], f32x4.add(sums[v], value)));
          g.forEach((value, v) => fn.set(products[v], multiplyAdd(value, normed(v), products[v])));
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
        (numbers) => {
          const dz = numbers.map((v) => {
            const g = f32x4.sub(f32x4.mul(f32x4.load(dyAt, 16 * v), f32x4.load(w, 16 * v)), gMeans);
            return fn.let(f32x4.mul(f32x4.sub(g, f32x4.mul(normed(v), gnMeans)), inverses));
          });
          for (const to of targets) addTo(fn, to, dz, keptBits);
        },
        () => {
          const g = f32.sub(f32.mul(f32.load(dyAt), f32.load(w)), gMean);
          const dz = fn.let(f32.mul(f32.sub(g, f32.mul(normedSingle(), gnMean)), inverse));
          for (const to of targets) {
            const there = f32.reinterpret_i32(i32.and(i32.load(to), kept));
            fn.store(f32.store(to, f32.add(there, dz)));
          }
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
    const z = sumOf(xAt, hasResidual ? residualAt : null);
    const addresses = [xAt, residualAt, dyAt] as const;
    forVectors(fn, vectors, AT_A_TIME.length, [dWeight, dBias, dy, x, residual], (numbers) => {
      const [weights, biases] = [0, 1].map(() => numbers.map(() => fn.local('v128')));
      [x, residual, dy].forEach((from, i) => fn.set(addresses[i], from));
      fn.set(at, statistics);
      fn.set(left, rows);
      fn.while(left, () => {
        for (const sums of [...weights, ...biases]) fn.set(sums, f32x4.const(0));
        fn.set(some, i32.min(left, CHUNK));
        fn.set(left, i32.sub(left, some));
        fn.repeatAtLeastOnce(some, () => {
          const [mean, inverse] = [0, 4].map((offset) => fn.let(f32x4.loadSplat(at, offset)));
          const gradients = numbers.map((v) => fn.let(f32x4.load(dyAt, 16 * v)));
          const normed = numbers.map((v) => fn.let(f32x4.mul(f32x4.sub(z.vector(v), mean), inverse)));
          numbers.forEach((v) => fn.set(weights[v], multiplyAdd(gradients[v], normed[v], weights[v])));
          numbers.forEach((v) => fn.set(biases[v], f32x4.add(biases[v], gradients[v])));
          for (const address of addresses) fn.advance(address, stride);
          fn.advance(at, 8);
        });
        addTo(fn, dWeight, weights);
        addTo(fn, dBias, biases);
      });
    });
  });
}

/** Adds vectors to the bits to keep of those at an address; loads come before stores, so that revectorization can pair them. */
function addTo(
  fn: FunctionBuilder,
  address: Address,
  vectors: readonly Local<'v128'>[],
  keptBits?: Local<'v128'>,
): void {
  const there = (v: number) => f32x4.load(address, 16 * v);
  const kept = (v: number) => (keptBits ? v128.and(there(v), keptBits) : there(v));
  const sums = vectors.map((vector, v) => fn.let(f32x4.add(kept(v), vector)));
  sums.forEach((sum, v) => fn.store(f32x4.store(address, sum, 16 * v)));
}

/** `adamW`; see `BackwardKernels.adamW`. `rest1` and `rest2` are 1 - beta1 and 1 - beta2. */
export function defineAdamW(module: ModuleBuilder, { multiplyAdd }: Arithmetic): void {
  module.define('adamW', 'iiiiiffffffffff', (fn, p, grad, m, v, vectors, ...numbers) => {
    const [stepSize, beta1, rest1, beta2, rest2, eps, correction, decay, l2, gradScale] = numbers.map((number) =>
      fn.let(f32x4.splat(number)),
    );
    forVectors(fn, vectors, 2, [p, grad, m, v], (numbers) => {
      const weights = numbers.map((n) => fn.let(f32x4.load(p, 16 * n)));
      const gs = weights.map((weight, n) =>
        fn.let(multiplyAdd(weight, l2, f32x4.mul(f32x4.load(grad, 16 * n), gradScale))),
      );
      const means = gs.map((g, n) => fn.let(multiplyAdd(f32x4.load(m, 16 * n), beta1, f32x4.mul(g, rest1))));
      const squares = gs.map((g, n) =>
        fn.let(multiplyAdd(f32x4.load(v, 16 * n), beta2, f32x4.mul(f32x4.mul(g, g), rest2))),
      );
      const updated = weights.map((weight, n) => {
        const divisor = multiplyAdd(f32x4.sqrt(squares[n]), correction, eps);
        const change = f32x4.div(f32x4.mul(means[n], stepSize), divisor);
        return fn.let(f32x4.sub(f32x4.mul(weight, decay), change));
      });
      [updated, means, squares].forEach((values, i) =>
        values.forEach((value, n) => fn.store(f32x4.store([p, m, v][i], value, 16 * n))),
      );
    });
  });
}

/**
 * `sumSquares`: Σ x² of `vectors` · 4 numbers at `x`, stored at `y`: a sum for each quarter, side by side, since memory is read
 * faster in several places.
 */
export function defineSumSquares(module: ModuleBuilder, { multiplyAdd }: Arithmetic): void {
  module.define('sumSquares', 'iii', (fn, y, x, vectors) => {
    const quarter = fn.let(i32.shr_u(vectors, 2));
    const quarters = AT_A_TIME.map((n) => fn.let(i32.add(x, i32.mul(quarter, 16 * n))));
    const sums = quarters.map(() => fn.local('v128'));
    const add = (n: number, vector: number) => {
      const value = fn.let(f32x4.load(quarters[n], 16 * vector));
      fn.set(sums[n], multiplyAdd(value, value, sums[n]));
    };
    forVectors(fn, quarter, 4, quarters, (numbers) => numbers.forEach((v) => quarters.forEach((_, n) => add(n, v))));
    forVectors(fn, i32.and(vectors, 3), 1, [quarters[3]], () => add(3, 0)); // what is left lies behind the last
    const [a, b, c, d] = sums;
    fn.store(f32.store(y, sumLanes(fn.let(f32x4.add(f32x4.add(a, b), f32x4.add(c, d))))));
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

/** `addRows`: y += x, `size` numbers in each row; strides in bytes. */
export function defineAddRows(module: ModuleBuilder): FunctionReference<null> {
  return module.define('addRows', 'iiiiii', (fn, y, x, rows, size, yStride, xStride) => {
    const [from, to] = fn.locals('i32');
    fn.repeat(rows, () => {
      fn.set(from, x);
      fn.set(to, y);
      fn.repeat(i32.shr_u(size, 2), () => {
        fn.store(f32x4.store(to, f32x4.add(f32x4.load(to), f32x4.load(from))));
        fn.advance(from, 16);
        fn.advance(to, 16);
      });
      fn.repeat(i32.and(size, 3), () => {
        fn.store(f32.store(to, f32.add(f32.load(to), f32.load(from))));
        fn.advance(from, 4);
        fn.advance(to, 4);
      });
      fn.advance(x, xStride);
      fn.advance(y, yStride);
    });
  });
}

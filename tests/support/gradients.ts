import {
  abs,
  activation,
  add,
  attention,
  concatRows,
  crossEntropy,
  crossEntropyRows,
  divide,
  dropout,
  embeddingSum,
  type Engine,
  exp,
  fillNormal,
  gather,
  layerNorm,
  linear,
  log,
  logSoftmax,
  Matrix,
  matmul,
  mean,
  multiply,
  normalizeRows,
  poolSequences,
  randomStream,
  scale,
  selectRows,
  selectColumns,
  rotationOf,
  rotary,
  relativeBuckets,
  relativeBias,
  gate,
  disentangledBias,
  convolution,
  softmax,
  softplus,
  sqrt,
  subtract,
  sum,
  withGradients,
  zeroGradients,
  type ActivationName,
  type Pooling,
  type Tensor,
} from '../../src/tensor/index.ts';

type Inputs = Record<string, readonly number[]>;

/** An op under test: the shapes of its inputs (one whose name begins with W is a packed matrix), and what is made of them. */
export interface Case {
  shapes: Inputs;
  /** Values from the normal distribution's, which are given. */
  values?: (x: number, name: string) => number;
  f: (inputs: Record<string, Tensor>, matrices: Record<string, Matrix>) => Tensor;
}

const offsets = Int32Array.of(0, 3, 3, 4, 21, 30);
const tokens = 30;
const ids = Int32Array.from({ length: tokens }, (_, i) => (7 * i) % 11);
const columns = Int32Array.from({ length: tokens }, (_, i) => 2 * (i - offsets.findLast((offset) => offset <= i)!));
const keys = columns.map((column, i) => 1000 * offsets.findLastIndex((offset) => offset <= i) + column);
const labels = Int32Array.of(3, -100, 0, 6, 2, 2, -100);

const buckets = (rows: number) =>
  relativeBuckets({ offsets, columns }, (distance) => Math.min(rows - 1, Math.max(0, 4 + distance)));

const unary: Record<string, (x: Tensor) => Tensor> = {
  abs,
  exp,
  softplus,
  softmax,
  logSoftmax,
  normalizeRows,
  sum,
  mean,
};
const activations: ActivationName[] = [
  ...(['gelu', 'gelu_10', 'gelu_fast', 'gelu_new', 'hardswish', 'laplace', 'leaky_relu', 'linear', 'mish'] as const),
  ...(['quick_gelu', 'relu', 'relu2', 'relu6', 'sigmoid', 'silu', 'sqrtsoftplus', 'tanh'] as const),
];
const poolings: Pooling[] = ['mean', 'max', 'first', 'last', 'meanSqrtLength', 'weightedMean'];
const linearSizes = [
  [1, 1, 1],
  [5, 7, 3],
  [13, 16, 8],
  [70, 24, 33],
  [300, 9, 40],
  [33, 300, 17],
];

const away = (distance: number) => (x: number) => x + Math.sign(x) * distance; // from a corner at 0
const positive = (x: number) => Math.abs(x) + 0.5;

/** Every differentiable op. */
export const cases: Record<string, Case> = {
  ...Object.fromEntries(
    linearSizes.flatMap(
      ([rows, inputs, outputs]) =>
        [
          [
            `linear ${rows}x${inputs}x${outputs}, packed`,
            {
              shapes: { x: [rows, inputs], W: [outputs, inputs], b: [outputs] },
              f: ({ x, b }, { W }) => linear(x, W, b),
            },
          ],
          [
            `linear ${rows}x${inputs}x${outputs}, row-major, gelu`,
            {
              shapes: { x: [rows, inputs], w: [outputs, inputs], b: [outputs] },
              f: ({ x, w, b }) => linear(x, w, b, 'gelu'),
            },
          ],
        ] as [string, Case][],
    ),
  ),
  'linear without bias, a matrix used twice': {
    shapes: { x: [6, 9], W: [9, 9] },
    f: ({ x }, { W }) => linear(linear(x, W, null, 'tanh'), W),
  },
  matmul: { shapes: { a: [5, 7], b: [7, 6] }, f: ({ a, b }) => matmul(a, b) },
  ...Object.fromEntries(
    [5, 8].flatMap((headSize) =>
      [false, true].map((drops): [string, Case] => [
        `attention, heads of ${headSize}${drops ? ', dropout' : ''}`,
        {
          shapes: { q: [tokens, 3 * headSize], k: [tokens, 3 * headSize], v: [tokens, 3 * headSize] },
          f: ({ q, k, v }) =>
            attention(q, k, v, {
              offsets,
              heads: 3,
              dropout: drops ? { probability: 0.3, tokens: { keys, columns } } : null,
            }).context,
        },
      ]),
    ),
  ),
  ...Object.fromEntries(
    // A sequence without queries, one with all of its tokens for queries, and one with some.
    [5, 8, 16].flatMap((headSize) =>
      [false, true].map((drops): [string, Case] => [
        `attention of some queries, heads of ${headSize}${drops ? ', dropout' : ''}`,
        {
          shapes: {
            q: [7, 2 * headSize],
            k: [tokens, 2 * headSize],
            v: [tokens, 2 * headSize],
            bias: [2, 3 * 3 + 4 * 9],
          },
          f: ({ q, k, v, bias }) =>
            attention(q, k, v, {
              offsets,
              queryOffsets: Int32Array.of(0, 3, 3, 3, 3, 7),
              heads: 2,
              bias,
              dropout: drops ? { probability: 0.3, tokens: { keys: keys.slice(0, 7), columns } } : null,
            }).context,
        },
      ]),
    ),
  ),
  'attention of queries in every sequence, heads of 8': {
    shapes: { q: [5, 16], k: [tokens, 16], v: [tokens, 16] },
    f: ({ q, k, v }) =>
      attention(q, k, v, { offsets, queryOffsets: Int32Array.of(0, 1, 1, 2, 3, 5), heads: 2 }).context,
  },
  ...Object.fromEntries(
    [5, 8].flatMap((headSize): [string, Case][] => [
      [
        `attention with a bias, heads of ${headSize}`,
        {
          shapes: { q: [tokens, 2 * headSize], k: [tokens, 2 * headSize], v: [tokens, 2 * headSize], bias: [2, 380] },
          f: ({ q, k, v, bias }) => attention(q, k, v, { offsets, heads: 2, bias, scale: 0.6 }).context,
        },
      ],
      [
        `attention within a window, heads of ${headSize}, dropout`,
        {
          shapes: { q: [tokens, 2 * headSize], k: [tokens, 2 * headSize], v: [tokens, 2 * headSize] },
          f: ({ q, k, v }) =>
            attention(q, k, v, {
              offsets,
              heads: 2,
              window: { columns, reach: 5 },
              dropout: { probability: 0.2, tokens: { keys, columns } },
            }).context,
        },
      ],
      [
        `rotary, heads of ${2 * headSize}`,
        {
          shapes: { x: [tokens, 4 * headSize + 3] },
          f: ({ x }) =>
            rotary(x, rotationOf(x.engine, columns, 4, 100), { heads: 2, headSize: 2 * headSize, begin: 3 }),
        },
      ],
    ]),
  ),
  relativeBias: { shapes: { table: [9, 3] }, f: ({ table }) => relativeBias(table, buckets(9), { offsets, columns }) },
  disentangledBias: {
    shapes: { q: [tokens, 10], k: [tokens, 10], keys: [9, 10], queries: [9, 10] },
    f: ({ q, k, keys, queries }) =>
      disentangledBias(q, k, keys, queries, { offsets, columns, buckets: buckets(9), heads: 2, scale: 0.3 }),
  },
  'disentangledBias without position queries': {
    shapes: { q: [tokens, 10], k: [tokens, 10], keys: [9, 10] },
    f: ({ q, k, keys }) =>
      add(
        disentangledBias(q, k, keys, null, { offsets, columns, buckets: buckets(9), heads: 2, scale: 0.3 }),
        disentangledBias(k, q, null, keys, { offsets, columns, buckets: buckets(9), heads: 2, scale: 0.3 }),
      ),
  },
  gate: { shapes: { x: [5, 16] }, f: ({ x }) => gate(x, 'gelu') },
  selectColumns: { shapes: { x: [5, 16] }, f: ({ x }) => selectColumns(x, 1, 3, 4, 4) },
  convolution: {
    shapes: { x: [tokens, 6], weight: [8, 3, 3], bias: [8] },
    f: ({ x, weight, bias }) => convolution(x, weight, bias, { offsets, columns, groups: 2 }),
  },
  'attention of one tensor with itself': {
    shapes: { x: [tokens, 12] },
    f: ({ x }) => attention(x, x, x, { offsets, heads: 2 }).context,
  },
  ...Object.fromEntries(
    [7, 24].flatMap((size): [string, Case][] => [
      [
        `layerNorm of ${size}`,
        {
          shapes: { x: [9, size], weight: [size], bias: [size] },
          f: ({ x, weight, bias }) => layerNorm(x, weight, bias, 1e-5),
        },
      ],
      [
        `layerNorm of ${size} with residual`,
        {
          shapes: { x: [140, size], r: [140, size], weight: [size], bias: [size] },
          f: ({ x, r, weight, bias }) => layerNorm(x, weight, bias, 1e-5, r),
        },
      ],
      [
        `dropout of rows of ${size}`,
        { shapes: { x: [tokens, size] }, f: ({ x }) => dropout(multiply(x, x), 0.4, keys) },
      ],
    ]),
  ),
  ...Object.fromEntries(
    activations.map((name): [string, Case] => [
      `activation ${name}`,
      { shapes: { x: [6, 8] }, values: (x) => away(0.05)(3 * x), f: ({ x }) => activation(x, name) },
    ]),
  ),
  ...Object.fromEntries(
    Object.entries(unary).map(([name, f]): [string, Case] => [
      name,
      { shapes: { x: [4, 7] }, values: away(0.05), f: ({ x }) => f(x) },
    ]),
  ),
  log: { shapes: { x: [4, 7] }, values: positive, f: ({ x }) => log(x) },
  sqrt: { shapes: { x: [4, 7] }, values: positive, f: ({ x }) => sqrt(x) },
  ...Object.fromEntries(
    Object.entries({ add, subtract, multiply, divide }).flatMap(([name, f]) =>
      [[3, 4], [4], []].map((shape): [string, Case] => [
        `${name} [3, 4] and [${shape.join(', ')}]`,
        { shapes: { a: [3, 4], b: shape }, values: (x, n) => (n === 'b' ? positive(x) : x), f: ({ a, b }) => f(a, b) },
      ]),
    ),
  ),
  'add of a tensor to itself, scaled': { shapes: { x: [3, 4] }, f: ({ x }) => scale(add(x, x), -0.7) },
  'embeddingSum of packed and plain tables': {
    shapes: { W: [11, 10], w: [11, 10] },
    f: ({ w }, { W }) => embeddingSum([W, w, W], [ids, ids, ids.map((id) => 10 - id)], ['a', 'b', 'c']),
  },
  selectRows: { shapes: { x: [6, 5] }, f: ({ x }) => selectRows(x, Int32Array.of(5, 0, 0, 2)) },
  gather: {
    shapes: { x: [4, 3] },
    f: ({ x }) => gather(x, Int32Array.of(11, -1, 0, 5, 5, -1), [2, 3], 0.5),
  },
  concatRows: { shapes: { a: [2, 3], b: [4, 3] }, f: ({ a, b }) => concatRows([a, b, a]) },
  reshape: { shapes: { x: [4, 6] }, f: ({ x }) => softmax(multiply(x, x).reshape([8, 3])) },
  ...Object.fromEntries(
    poolings.map((how): [string, Case] => [
      `poolSequences ${how}`,
      { shapes: { x: [tokens, 6] }, f: ({ x }) => poolSequences(x, offsets, how) },
    ]),
  ),
  'crossEntropy of many classes': {
    shapes: { x: [7, 203] },
    f: ({ x }) => add(crossEntropyRows(x, labels), crossEntropyRows(scale(x, 30), labels, { labelSmoothing: 0.2 })),
  },
  crossEntropyRows: { shapes: { x: [7, 9] }, f: ({ x }) => crossEntropyRows(x, labels) },
  'crossEntropy, smoothed': { shapes: { x: [7, 9] }, f: ({ x }) => crossEntropy(x, labels, { labelSmoothing: 0.1 }) },
  'crossEntropy of columns that are not there': {
    shapes: { x: [3, 4] },
    f: ({ x }) =>
      crossEntropy(gather(x, Int32Array.of(0, 1, 2, -1, 4, -1, -1, 8), [2, 4], -Infinity), Int32Array.of(1, 0)),
  },
};
const numbersOf = (name: string, length: number, { values = (x) => x }: Case): Float64Array => {
  const numbers = new Float64Array(length);
  fillNormal(numbers, 1, randomStream(length, name));
  return Float64Array.from(Float32Array.from(numbers, (x) => values(x, name))); // what float32 holds
};

export interface Result {
  loss: number;
  /** By input, row-major. */
  gradients: Record<string, Float64Array>;
}

/** Loss and gradients of a case on an engine; the loss is the output, weighted by fixed random numbers. */
export function run(engine: Engine, test: Case, change?: { name: string; index: number; by: number }): Result {
  const tensors: Record<string, Tensor> = {};
  const matrices: Record<string, Matrix> = {};
  for (const [name, shape] of Object.entries(test.shapes)) {
    const numbers = numbersOf(
      name,
      shape.reduce((a, b) => a * b, 1),
      test,
    );
    if (change?.name === name) numbers[change.index] += change.by;
    if (name.startsWith('W')) {
      matrices[name] = engine.keepMatrix(shape[0], shape[1], 'f32');
      matrices[name].set(numbers);
    } else {
      tensors[name] = engine.keep(shape);
      tensors[name].data.set(numbers);
    }
  }
  const parameters = { ...tensors, ...matrices };
  const step = () =>
    withGradients(
      Object.values(parameters),
      (backward) => {
        const y = test.f(tensors, matrices);
        const weights = numbersOf('weights', y.size, { ...test, values: (x) => x });
        const loss = sum(multiply(y.reshape([y.size]), engine.tensor(weights, [y.size])));
        backward(loss);
        return loss.data[0];
      },
      { seed: 3 },
    );
  if (change === undefined) {
    // What memory holds from before must not count: that of gradients of results, nor that of the last step's.
    engine.scope(() => void engine.empty([2 ** 18]).data.fill(NaN));
    step();
    for (const { grad } of Object.values(parameters)) grad!.data.fill(NaN);
    zeroGradients(Object.values(parameters));
  }
  const loss = step();
  const gradients = Object.fromEntries(
    Object.entries(parameters).map(([name, parameter]) => [
      name,
      Float64Array.from(parameter instanceof Matrix ? parameter.gradToTensor()!.data : parameter.grad!.data),
    ]),
  );
  return { loss, gradients };
}

/** How far gradients are from others, as a part of each tensor's largest value: the worst of all inputs. */
export function distance(got: Result, expected: Result): number {
  let worst = 0;
  for (const [name, values] of Object.entries(expected.gradients)) {
    const largest = values.reduce((max, x) => Math.max(max, Math.abs(x)), 1e-3);
    got.gradients[name].forEach((x, i) => {
      worst = Math.max(worst, Math.abs(x - values[i]) / largest);
      if (Number.isNaN(x)) worst = Infinity;
    });
  }
  return worst;
}

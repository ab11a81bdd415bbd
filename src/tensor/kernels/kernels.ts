/** Float storage. float32 is the working type; float64 exists to prove the arithmetic. */
export type FloatArray = Float32Array | Float64Array;

/** What a weight matrix is made of: float32 (float64 on a float64 engine), or int8 with a scale per row. */
export type WeightType = 'f32' | 'q8';

/** Floats of 16 bits, by safetensors' names: IEEE 754 binary16, and the upper half of a float32. */
export type HalfFormat = 'F16' | 'BF16';

/**
 * A weight matrix [outFeatures, inFeatures], as PyTorch has it, in the order in which one kernel set likes to read it. Only
 * that set can: it fills one with `packRows` and gives rows back with `unpackRows`.
 */
export interface PackedMatrix {
  readonly outFeatures: number;
  readonly inFeatures: number;
  readonly dtype: WeightType;
  /** `packedLength` numbers. */
  readonly data: FloatArray | Int8Array;
  /** Of q8: the weight is data · scale, row by row. [outFeatures] */
  readonly scale: FloatArray | null;
}

/** Hugging Face's names of the element-wise functions that a config's `hidden_act` may ask for. */
export type ActivationName =
  | 'gelu'
  | 'gelu_10'
  | 'gelu_accurate'
  | 'gelu_fast'
  | 'gelu_new'
  | 'gelu_python'
  | 'gelu_python_tanh'
  | 'gelu_pytorch_tanh'
  | 'hardswish'
  | 'laplace'
  | 'leaky_relu'
  | 'linear'
  | 'mish'
  | 'quick_gelu'
  | 'relu'
  | 'relu2'
  | 'relu6'
  | 'sigmoid'
  | 'silu'
  | 'sqrtsoftplus'
  | 'swish'
  | 'tanh';

/** Names of element-wise functions: activations, and what losses are made of. softplus(x) = ln(1 + eˣ). */
export type FunctionName = ActivationName | 'abs' | 'exp' | 'log' | 'softplus' | 'sqrt';

export type BinaryOperation = 'add' | 'subtract' | 'multiply' | 'divide';

/**
 * How the n rows of a sequence become one: their mean, maximum, first or last; their sum divided by √n ('meanSqrtLength');
 * or their mean weighted 1, 2, 3 … n ('weightedMean').
 */
export type Pooling = 'mean' | 'max' | 'first' | 'last' | 'meanSqrtLength' | 'weightedMean';

/**
 * The arithmetic of a forward pass over flat row-major arrays; that of training is apart, in `BackwardKernels`, and so is what few
 * families need, in `PositionKernels`. A kernel knows
 * typed arrays and sizes, never tensors; it trusts its arguments (ops check them), writes its first argument, allocates
 * nothing that leaves it, and computes each row from that row alone, so that results do not depend on what else is in the batch.
 *
 * The reference kernels are the specification. Every other set must pass the same suite.
 */
export interface Kernels {
  readonly name: string;

  /** How many numbers of a packed matrix stand for a weight of this size. */
  packedLength(outFeatures: number, inFeatures: number, dtype: WeightType): number;

  /** Puts rows firstRow, firstRow + 1, … of a weight, [n, inFeatures] (int8 for q8), into a packed matrix. */
  packRows(matrix: PackedMatrix, firstRow: number, rows: FloatArray | Int8Array): void;

  /** `packRows` of 16-bit floats, by their bits. A set without it is given float32. */
  packHalves?(matrix: PackedMatrix, firstRow: number, halves: Uint16Array, format: HalfFormat): void;

  /** y[r] = row ids[r] of a packed matrix, as floats. */
  unpackRows(y: FloatArray, matrix: PackedMatrix, ids: Int32Array): void;

  /**
   * y[r,o] = activation(Σᵢ x[r,i]·weight[o,i] + bias[o]); weight is [outFeatures, inFeatures], packed or row-major.
   *
   * On q8 weights each row of x is rounded to 12 bits first: with largest = max|x[r,·]|, q = round(x · (2047 / largest)),
   * half to even, in float32 (all zeros if largest is below 2⁻¹¹⁶, where that factor overflows); then y = Σᵢ q[i]·data[o,i] · largest/2047 · scale[o] + bias[o], the sum in exact integers.
   */
  linear(
    y: FloatArray,
    x: FloatArray,
    weight: FloatArray | PackedMatrix,
    bias: FloatArray | null,
    activation: ActivationName,
    rows: number,
    inFeatures: number,
    outFeatures: number,
  ): void;

  /** y[i,j] = Σₖ a[i,k]·b[k,j], with a [m,k] and b [k,n]. */
  matmul(y: FloatArray, a: FloatArray, b: FloatArray, m: number, k: number, n: number): void;

  /**
   * Scaled dot-product attention, softmax(q·kᵀ·scale + bias)·v, for every head of every sequence; scale is above 0.
   * y, q, k and v are [totalTokens, heads·headSize]; sequence s is rows offsets[s] to offsets[s+1]. With queryOffsets, q and y
   * have fewer rows: those of sequence s are queryOffsets[s] to queryOffsets[s+1], no more than it has tokens.
   * probabilities, when not null, is [heads, Σ queries·length]: for each head, the [queries, length] of each sequence in turn.
   * bias, when there is one, has the same layout. spans, when given, is [queries of all, 2]: one sees only the tokens
   * spans[q,0] to spans[q,1] of its sequence, at least one; neither falls from one query to the next.
   */
  attention(
    y: FloatArray,
    probabilities: FloatArray | null,
    q: FloatArray,
    k: FloatArray,
    v: FloatArray,
    offsets: Int32Array,
    heads: number,
    headSize: number,
    scale: number,
    bias?: FloatArray | null,
    spans?: Int32Array | null,
    queryOffsets?: Int32Array,
  ): void;

  /** y[r,i] = activation(x[r,i]) · x[r, size + i]: the first half of each row through the gate of the second. */
  gate(y: FloatArray, x: FloatArray, activation: ActivationName, rows: number, size: number): void;

  /** Each row of x (plus residual, when given) is brought to mean 0 and variance 1, then scaled and, with a bias, shifted. */
  layerNorm(
    y: FloatArray,
    x: FloatArray,
    residual: FloatArray | null,
    weight: FloatArray,
    bias: FloatArray | null,
    eps: number,
    rows: number,
    size: number,
  ): void;

  activation(y: FloatArray, x: FloatArray, name: FunctionName): void;

  /** Element by element; b repeats when it is shorter than a (a bias over rows, or one number). */
  binary(y: FloatArray, a: FloatArray, b: FloatArray, operation: BinaryOperation): void;

  softmax(y: FloatArray, x: FloatArray, rows: number, size: number): void;

  /** y[r] = Σₜ tables[t][ids[t][r]]: the sum of several embeddings of each token (one table: a plain look-up). */
  embeddingSum(
    y: FloatArray,
    tables: readonly (FloatArray | PackedMatrix)[],
    ids: readonly Int32Array[],
    size: number,
  ): void;

  /** y[r] = Σ x[r,·]. */
  sumRows(y: FloatArray, x: FloatArray, rows: number, size: number): void;

  /** y[s,·] = one row made of the rows offsets[s] to offsets[s+1] of x; an empty sequence gives zeros. */
  poolSequences(y: FloatArray, x: FloatArray, offsets: Int32Array, size: number, how: Pooling): void;

  /** Each row divided by its Euclidean length; a row shorter than 1e-12 is divided by 1e-12, as PyTorch does. */
  normalizeRows(y: FloatArray, x: FloatArray, rows: number, size: number): void;

  /** y[i] = x[indices[i]], or `fill` where the index is negative. */
  gather(y: FloatArray, x: FloatArray, indices: Int32Array, fill: number): void;
}

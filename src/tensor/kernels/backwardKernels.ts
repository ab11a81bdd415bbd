import type { ActivationName, BinaryOperation, FloatArray, FunctionName, PackedMatrix, Pooling } from './kernels.ts';
import type { RotaryShape } from './positionKernels.ts';

/**
 * What dropout takes out. A row of numbers is named by a key, made of its sequence and column, so that the same ones are
 * dropped however rows are packed, divided among threads or computed. The draw of column c of a row is
 * `maskBits(maskRow(stream, key), c)`; the number is dropped when that is below `probability` · 2³², else it is divided by
 * 1 - probability.
 */
export interface DropoutMask {
  /** Of one call in one step. */
  stream: number;
  /** In [0, 1). */
  probability: number;
  /** One per row. */
  keys: Int32Array;
}

/** Of attention probabilities: row = `maskBits(maskRow(stream, key of the query), head)`, draw = `maskBits(row, column of the key)`. */
export interface AttentionDropout extends DropoutMask {
  /** The column of each key's token in its sequence. */
  columns: Int32Array;
}

/** Numbers that lie together. */
export type Run = readonly [begin: number, end: number];

/** One step of Adam: see `BackwardKernels.adamW`. */
export interface AdamStep {
  /** Learning rate / (1 - beta1ᵗ). */
  stepSize: number;
  beta1: number;
  beta2: number;
  eps: number;
  /** 1 / √(1 - beta2ᵗ) */
  inverseRootCorrection: number;
  /** What parameters are multiplied by first, 1 - learning rate · weight decay: decoupled decay (Loshchilov & Hutter 2019). */
  decay: number;
  /** Weight decay of plain Adam, added to the gradient: grad + l2 · parameter. */
  l2: number;
  /** What gradients are multiplied by first, as clipping asks for. */
  gradScale: number;
}

/**
 * The arithmetic of training, beside the `Kernels` of the same engine and on the same packed weights; `backwardKernels` gives an
 * engine's, and only what asks for them has them in its bundle. A backward kernel is given the gradient dy of an op's output and *adds*
 * to the gradients of its inputs, so that what is used twice has the sum; some are told that they come first (`writes`): they
 * write all of a gradient, whatever its memory holds. A null gradient is not wanted. Gradients are laid out as what
 * they belong to: that of a packed matrix is packed, and its padding stays zero.
 */
export interface BackwardKernels {
  /**
   * n, where the numbers of rows r·n to r·n + n - 1 of a packed float32 matrix are one run of n·inFeatures. Leave it out, lest rows are
   * skipped, if they are not: then every gradient counts as written everywhere.
   */
  readonly rowsTogether?: number;

  /**
   * Of `linear` without an activation: dx += dy·weight, dWeight += dyᵀ·x, dBias += Σ dy over rows. What `writes` names is
   * written, not added to.
   * dWeight has the layout of weight. A q8 weight has no gradient of its own, and lets none through (the op refuses).
   */
  linearBackward(
    dx: FloatArray | null,
    dWeight: FloatArray | null,
    dBias: FloatArray | null,
    dy: FloatArray,
    x: FloatArray,
    weight: FloatArray | PackedMatrix,
    rows: number,
    inFeatures: number,
    outFeatures: number,
    writes?: { dx: boolean; dWeight: boolean },
  ): void;

  /** da += dy·bᵀ, db += aᵀ·dy, with a [m,k] and b [k,n]. */
  matmulBackward(
    da: FloatArray | null,
    db: FloatArray | null,
    dy: FloatArray,
    a: FloatArray,
    b: FloatArray,
    m: number,
    k: number,
    n: number,
  ): void;

  /**
   * With P the probabilities, M the mask: dv += (P∘M)ᵀ·dy; dS = P∘(dP - Σⱼ P∘dP) with dP = M∘(dy·vᵀ); dq += dS·k·scale;
   * dk += dSᵀ·q·scale; dBias += dS. With `writes`, dq, dk and dv are written, not added to.
   */
  attentionBackward(
    dq: FloatArray | null,
    dk: FloatArray | null,
    dv: FloatArray | null,
    dBias: FloatArray | null,
    dy: FloatArray,
    q: FloatArray,
    k: FloatArray,
    v: FloatArray,
    offsets: Int32Array,
    heads: number,
    headSize: number,
    scale: number,
    bias: FloatArray | null,
    spans: Int32Array | null,
    dropout: AttentionDropout | null,
    queryOffsets?: Int32Array,
    writes?: boolean,
  ): void;

  /** `attention` by what dropout leaves of the probabilities; `probabilities` receives those before. */
  attentionDropout(
    y: FloatArray,
    probabilities: FloatArray | null,
    q: FloatArray,
    k: FloatArray,
    v: FloatArray,
    offsets: Int32Array,
    heads: number,
    headSize: number,
    scale: number,
    bias: FloatArray | null,
    spans: Int32Array | null,
    dropout: AttentionDropout,
    queryOffsets?: Int32Array,
  ): void;

  relativeBiasBackward(
    dTable: FloatArray,
    dy: FloatArray,
    buckets: Int32Array,
    columns: Int32Array,
    offsets: Int32Array,
    heads: number,
  ): void;

  disentangledBiasBackward(
    dq: FloatArray | null,
    dk: FloatArray | null,
    dPositionKeys: FloatArray | null,
    dPositionQueries: FloatArray | null,
    dy: FloatArray,
    q: FloatArray,
    k: FloatArray,
    positionKeys: FloatArray | null,
    positionQueries: FloatArray | null,
    buckets: Int32Array,
    columns: Int32Array,
    offsets: Int32Array,
    heads: number,
    headSize: number,
    scale: number,
  ): void;

  /** The turn back, added. */
  rotaryBackward(dx: FloatArray, dy: FloatArray, cosines: FloatArray, sines: FloatArray, shape: RotaryShape): void;

  /** With x = [a, b] in each row: da += dy∘b∘f′(a), db += dy∘f(a). */
  gateBackward(
    dx: FloatArray,
    dy: FloatArray,
    x: FloatArray,
    activation: ActivationName,
    rows: number,
    size: number,
  ): void;

  /**
   * With z = x + residual, n = (z - mean) / √(variance + eps), g = dy∘weight: dz = (g - mean(g) - n·mean(g∘n)) / √(variance + eps),
   * for dx and dResidual. With `writes` these are written, not added to.
   */
  layerNormBackward(
    dx: FloatArray | null,
    dResidual: FloatArray | null,
    dWeight: FloatArray | null,
    dBias: FloatArray | null,
    dy: FloatArray,
    x: FloatArray,
    residual: FloatArray | null,
    weight: FloatArray,
    eps: number,
    rows: number,
    size: number,
    writes?: boolean,
  ): void;

  /** y = f(x) and slopes = f′(x); slopes may be x. */
  activationWithSlopes(y: FloatArray, slopes: FloatArray, x: FloatArray, name: FunctionName): void;
  /** dx += dy∘factors */
  addProducts(dx: FloatArray, dy: FloatArray, factors: FloatArray): void;

  binaryBackward(
    da: FloatArray | null,
    db: FloatArray | null,
    dy: FloatArray,
    a: FloatArray,
    b: FloatArray,
    operation: BinaryOperation,
  ): void;

  /** y = softmax(x): dx += y∘(dy - Σ y∘dy), row by row. */
  softmaxBackward(dx: FloatArray, dy: FloatArray, y: FloatArray, rows: number, size: number): void;

  /** y = x - ln Σ eˣ, row by row. */
  logSoftmax(y: FloatArray, x: FloatArray, rows: number, size: number): void;
  /** dx += dy - eʸ·Σ dy, row by row. */
  logSoftmaxBackward(dx: FloatArray, dy: FloatArray, y: FloatArray, rows: number, size: number): void;

  /** Each row of dy is added to row ids[t][r] of every table's gradient, which is laid out as the table; to none if negative. */
  embeddingSumBackward(
    dTables: readonly (FloatArray | null)[],
    tables: readonly (FloatArray | PackedMatrix)[],
    dy: FloatArray,
    ids: readonly Int32Array[],
    size: number,
  ): void;

  sumRowsBackward(dx: FloatArray, dy: FloatArray, rows: number, size: number): void;

  /** Of a maximum, the first row that has it takes all. */
  poolSequencesBackward(
    dx: FloatArray,
    dy: FloatArray,
    x: FloatArray,
    offsets: Int32Array,
    size: number,
    how: Pooling,
  ): void;

  normalizeRowsBackward(dx: FloatArray, dy: FloatArray, x: FloatArray, rows: number, size: number): void;

  gatherBackward(dx: FloatArray, dy: FloatArray, indices: Int32Array): void;

  /**
   * losses[r] = -(1 - smoothing)·ln p[label] - smoothing·mean(ln p) with p = softmax(x[r,·]); 0 where the label is negative.
   * Columns that are -∞ have no part in it.
   */
  crossEntropy(
    losses: FloatArray,
    x: FloatArray,
    labels: Int32Array,
    smoothing: number,
    rows: number,
    size: number,
  ): void;
  crossEntropyBackward(
    dx: FloatArray,
    dLosses: FloatArray,
    x: FloatArray,
    labels: Int32Array,
    smoothing: number,
    rows: number,
    size: number,
  ): void;

  /** y = x by the mask, `size` numbers to a row. */
  dropout(y: FloatArray, x: FloatArray, mask: DropoutMask, size: number): void;
  /** dx += dy by the mask. */
  dropoutBackward(dx: FloatArray, dy: FloatArray, mask: DropoutMask, size: number): void;

  /** Σ x², summed in one order whatever the threads. */
  sumSquares(x: FloatArray): number;

  /**
   * Adam and AdamW, element by element, in place: g = gradScale·grad + l2·p; m = beta1·m + (1 - beta1)·g;
   * v = beta2·v + (1 - beta2)·g²; p = decay·p - stepSize·m / (√v·inverseRootCorrection + eps).
   * `runs`, in order, are where grad or m or v may be other than zero; elsewhere p = decay·p, which is the same if eps > 0, and no more is read.
   * Without them it is everywhere. Source: torch.optim.AdamW, Adam.
   */
  adamW(
    p: FloatArray,
    grad: FloatArray,
    m: FloatArray,
    v: FloatArray,
    step: AdamStep,
    runs?: readonly Run[] | null,
  ): void;
}

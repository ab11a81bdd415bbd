import { gelu } from './activations.ts';
import type { FunctionName } from './kernels.ts';
import { erf, sigmoid, softplus } from './special.ts';

/** The density of the standard normal distribution, the slope of Φ. */
const density = (x: number) => Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI);
const geluSlope = (x: number) => 0.5 * (1 + erf(x / Math.SQRT2)) + x * density(x);
/** Of x/2 · (1 + tanh(a·x·(1 + b·x²))). */
const tanhGeluSlope = (a: number, b: number) => (x: number) => {
  const t = Math.tanh(a * x * (1 + b * x * x));
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * a * (1 + 3 * b * x * x);
};
const geluTanhSlope = tanhGeluSlope(Math.sqrt(2 / Math.PI), 0.044715);
const sigmoidSlope = (x: number) => sigmoid(x) * (1 - sigmoid(x));
const siluSlope = (x: number) => sigmoid(x) + x * sigmoidSlope(x);
const mishSlope = (x: number) => {
  const t = Math.tanh(softplus(x));
  return t + x * (1 - t * t) * sigmoid(x);
};

/** The slopes of the functions of `activations.ts`. Where a function has none, PyTorch's choice: 0 at the corners of relu, abs and hardswish's ends. */
export const slopes: Readonly<Record<FunctionName, (x: number) => number>> = {
  gelu: geluSlope,
  gelu_python: geluSlope,
  gelu_10: (x) => (gelu(x) > 10 ? 0 : geluSlope(x)),
  gelu_new: geluTanhSlope,
  gelu_pytorch_tanh: geluTanhSlope,
  gelu_python_tanh: geluTanhSlope,
  gelu_accurate: geluTanhSlope,
  gelu_fast: tanhGeluSlope(0.7978845608, 0.044715),
  quick_gelu: (x) => sigmoid(1.702 * x) + 1.702 * x * sigmoidSlope(1.702 * x),
  hardswish: (x) => (x <= -3 ? 0 : x < 3 ? x / 3 + 0.5 : 1),
  laplace: (x) => Math.exp(-(((x - 0.707107) / (0.282095 * Math.SQRT2)) ** 2)) / (0.282095 * Math.sqrt(2 * Math.PI)),
  leaky_relu: (x) => (x > 0 ? 1 : 0.01),
  linear: () => 1,
  mish: mishSlope,
  relu: (x) => Number(x > 0),
  relu2: (x) => 2 * Math.max(x, 0),
  relu6: (x) => Number(x > 0 && x < 6),
  sigmoid: sigmoidSlope,
  silu: siluSlope,
  swish: siluSlope,
  sqrtsoftplus: (x) => sigmoid(x) / (2 * Math.sqrt(softplus(x))),
  tanh: (x) => 1 - Math.tanh(x) ** 2,
  abs: Math.sign,
  exp: Math.exp,
  log: (x) => 1 / x,
  softplus: sigmoid,
  sqrt: (x) => 0.5 / Math.sqrt(x),
};

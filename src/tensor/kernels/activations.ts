import type { ActivationName, FunctionName } from './kernels.ts';
import { erf, sigmoid, softplus } from './special.ts';

export const gelu = (x: number) => 0.5 * x * (1 + erf(x / Math.SQRT2));
const geluTanh = (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
const silu = (x: number) => x * sigmoid(x);

/**
 * The one table of activations. "gelu" is the exact erf form (Hendrycks & Gimpel 2016); the tanh form is a different
 * function, used only when the config asks for it. Source: transformers, `ACT2FN`; its two entries with trained
 * parameters (prelu, xielu) are left out, since no BERT checkpoint carries such weights.
 */
export const activations: Readonly<Record<ActivationName, (x: number) => number>> = {
  gelu,
  gelu_python: gelu,
  gelu_10: (x) => Math.min(Math.max(gelu(x), -10), 10),
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  gelu_python_tanh: geluTanh,
  gelu_accurate: geluTanh,
  gelu_fast: (x) => 0.5 * x * (1 + Math.tanh(x * 0.7978845608 * (1 + 0.044715 * x * x))),
  quick_gelu: (x) => x * sigmoid(1.702 * x),
  hardswish: (x) => (x * Math.min(Math.max(x + 3, 0), 6)) / 6,
  laplace: (x) => 0.5 * (1 + erf((x - 0.707107) / (0.282095 * Math.SQRT2))),
  leaky_relu: (x) => (x >= 0 ? x : 0.01 * x),
  linear: (x) => x,
  mish: (x) => x * Math.tanh(softplus(x)),
  relu: (x) => Math.max(x, 0),
  relu2: (x) => Math.max(x, 0) ** 2,
  relu6: (x) => Math.min(Math.max(x, 0), 6),
  sigmoid,
  silu,
  swish: silu,
  sqrtsoftplus: (x) => Math.sqrt(softplus(x)),
  tanh: Math.tanh,
};

export function isActivationName(name: unknown): name is ActivationName {
  return typeof name === 'string' && Object.hasOwn(activations, name);
}

/** Element-wise functions: the activations, and what losses are made of. */
export const functions: Readonly<Record<FunctionName, (x: number) => number>> = {
  ...activations,
  abs: Math.abs,
  exp: Math.exp,
  log: Math.log,
  softplus,
  sqrt: Math.sqrt,
};

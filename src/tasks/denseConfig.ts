import { ConfigError, show } from '../errors.ts';
import type { ActivationName } from '../tensor/index.ts';

/** PyTorch's class names of the activations that Dense modules are saved with. */
const denseActivations: Record<string, ActivationName> = {
  Tanh: 'tanh',
  Identity: 'linear',
  ReLU: 'relu',
  GELU: 'gelu',
  SiLU: 'silu',
  Sigmoid: 'sigmoid',
  LeakyReLU: 'leaky_relu',
};

/** What the config.json of a Dense module says. */
export interface DenseConfig {
  inFeatures: number;
  outFeatures: number;
  bias: boolean;
  activation: ActivationName;
}

/** @throws ConfigError for what is missing, or what this library does not do */
export function checkDense(config: Record<string, unknown>, file: string): DenseConfig {
  const { in_features: inFeatures, out_features: outFeatures, bias = true } = config;
  if (!Number.isSafeInteger(inFeatures) || !Number.isSafeInteger(outFeatures) || typeof bias !== 'boolean') {
    throw new ConfigError({ what: file, expected: 'in_features, out_features and bias', got: show(config) });
  }
  for (const key of ['module_input_name', 'module_output_name']) {
    const name = config[key] ?? 'sentence_embedding';
    if (name !== 'sentence_embedding') {
      throw new ConfigError({ what: `${file}: ${key}`, expected: '"sentence_embedding"', got: show(name) });
    }
  }
  const className = config.activation_function === undefined ? 'Tanh' : (config.activation_function ?? 'Identity');
  const name = typeof className === 'string' ? className.replace(/^torch\..*\./, '') : '';
  if (!Object.hasOwn(denseActivations, name)) {
    const expected = `one of ${Object.keys(denseActivations).join(', ')}`;
    throw new ConfigError({ what: `${file}: activation_function`, expected, got: show(className) });
  }
  return {
    inFeatures: inFeatures as number,
    outFeatures: outFeatures as number,
    bias,
    activation: denseActivations[name],
  };
}

import { openCheckpoint } from '../bert/index.ts';
import { ConfigError, show } from '../errors.ts';
import { nameOf, readObject, type ModelFiles } from '../hub/index.ts';
import { Linear, Weights } from '../layers/index.ts';
import type { ActivationName, Engine, Tensor } from '../tensor/index.ts';
import { MODULE_CONFIG } from './sentenceModules.ts';

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

/** A linear layer and its activation on a sentence's vector, sentence-transformers' Dense. */
export async function readDense(files: ModelFiles, engine: Engine): Promise<(x: Tensor) => Tensor> {
  const file = nameOf(files, 'config.json');
  const config = await readObject(files, 'config.json', MODULE_CONFIG);
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
  const checkpoint = await openCheckpoint(files, engine, 'auto', null);
  try {
    const linear = new Linear(new Weights(checkpoint, 'linear'), inFeatures as number, outFeatures as number, { bias });
    checkpoint.report();
    await checkpoint.fill();
    return (x) => linear.forward(x, denseActivations[name]);
  } finally {
    await checkpoint.close();
  }
}

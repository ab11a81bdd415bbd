import { openFiles, type ModelFiles, type ModelLocation } from '../hub/index.ts';

const WEIGHTS = 'model.safetensors';

/**
 * The files of a model: transformers', and where those are missing, what Google's TensorFlow checkpoint beside them amounts to:
 * `config.json` from `bert_config.json`, `model.safetensors` from `bert_model.ckpt`. Its reader is imported when it comes to that,
 * so that a bundler can leave it in a file of its own.
 */
export function openModelFiles(location: ModelLocation): ModelFiles {
  const files = openFiles(location);
  const reader = () => import('./tensorFlow.ts');
  return {
    location: files.location,
    async read(path) {
      const own = await files.read(path);
      if (own !== undefined) return own;
      if (path === 'config.json') return (await reader()).readTensorFlowConfig(files);
      return path === WEIGHTS ? (await reader()).readTensorFlowWeights(files) : undefined;
    },
    ...(files.stream && {
      async stream(path) {
        const own = await files.stream!(path);
        return own ?? (path === WEIGHTS ? (await reader()).streamTensorFlowWeights(files) : undefined);
      },
    }),
  };
}

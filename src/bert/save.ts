import { writeSafetensors, type TensorInput } from '../safetensors/index.ts';
import { architectureOf } from './auto.ts';
import type { BertConfig } from './config.ts';
import type { BertPreTrainedModel } from './preTrainedModel.ts';

/**
 * A model as files that this library and transformers load: `config.json` and `model.safetensors`, in float32 (int8 weights
 * times their scales). The tokenizer's files go beside them.
 */
export function modelFiles(model: BertPreTrainedModel, producer = 'bertscript'): Map<string, Uint8Array> {
  return filesOf(model, model.config, model.stateDict(), producer);
}

/** The same for a model of that class with another config and other tensors, such as a pruned one. */
export function filesOf(
  model: BertPreTrainedModel,
  newConfig: BertConfig,
  tensors: ReadonlyMap<string, TensorInput>,
  producer = 'bertscript',
): Map<string, Uint8Array> {
  const config = { ...newConfig.toJSON(), architectures: [architectureOf(model)], dtype: 'float32' };
  return new Map([
    ['config.json', new TextEncoder().encode(`${JSON.stringify(config, null, 2)}\n`)],
    ['model.safetensors', writeSafetensors(tensors, { format: 'pt', producer })],
  ]);
}

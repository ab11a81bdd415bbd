import { writeSafetensors } from '../safetensors/index.ts';
import { architectureOf } from './auto.ts';
import type { BertPreTrainedModel } from './preTrainedModel.ts';

/**
 * A model as files that this library and transformers load: `config.json` and `model.safetensors`, in float32 (int8 weights
 * times their scales). The tokenizer's files go beside them.
 */
export function modelFiles(model: BertPreTrainedModel, producer = 'bertscript'): Map<string, Uint8Array> {
  const config = { ...model.config.toJSON(), architectures: [architectureOf(model)], dtype: 'float32' };
  return new Map([
    ['config.json', new TextEncoder().encode(`${JSON.stringify(config, null, 2)}\n`)],
    ['model.safetensors', writeSafetensors(model.stateDict(), { format: 'pt', producer })],
  ]);
}

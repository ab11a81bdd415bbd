import { CheckpointError, ConfigError, show } from '../errors.ts';
import { nameOf, openFiles, readJson, readObject, type ModelLocation } from '../hub/index.ts';
import { Linear, LoraAdapter, MatrixParameter, type Parameter } from '../layers/index.ts';
import { parseSafetensors, toFloat32, writeSafetensors, type TensorView } from '../safetensors/index.ts';
import type { Tensor } from '../tensor/index.ts';
import { architectureOf, loadArchitecture } from './auto.ts';
import { quantizeRows } from './quantization.ts';
import type { BertPreTrainedModel, LoadOptions } from './preTrainedModel.ts';

/** What PEFT puts before the names of the model that it wraps. */
const PREFIX = 'base_model.model.';
const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';

export interface LoraTraining {
  /** Default 8. */
  rank?: number;
  /** Default twice the rank. */
  alpha?: number;
  /** The linear layers that are adapted, by the ends of their names. Default: queries and values of attention. */
  targets?: readonly string[];
  /** Parameters that are trained whole, by a part of their names. Default: those that no encoder has, the head's. */
  whole?: (name: string) => boolean;
  seed?: number;
}

/**
 * Puts untrained LoRA adapters beside linear layers and freezes all else but the head.
 *
 * @returns what is to be trained
 * @throws ConfigError for a target that no layer has, or when all of them are trained whole
 */
export function addLora(model: BertPreTrainedModel, options: LoraTraining = {}): (Parameter | MatrixParameter)[] {
  const { rank = 8, alpha = 2 * rank, targets = defaultTargets(model), whole = isHead(model), seed = 0 } = options;
  if (!Number.isSafeInteger(rank) || rank < 1) {
    throw new ConfigError({ what: 'rank of LoRA', expected: 'a whole number of at least 1', got: show(rank) });
  }
  const layers = linearLayers(model);
  const isMeant = (name: string, end: string) => name === end || name.endsWith(`.${end}`);
  const refuse = (got: readonly string[], expected: string, among: readonly string[]): never => {
    const ends = [...new Set(among.map((name) => name.split('.').at(-1)))].join(', ');
    throw new ConfigError({ what: 'targets of LoRA', expected, got: show(got), fix: `use some of ${ends}` });
  };
  const names = [...layers.keys()];
  const unknown = targets.filter((end) => !names.some((name) => isMeant(name, end)));
  const ends = 'the ends of names of linear layers';
  if (unknown.length > 0 || targets.length === 0) refuse(unknown, ends, names);
  const adapted = [...layers.values()].filter(
    // What is trained whole, as the head, needs none.
    ({ name }) => targets.some((end) => isMeant(name, end)) && !whole(`${name}.weight`),
  );
  const others = names.filter((name) => !whole(`${name}.weight`));
  if (adapted.length === 0) refuse(targets, `${ends}, some of which are not trained whole`, others);
  for (const parameter of model.parameters()) parameter.requiresGrad = whole(parameter.name);
  for (const layer of adapted) {
    layer.adapters.push(LoraAdapter.beside(layer.name, layer.weight, { rank, alpha, seed }));
  }
  return model.parameters().filter(({ requiresGrad }) => requiresGrad);
}

/** The names that queries and values have in the model's family. */
function defaultTargets(model: BertPreTrainedModel): string[] {
  const names = [...linearLayers(model).keys()];
  const ends = ['query', 'value', 'q_lin', 'v_lin', 'query_proj', 'value_proj', 'q', 'v', 'in_proj', 'Wqkv'];
  return ends.filter((end) => names.some((name) => name.endsWith(`.${end}`)));
}

/** Whether a parameter is not part of the encoder. */
function isHead(model: BertPreTrainedModel): (name: string) => boolean {
  const prefix = `${model.config.family.prefix}.`;
  const hasHead = model.parameters().some(({ name }) => !name.startsWith(prefix));
  const isBare = model.parameters().every(({ name }) => !name.startsWith(prefix));
  return (name) => hasHead && !isBare && !name.startsWith(prefix);
}

/** Linear layers by name. */
function linearLayers(model: BertPreTrainedModel): Map<string, Linear> {
  const layers = model.modules().filter((module) => module instanceof Linear);
  return new Map(layers.map((layer) => [layer.name, layer]));
}

const adaptersOf = (model: BertPreTrainedModel): LoraAdapter[] =>
  [...linearLayers(model).values()].flatMap(({ adapters }) => adapters);

/**
 * The adapters of a model, and the parameters that were trained whole, as PEFT's files; with a `config.json` that names the
 * class and its labels, so that the head can be built on another checkpoint of the same encoder.
 *
 * @throws ConfigError for a model without adapters, or with several of different rank
 */
export function adapterFiles(
  model: BertPreTrainedModel,
  { base = null as string | null, half = false } = {},
): Map<string, Uint8Array> {
  const adapters = adaptersOf(model);
  const ranks = new Set(adapters.map(({ down, scale }) => `${down.shape[0]} ${scale}`));
  if (ranks.size !== 1) {
    const got = ranks.size === 0 ? 'none' : 'several';
    throw new ConfigError({
      what: 'adapters of the model',
      expected: 'those of one rank and scale',
      got,
      fix: 'merge the others first',
    });
  }
  const [rank] = adapters[0].down.shape;
  const own = new Set(adapters.flatMap(({ down, up }) => [down.name, up.name]));
  const whole = model.parameters().filter(({ name, requiresGrad }) => requiresGrad && !own.has(name));
  const saved = [...model.parameters().filter(({ name }) => own.has(name)), ...whole];
  const dtype = half ? 'F16' : 'F32';
  const tensors = new Map(
    saved.map((parameter) => {
      const { data, shape } = rowMajor(parameter);
      return [PREFIX + parameter.name, { data: Float32Array.from(data), shape, dtype } as const];
    }),
  );
  // PEFT copies such modules with all that is in them; a bias alone, as that of a decoder whose matrix is tied, it loads without.
  const modules = whole.flatMap(({ name }) => (name.endsWith('.weight') ? [name.slice(0, -'.weight'.length)] : []));
  const config = {
    peft_type: 'LORA',
    auto_mapping: null,
    base_model_name_or_path: base,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: adapters[0].scale * rank,
    lora_dropout: 0,
    modules_to_save: modules.length > 0 ? modules : null,
    r: rank,
    target_modules: targetsOf(model, adapters, modules),
    task_type: taskTypes[architectureOf(model).replace(/^.*?(?=For|Model$)/, '')] ?? null,
    use_rslora: false,
  };
  const { id2label, problemType } = model.config;
  const head = {
    model_type: model.config.family.modelType,
    architectures: [architectureOf(model)],
    id2label: Object.fromEntries(id2label.map((label, id) => [id, label])),
    problem_type: problemType,
  };
  const json = (value: unknown) => new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
  return new Map([
    [CONFIG, json(config)],
    ['config.json', json(head)],
    [WEIGHTS, writeSafetensors(tensors, { format: 'pt' })],
  ]);
}

/** Ends of the names of the adapted layers, where no other layer has such an end; else their names. */
function targetsOf(model: BertPreTrainedModel, adapters: readonly LoraAdapter[], whole: readonly string[]): string[] {
  const names = adapters.map(({ name }) => name);
  const ends = [...new Set(names.map((name) => name.split('.').at(-1)!))].sort();
  const isMeant = (name: string) => ends.includes(name.split('.').at(-1)!) && !whole.includes(name);
  return [...linearLayers(model).keys()].filter(isMeant).length === new Set(names).size ? ends : names;
}

const taskTypes: Record<string, string> = {
  ForSequenceClassification: 'SEQ_CLS',
  ForTokenClassification: 'TOKEN_CLS',
  ForQuestionAnswering: 'QUESTION_ANS',
  Model: 'FEATURE_EXTRACTION',
};

const rowMajor = (parameter: Parameter | MatrixParameter): Tensor =>
  parameter instanceof MatrixParameter ? parameter.toTensor() : parameter;

/**
 * Loads a LoRA adapter in PEFT's format beside the layers of a model; adapters that are there already stay, and add up.
 * What it holds whole, such as a head, takes the place of the model's own.
 *
 * @param location of `adapter_config.json` and `adapter_model.safetensors`
 * @throws FileError, ConfigError for an adapter of another kind, CheckpointError for tensors that do not fit the model
 */
export async function loadAdapter(model: BertPreTrainedModel, location: ModelLocation): Promise<void> {
  const files = openFiles(location);
  const name = nameOf(files, CONFIG);
  const config = await readObject(files, CONFIG, 'the config of an adapter');
  const { peft_type: type, r: rank, lora_alpha: alpha, use_rslora: rs = false } = config;
  const supported = { peft_type: 'LORA', fan_in_fan_out: false, use_dora: false, bias: 'none' };
  for (const [key, value] of Object.entries(supported)) {
    const got = config[key] ?? value;
    if (got !== value) throw new ConfigError({ what: `${name}: ${key}`, expected: show(value), got: show(got) });
  }
  if (type !== 'LORA' || !Number.isSafeInteger(rank) || !Number.isFinite(alpha)) {
    throw new ConfigError({ what: name, expected: 'peft_type "LORA", r and lora_alpha', got: show(config) });
  }
  const patterns = [config.rank_pattern, config.alpha_pattern].filter((p) => p && Object.keys(p as object).length > 0);
  if (patterns.length > 0)
    throw new ConfigError({ what: `${name}: rank_pattern, alpha_pattern`, expected: 'none', got: show(patterns) });
  const bytes = await files.read(WEIGHTS);
  if (bytes === undefined) {
    throw new CheckpointError({
      what: nameOf(files, WEIGHTS),
      expected: 'the weights of the adapter',
      got: 'no such file',
    });
  }
  const { tensors } = parseSafetensors(bytes, nameOf(files, WEIGHTS));
  const scale = (alpha as number) / (rs === true ? Math.sqrt(rank as number) : (rank as number));
  const layers = linearLayers(model);
  const parameters = new Map(model.parameters().map((parameter) => [parameter.name, parameter]));
  for (const [key, view] of tensors) {
    const own = key.startsWith(PREFIX) ? key.slice(PREFIX.length) : key;
    const path = own.replace(/\.lora_[AB]\.weight$/, '');
    if (own.endsWith('.lora_A.weight')) {
      const layer = find(layers, path, model) ?? misfit(key, view, 'a linear layer of the model');
      const up = tensors.get(key.replace(/lora_A\.weight$/, 'lora_B.weight'));
      if (up === undefined) misfit(key, view, 'a lora_B beside it');
      layer.adapters.push(adapterOf(layer, view, up, scale));
    } else if (!own.endsWith('.lora_B.weight')) {
      const parameter =
        find(parameters, own.replace('.modules_to_save.', '.'), model) ?? misfit(key, view, 'a parameter of the model');
      setWhole(parameter, view, key);
    }
  }
}

/** A layer or parameter by its name, with the prefix of the encoder or without it. */
function find<T>(items: ReadonlyMap<string, T>, name: string, { config }: BertPreTrainedModel): T | undefined {
  const prefix = `${config.family.prefix}.`;
  const other = name.startsWith(prefix) ? name.slice(prefix.length) : prefix + name;
  return items.get(name) ?? items.get(other);
}

function adapterOf(layer: Linear, a: TensorView, b: TensorView, scale: number): LoraAdapter {
  const [outFeatures, inFeatures] = layer.weight.shape;
  const rank = a.shape[0];
  const fits = a.shape.join() === [rank, inFeatures].join() && b.shape.join() === [outFeatures, rank].join();
  if (!fits) misfit(a.name, a, `[rank, ${inFeatures}], and lora_B [${outFeatures}, rank]`);
  const { engine } = layer.weight;
  const [down, up] = [engine.keepMatrix(rank, inFeatures, 'f32'), engine.keepMatrix(outFeatures, rank, 'f32')];
  down.set(toFloat32(a));
  up.set(toFloat32(b));
  // Of several adapters of one layer each has a name of its own.
  const name = layer.adapters.length === 0 ? layer.name : `${layer.name}.${layer.adapters.length}`;
  return new LoraAdapter(
    layer.name,
    new MatrixParameter(`${name}.lora_A.weight`, down),
    new MatrixParameter(`${name}.lora_B.weight`, up),
    scale,
  );
}

function setWhole(parameter: Parameter | MatrixParameter, view: TensorView, key: string): void {
  if (view.shape.join() !== parameter.shape.join()) misfit(key, view, `shape [${parameter.shape.join(', ')}]`);
  if (parameter instanceof MatrixParameter && parameter.dtype === 'q8') setRounded(parameter, toFloat32(view));
  else if (parameter instanceof MatrixParameter) parameter.set(toFloat32(view));
  else parameter.data.set(toFloat32(view));
}

function setRounded({ engine, packed }: MatrixParameter, rows: Float32Array): void {
  const { values, scale } = quantizeRows(rows, packed.outFeatures);
  engine.kernels.packRows(packed, 0, values);
  packed.scale!.set(scale);
}

function misfit(key: string, view: TensorView, expected: string): never {
  const got = `[${view.shape.join(', ')}]`;
  throw new CheckpointError({
    what: `${view.file ?? 'adapter'}: ${key}`,
    expected,
    got,
    fix: 'use the adapter with the model that it was trained for',
  });
}

/**
 * Adds each adapter to the weight of its layer, and removes it: the same outputs, at no cost.
 *
 * @throws ConfigError for int8 weights, which cannot be changed by so little
 */
export function mergeAdapters(model: BertPreTrainedModel): void {
  for (const layer of linearLayers(model).values()) {
    for (const adapter of layer.adapters) {
      const delta = adapter.delta();
      const { data } = layer.weight.toTensor();
      layer.weight.set(delta.map((change, i) => change + data[i]));
    }
    layer.adapters = [];
  }
}

/**
 * A model with an adapter: the class, and its labels, that the adapter's `config.json` names, on the encoder at `location`.
 * Without that file, the class of the model.
 */
export async function loadWithAdapter(
  location: ModelLocation,
  adapter: ModelLocation,
  options: LoadOptions = {},
): Promise<BertPreTrainedModel> {
  const json = await readJson(openFiles(adapter), 'config.json');
  const {
    architectures,
    id2label,
    problem_type: problemType = null,
  } = (json ?? {}) as { architectures?: string[]; id2label?: Record<string, string>; problem_type?: string | null };
  const model = await loadArchitecture(location, architectures?.[0], {
    ...options,
    ...(id2label && { labels: Object.values(id2label) }),
    ...(architectures && { initializeMissing: true }),
  });
  await loadAdapter(model, adapter);
  if (problemType !== null) model.config = model.config.with({ problemType });
  return model;
}

import { readdirSync, readFileSync } from 'node:fs';
import { MemoryFiles } from '../../src/hub/index.ts';
import { parseReference, type Reference } from '../../src/parity/index.ts';
import {
  parseSafetensors,
  toFloat64,
  toInt32,
  writeSafetensors,
  type TensorInput,
  type TensorView,
} from '../../src/safetensors/index.ts';

const FIXTURES = new URL('../fixtures/', import.meta.url);

export function readFixture(path: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(path, FIXTURES)));
}

/** tests/fixtures/ops.safetensors: results of single operations in PyTorch. Its cases are listed in tools/reference/make_fixtures.py. */
export const torch = parseSafetensors(readFixture('ops.safetensors'), 'ops.safetensors').tensors;

export function torchTensor(name: string): { data: Float64Array; shape: readonly number[] } {
  const view = find(torch, name);
  return { data: toFloat64(view), shape: view.shape };
}

export function torchIntegers(name: string): Int32Array {
  return toInt32(find(torch, name));
}

function find(tensors: ReadonlyMap<string, TensorView>, name: string): TensorView {
  const view = tensors.get(name);
  if (view === undefined) throw new Error(`the fixture has no tensor ${name}`);
  return view;
}

/** A checkpoint is a folder of tests/fixtures/bert, or, with a slash in its name, of tests/fixtures. */
const folderOf = (checkpoint: string) => (checkpoint.includes('/') ? checkpoint : `bert/${checkpoint}`);

/** Names of the folders in tests/fixtures/families. */
export const families = readdirSync(new URL('families/', FIXTURES)).sort();

/** Names of the folders in tests/fixtures/bert. */
export const checkpoints = readdirSync(new URL('bert/', FIXTURES)).sort();

/** Classes of other families with gradients of their own, as names of checkpoints. */
export const familyGradients = readdirSync(new URL('gradients/', FIXTURES))
  .sort()
  .map((name) => `gradients/${name}`);

/**
 * The files of a checkpoint. `changes` edits config.json; `config` takes another file in its place, as
 * activations/config.relu.json.
 */
export function modelFiles(
  checkpoint: string,
  { config = 'config.json', changes = {} }: { config?: string; changes?: Record<string, unknown> } = {},
): MemoryFiles {
  return new MemoryFiles(fileContents(checkpoint, { config, changes }));
}

/** The same as a record, to alter: a missing file, other weights. */
export function fileContents(
  checkpoint: string,
  { config = 'config.json', changes = {} }: { config?: string; changes?: Record<string, unknown> } = {},
): Record<string, Uint8Array | string> {
  const folder = folderOf(checkpoint);
  const names = readdirSync(new URL(`${folder}/`, FIXTURES)).filter((name) => !name.startsWith('reference'));
  const files: Record<string, Uint8Array | string> = Object.fromEntries(
    names.map((name) => [name, readFixture(`${folder}/${name}`)]),
  );
  const json = JSON.parse(new TextDecoder().decode(files[config] as Uint8Array)) as Record<string, unknown>;
  return { ...files, 'config.json': JSON.stringify({ ...json, ...changes }) };
}

/** What PyTorch computed for a checkpoint, in float32 or float64. `label` is '' or one of `referenceLabels`. */
export function loadReference(checkpoint: string, precision: 'f32' | 'f64', label = ''): Reference {
  const parts = ['reference', label, precision === 'f64' && 'f64', 'safetensors'].filter(Boolean);
  const path = `${folderOf(checkpoint)}/${parts.join('.')}`;
  return parseReference(readFixture(path), path);
}

/** The <label> of each reference.<label>.safetensors of a checkpoint; '' for reference.safetensors. */
export function referenceLabels(checkpoint: string, precision: 'f32' | 'f64' = 'f32'): string[] {
  return readdirSync(new URL(`${folderOf(checkpoint)}/`, FIXTURES))
    .filter((name) => name.startsWith('reference') && name.endsWith('f64.safetensors') === (precision === 'f64'))
    .map((name) => name.replace(/^reference\.?|(\.?f64)?\.?safetensors$/g, ''));
}

/**
 * The files of a class of tests/fixtures/families/<family>, as `save_pretrained` would have left them but for the weights of
 * other heads, which are there too. `changes` edits config.json; `edit` the weights.
 */
export function classFiles(
  family: string,
  className: string,
  changes: Record<string, unknown> = {},
  edit: (tensors: Map<string, TensorInput>) => void = () => {},
): MemoryFiles {
  const {
    'config.json': config,
    'model.safetensors': shared,
    ...rest
  } = fileContents(`families/${family}`, {
    config: `config.${className}.json`,
    changes,
  });
  const own = rest[`weights.${className}.safetensors`];
  const tensors = new Map<string, TensorInput>(parseSafetensors(shared as Uint8Array).tensors);
  if (own !== undefined)
    for (const [name, view] of parseSafetensors(own as Uint8Array).tensors) tensors.set(name, view);
  edit(tensors);
  return new MemoryFiles({ 'config.json': config, 'model.safetensors': writeSafetensors(tensors) });
}

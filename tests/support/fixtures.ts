import { readdirSync, readFileSync } from 'node:fs';
import { MemoryFiles } from '../../src/hub/index.ts';
import { parseReference, type Reference } from '../../src/parity/index.ts';
import { parseSafetensors, toFloat64, toInt32, type TensorView } from '../../src/safetensors/index.ts';

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

/** Names of the folders in tests/fixtures/bert. */
export const checkpoints = readdirSync(new URL('bert/', FIXTURES)).sort();

/**
 * The files of tests/fixtures/bert/<checkpoint>. `changes` edits config.json; `config` takes another file in its place, as
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
  const names = readdirSync(new URL(`bert/${checkpoint}/`, FIXTURES)).filter((name) => !name.startsWith('reference'));
  const files: Record<string, Uint8Array | string> = Object.fromEntries(
    names.map((name) => [name, readFixture(`bert/${checkpoint}/${name}`)]),
  );
  const json = JSON.parse(new TextDecoder().decode(files[config] as Uint8Array)) as Record<string, unknown>;
  return { ...files, 'config.json': JSON.stringify({ ...json, ...changes }) };
}

/** What PyTorch computed for a checkpoint, in float32 or float64. `label` is '' or one of `referenceLabels`. */
export function loadReference(checkpoint: string, precision: 'f32' | 'f64', label = ''): Reference {
  const parts = ['reference', label, precision === 'f64' && 'f64', 'safetensors'].filter(Boolean);
  const path = `bert/${checkpoint}/${parts.join('.')}`;
  return parseReference(readFixture(path), path);
}

/** The <label> of each reference.<label>.safetensors of a checkpoint; '' for reference.safetensors. */
export function referenceLabels(checkpoint: string): string[] {
  return readdirSync(new URL(`bert/${checkpoint}/`, FIXTURES))
    .filter((name) => name.startsWith('reference') && !name.endsWith('f64.safetensors'))
    .map((name) => name.replace(/^reference\.?|\.?safetensors$/g, ''));
}

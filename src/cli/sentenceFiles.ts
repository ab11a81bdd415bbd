import { readJson, type ModelFiles } from '../hub/index.ts';

/** What each module that modules.json names may have in its folder. */
export const MODULE_FILES = ['config.json', 'model.safetensors', 'pytorch_model.bin'];

/** Where the modules are that modules.json names: first the encoder, mostly in '', the model's own folder. */
export async function moduleFolders(files: ModelFiles): Promise<string[]> {
  const modules = await readJson(files, 'modules.json');
  const paths = (Array.isArray(modules) ? modules : []).map((module) => (module as { path?: unknown } | null)?.path);
  // '.' is the model's own folder; of a module without files, nothing has looked at the path yet.
  const folders = paths.map((path) => (typeof path === 'string' ? path.replace(/\/+$/, '').replace(/^\.$/, '') : ''));
  return folders.filter((path, i) => i === 0 || path !== '');
}

import { FileError, show } from '../errors.ts';
import type { ModelFiles } from './files.ts';
import { FolderFiles, hasFolders } from './folder.ts';
import { UrlFiles } from './url.ts';

/** Where a model is: a folder, an address, or any other source of files. */
export type ModelLocation = string | URL | ModelFiles;

/**
 * The files at a location: an address (`https:`, `chrome-extension:` …), a folder (a path or a `file:` URL), or files
 * already opened. Where there is no file system, as in a browser, a plain path is an address relative to the page.
 *
 * Opening reads nothing: a location that does not exist shows at the first `read`.
 */
export function openFiles(location: ModelLocation): ModelFiles {
  if (typeof location === 'object' && location !== null && 'read' in location) return location;
  const text = typeof location === 'string' || location instanceof URL ? String(location) : '';
  if (text === '') {
    const got = location === '' ? 'an empty string' : show(location);
    throw new FileError({ what: 'model location', expected: 'a folder or an address', got });
  }
  if (text.startsWith('file://')) return new FolderFiles(new URL(text));
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(text) || !hasFolders()) return new UrlFiles(text);
  return new FolderFiles(text);
}

import { FileError } from '../errors.ts';

// What bundlers for browsers put in the place of folder.ts, as the field "browser" of package.json says.

/** Refuses: there is no file system. */
export class FolderFiles {
  constructor(folder: string | URL) {
    throw new FileError({
      what: String(folder),
      expected: 'a runtime with a file system',
      got: 'a bundle for browsers',
      fix: 'pass an http(s) address or MemoryFiles; bundle for Node to read folders',
    });
  }
}

/** Whether this runtime has a file system. */
export function hasFolders(): boolean {
  return false;
}

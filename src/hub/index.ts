export type { FileStream, ModelFiles } from './files.ts';
export { filesBelow, insidePath, nameOf, readJson, readObject, readObjectIfAny, readText } from './files.ts';
export { FolderFiles } from './folder.ts';
export type { FileContent } from './memory.ts';
export { MemoryFiles } from './memory.ts';
export type { ModelLocation } from './open.ts';
export { openFiles } from './open.ts';
export type { UrlOptions } from './url.ts';
export { UrlFiles } from './url.ts';

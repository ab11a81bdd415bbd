/** What the operating system's error codes mean, for messages that say what was found. */
export const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  ENOTDIR: 'a file where a folder should be',
  EISDIR: 'a folder',
  EACCES: 'no permission',
  EPERM: 'no permission',
  EROFS: 'a read-only file system',
  ENOSPC: 'a full disk',
  ENAMETOOLONG: 'a name that is too long',
  ENOTEMPTY: 'a folder that is not empty',
  EEXIST: 'a file of that name',
};

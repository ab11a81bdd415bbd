const letters = (name: string) => name.toLowerCase().replace(/[\s_-]/g, '');

/**
 * The names that differ from this one in case, spaces, `_` and `-` alone, such as `Text-Pair` from `text_pair`, when the name
 * itself is not there: it is then most likely misspelt, and to leave such a column out would change the texts without a word.
 *
 * @param cache of what names come to, for names that are compared row by row
 */
export function misspelt(name: string, names: readonly string[], cache = new Map<string, string>()): string[] {
  if (names.includes(name)) return [];
  const wanted = letters(name);
  return names.filter((other) => {
    let found = cache.get(other);
    if (found === undefined) cache.set(other, (found = letters(other)));
    return found === wanted;
  });
}

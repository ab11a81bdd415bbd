/** Offsets of JavaScript strings (UTF-16 units) as offsets in code points, which Python and Rust users count in. */

/** A function that converts one offset after another into code points. Lone surrogates count as one. */
export function codePointCounter(text: string): (offset: number) => number {
  if (!/[\ud800-\udbff][\udc00-\udfff]/.test(text)) return (offset) => offset;
  const counts = new Int32Array(text.length + 1);
  let count = 0;
  for (let i = 0; i < text.length; count++) {
    counts[i] = count;
    const units = text.codePointAt(i)! > 0xffff ? 2 : 1;
    if (units === 2) counts[i + 1] = count + 1;
    i += units;
  }
  counts[text.length] = count;
  return (offset) => counts[offset];
}

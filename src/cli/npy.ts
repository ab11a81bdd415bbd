/**
 * The header of a NumPy file, version 1.0, of float32 in row-major order; the little-endian numbers follow it.
 * Its length is a multiple of 64, so that the numbers can be mapped into memory.
 */
export function npyHeader(shape: readonly number[]): Uint8Array {
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const dictionary = `{'descr': '<f4', 'fortran_order': False, 'shape': (${sizes}), }`;
  const unpadded = 10 + dictionary.length + 1;
  const length = Math.ceil(unpadded / 64) * 64;
  const header = new Uint8Array(length);
  header.set([0x93, ...new TextEncoder().encode('NUMPY'), 1, 0]);
  new DataView(header.buffer).setUint16(8, length - 10, true);
  header.set(new TextEncoder().encode(`${dictionary.padEnd(length - 11)}\n`), 10);
  return header;
}

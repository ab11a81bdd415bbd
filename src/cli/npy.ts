import { InputError } from '../errors.ts';

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

/**
 * A matrix from a NumPy file: float32 or float64, little-endian, in row-major order.
 *
 * @throws InputError for anything else, or a file that is cut off
 */
export function parseNpy(bytes: Uint8Array, file: string): { data: Float32Array; dimensions: number } {
  const fail = (expected: string, got: string) => new InputError({ what: file, expected, got });
  const magic = String.fromCharCode(...bytes.subarray(0, 6));
  if (bytes.length < 12 || magic !== '\x93NUMPY') throw fail('a NumPy file', 'other bytes');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const long = bytes[6] >= 2; // version 2 has a longer length
  const begin = long ? 12 : 10;
  const start = begin + (long ? view.getUint32(8, true) : view.getUint16(8, true));
  const header = new TextDecoder('latin1').decode(bytes.subarray(begin, start));
  const type = /'descr': *'([^']*)'/.exec(header)?.[1];
  const shape = /'shape': *\((\d+), *(\d+),? *\)/.exec(header)?.slice(1).map(Number);
  if (type !== '<f4' && type !== '<f8') throw fail('float32 or float64, <f4 or <f8', type ?? 'no descr');
  if (!shape || shape[1] === 0)
    throw fail('a matrix, a row for each vector', /'shape': *(\([^)]*\))/.exec(header)?.[1] ?? 'no shape');
  if (!/'fortran_order': *False/.test(header))
    throw fail('rows one after another (C order)', 'columns (Fortran order)');
  const [count, size] = [shape[0] * shape[1], type === '<f4' ? 4 : 8];
  if (bytes.length - start !== count * size) {
    throw fail(`${count * size} bytes for ${shape.join(' by ')} numbers`, `${Math.max(0, bytes.length - start)}`);
  }
  const number = (i: number) =>
    size === 4 ? view.getFloat32(start + 4 * i, true) : view.getFloat64(start + 8 * i, true);
  return { data: Float32Array.from({ length: count }, (_, i) => number(i)), dimensions: shape[1] };
}
